"""The code that a stage runs: hashes of the files of its static import closure, versions of the libraries beside it.

* Nothing is imported: files are found from the search path and read. A file is read once as long as it stays as it is.
* Imports inside functions count, those under ``if TYPE_CHECKING:`` do not run and do not count.
* ``from package import name`` leads to the module that defines the name: a submodule, or the home that a lazy package
  (a module ``__getattr__`` with a table of names) gives for it. A package's own ``__init__`` runs, so it counts; of
  its table only the names that are used do.
* A string that names a module (``"harness.modelling.res2net.Res2Net"``, ``"module:attribute"``) counts as an import. A
  plugin that imports by a name that is put together at run time counts with its whole package.
* ``harness``, the packages of the stage's plugins, and everything that is not installed are followed; of installed
  libraries the version counts.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from harness.contract.errors import PluginError
from harness.engine.code.imports import ALL, Finder, Module, Source, read

_COMPUTE_NOTHING = frozenset(
    {"filelock", "pluggy", "psutil", "pydantic", "pydantic_core", "rich", "tensorboard", "typer", "yaml"}
)
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_OF_DEVICE = re.compile(r"\+(cpu|cu\d|rocm|xpu).*")
"""What builds of torch for one device or another add to their version; a commit behind a ``+`` is other code."""


@dataclass(frozen=True)
class Code:
    """What a stage runs.

    Attributes:
        files: File, for example ``harness/maps/cam.py``, to the hash of its syntax tree; ``FILE:NAME`` of a lazy
            package to the module that it takes the name from.
        libraries: Distribution to version, without the device that it was built for.
        modules: File to the dotted name of its module.
    """

    files: Mapping[str, str]
    libraries: Mapping[str, str]
    modules: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Roots:
    """What a stage begins from; picklable, so that a worker finds the same code.

    Attributes:
        modules: Dotted names of modules that must be there.
        names: Dotted names that may be modules, or parts of modules, for example in a configuration file.
        packages: Top-level packages whose source counts also where they are installed: those of the stage's plugins.
        registration: Count hooks and records of plugins too (``syntax.parse``).
    """

    modules: tuple[str, ...]
    names: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    registration: bool = False

    def joined(self, others: Iterable[Roots]) -> Roots:
        """These and all of ``others``."""
        every = [self, *others]
        return Roots(
            tuple(sorted({module for roots in every for module in roots.modules})),
            tuple(sorted({name for roots in every for name in roots.names})),
            tuple(sorted({package for roots in every for package in roots.packages})),
            any(roots.registration for roots in every),
        )


def code_of(roots: Roots, finder: Finder | None = None) -> Code:
    """The code that runs when ``roots`` do.

    Args:
        roots: Where it begins.
        finder: Remembers files; one for several closures of the same moment saves time.

    Raises:
        PluginError: A root cannot be found or has no source, or a file is no Python.
    """
    return _Closure(roots, finder or Finder()).walk(roots)


def names_in(files: Iterable[Path]) -> tuple[str, ...]:
    """What configuration files import, and their strings that may name code.

    Raises:
        PluginError: A file cannot be read or is no Python.
    """
    sources = [read(file, file.stem, package=False) for file in files]
    return tuple(sorted({name for source in sources for name in (*source.references, *source.texts)}))


def importable(thing: object) -> str | None:
    """``module:attribute`` of a class or function that can be imported under that name, else ``None``."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    target: object = sys.modules.get(module) if isinstance(module, str) and isinstance(name, str) else None
    for part in str(name).split("."):
        target = getattr(target, part, None)
    return f"{module}:{name}" if target is thing and target is not None else None


class _Closure:
    """One walk over the imports from some roots."""

    def __init__(self, roots: Roots, finder: Finder) -> None:
        self._find, self._read = finder.find, finder.source
        self._follows: dict[str, bool] = {}
        self._tops = {"harness", *roots.packages}
        self._registration = roots.registration
        self._files: dict[str, str] = {}
        self._libraries: dict[str, str] = {}
        self._seen: set[str] = set()
        self._pending: list[Module] = []

    def walk(self, roots: Roots) -> Code:
        """Follow every import from the roots on."""
        for root in roots.modules:
            if self._find(root) is None and root not in sys.stdlib_module_names:
                raise PluginError(f"module {root!r} is named as code of a stage but cannot be found")
        for name in (*roots.modules, *roots.names):
            self._resolve(name)
        modules: dict[str, str] = {}
        while self._pending:
            module = self._pending.pop()
            if module.file is None:
                continue
            source = self._source(module)
            self._files[module.label] = source.sha256
            modules[module.label] = module.name
            for reference in source.references:
                self._resolve(reference)
            for text in source.texts:
                if text.partition(".")[0] in self._tops:
                    self._resolve(text)
            if source.computed and not module.name.startswith("harness."):
                self._everything(module.name.partition(".")[0])
        return Code(dict(sorted(self._files.items())), dict(sorted(self._libraries.items())), modules)

    def _join(self, module: Module) -> None:
        if module.name not in self._seen:
            self._seen.add(module.name)
            self._pending.append(module)

    def _source(self, module: Module) -> Source:
        return self._read(module, registration=self._registration and not module.name.startswith("harness."))

    def _resolve(self, reference: str) -> None:
        """Join every module on the way along ``reference``, as far as it names modules."""
        top, *rest = reference.split(".")
        if top not in self._follows:
            self._follows[top] = top not in sys.stdlib_module_names and self._followed(top)
        if not self._follows[top]:
            return
        module = self._find(top)
        assert module is not None
        self._join(module)
        for name in rest:
            below = self._find(f"{module.name}.{name}")
            if below is None:
                self._offered(module, name)
                return
            module = below
            self._join(module)

    def _offered(self, package: Module, name: str) -> None:
        """Join the home of what a package offers under ``name``, or of all that it offers."""
        if package.file is None or not package.folders:
            return
        source = self._source(package)
        if name == ALL:
            for offered in {*source.homes, *source.offers}:
                if offered in source.homes or self._find(f"{package.name}.{offered}"):
                    self._resolve(f"{package.name}.{offered}")
        elif name == "":
            self._everything(package.name)
        elif name in source.homes:
            home = source.homes[name]
            self._files[f"{package.label}:{name}"] = home
            module = home.partition(":")[0]
            places = [place for place in (module, f"{package.name}.{module}") if self._find(place)]
            if places:
                self._resolve(home.replace(":", ".").replace(module, places[0], 1))
            else:  # the package makes up the module's name from the text
                self._everything(package.name.partition(".")[0])

    def _everything(self, package: str) -> None:
        """Join all modules of a package."""
        module = self._find(package)
        for folder in module.folders if module else ():
            for path in folder.rglob("*.py"):
                parts = path.relative_to(folder).with_suffix("").parts
                self._resolve(".".join((package, *parts[: -1 if parts[-1] == "__init__" else None])))

    def _followed(self, top: str) -> bool:
        """Whether the source of a top-level module counts; of a library the version is noted instead."""
        if top in self._tops:
            return self._find(top) is not None
        module = self._find(top)
        if module is None:
            return False
        places = [module.file] if module.file else list(module.folders)
        if not any(map(is_installed, places)):
            return True
        if top in _COMPUTE_NOTHING:
            return False
        version = version_of(top)
        if version is not None:
            self._libraries[version[0]] = version[1]
        return version is None


def is_installed(place: Path) -> bool:
    """Whether a file or folder lies where distributions are installed."""
    return bool(_INSTALLED & set(place.parts))


_distributions = cache(importlib.metadata.packages_distributions)


@cache
def version_of(top: str) -> tuple[str, str] | None:
    """Distribution that installs a top-level module, and its version without a device (``_OF_DEVICE``)."""
    for name in _distributions().get(top, (top,)):
        try:
            return name, _OF_DEVICE.sub("", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
