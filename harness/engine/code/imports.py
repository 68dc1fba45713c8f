"""Where a module lies and what its file imports, read from the syntax tree; nothing is imported."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from pathlib import Path

from harness.common.files import read_bytes
from harness.common.lazy import read_homes
from harness.contract.errors import PluginError
from harness.engine.code.syntax import scan

ALL = "*"
"""Last part of a reference to whatever a package offers."""

_NAMES_CODE = re.compile(r"([A-Za-z_]\w*([.:][A-Za-z_]\w*)+[.:]?|[A-Za-z_]\w*[.:])([{%].*)?", re.ASCII | re.DOTALL)
_UNKNOWN = "{"
"""What stands in a text for a part that is known at run time."""
_FACE = "harness"
"""The package of which only the version counts: no stage runs what it offers to programs (``harness.run``)."""
_SUFFIXES = (*EXTENSION_SUFFIXES, *SOURCE_SUFFIXES, *BYTECODE_SUFFIXES)
"""In the order in which Python takes one of them."""
_IMPORTERS = frozenset(
    {
        "SourceFileLoader",
        "__import__",
        "eval",
        "exec",
        "find_spec",
        "import_module",
        "iter_modules",
        "resolve_name",
        "run_module",
        "run_path",
        "spec_from_file_location",
        "walk_packages",
    }
)
_BUILT_IN = frozenset({"eval", "exec"})
"""Importers only under their bare names: ``network.eval()`` is none."""


@dataclass(frozen=True)
class Module:
    """Where a module lies.

    Attributes:
        name: Dotted.
        file: ``None`` for a folder without ``__init__.py``.
        folders: Where its submodules are; none of a module that is no package.
        label: Its name in ``Code.files``; independent of where it is installed.
    """

    name: str
    file: Path | None
    folders: tuple[Path, ...]
    label: str


@dataclass(frozen=True)
class Source:
    """What one file says.

    Attributes:
        sha256: Of its syntax tree, or of its bytes where it is compiled.
        references: Dotted names that it imports or uses, ``package.*`` for all that a package offers.
        texts: Strings that may name code.
        homes: Name to module of a lazy package's table.
        offers: ``__all__``.
        computed: Whether it imports by a name that is not written out.
    """

    sha256: str
    references: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    homes: Mapping[str, str] = field(default_factory=dict)
    offers: tuple[str, ...] = ()
    computed: bool = False


class Finder:
    """Finds modules without importing anything; looks into a folder once, so a new finder sees what has changed."""

    def __init__(self) -> None:
        self._known: dict[str, Module | None] = {}
        self._listed: dict[Path, frozenset[str]] = {}
        self._read: dict[tuple[str, bool], Source] = {}

    def find(self, name: str) -> Module | None:
        """Where a module lies; ``None`` when there is none."""
        if name not in self._known:
            above, _, last = name.rpartition(".")
            package = self.find(above) if above else None
            self._known[name] = (self._below(package, last) if package else None) if above else _top(name)
        return self._known[name]

    def source(self, module: Module, *, registration: bool = False) -> Source:
        """What the file of a module says.

        Raises:
            PluginError: It cannot be read or is no Python.
        """
        assert module.file is not None
        at = module.name, registration
        if at not in self._read:
            self._read[at] = read(module.file, module.name, bool(module.folders), registration)
        return self._read[at]

    def _below(self, package: Module, name: str) -> Module | None:
        dotted = f"{package.name}.{name}"
        label = package.label.removesuffix("__init__.py") + name
        for folder in package.folders:
            names = self._names(folder)
            if name in names and name.isidentifier() and (inner := folder / name).is_dir():
                init = inner / "__init__.py" if "__init__.py" in self._names(inner) else None
                if init is not None or any(path.endswith(".py") for path in self._names(inner)):
                    return Module(dotted, init, (inner,), f"{label}/__init__.py")
            for suffix in _SUFFIXES:
                if name + suffix in names:
                    return Module(dotted, folder / (name + suffix), (), f"{label}.{suffix.rpartition('.')[2]}")
        return None

    def _names(self, folder: Path) -> frozenset[str]:
        if folder not in self._listed:
            with os.scandir(folder) if folder.is_dir() else nullcontext(()) as entries:
                self._listed[folder] = frozenset(entry.name for entry in entries)
        return self._listed[folder]


def _top(name: str) -> Module | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    file = Path(spec.origin) if spec.has_location and spec.origin else None
    folders = tuple(map(Path, spec.submodule_search_locations or ()))
    label = f"{name}/__init__.py" if folders else file.name if file else name
    return Module(name, file, folders, label) if file or folders else None


def read(file: Path, module: str, package: bool, registration: bool = False) -> Source:
    """What a file says; read again only when its size or time have changed.

    Raises:
        PluginError: It cannot be read or is no Python.
    """
    try:
        state = file.stat()
        return _read(file, module, package, registration, (state.st_size, state.st_mtime_ns))
    except OSError as error:
        raise PluginError(f"{file}: code of a stage cannot be read ({error.strerror})") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise PluginError(f"{file}: code of a stage is no Python file ({error})") from None


@lru_cache(maxsize=4096)
def _read(file: Path, module: str, package: bool, registration: bool, state: tuple[int, int]) -> Source:
    content = read_bytes(file, error=PluginError)
    if file.suffix != ".py":
        return Source(hashlib.sha256(content).hexdigest())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in strings, which are the file's own business
        tree = ast.parse(content)
    if module == _FACE:
        tree.body = [statement for statement in tree.body if _assigned(statement)[0] == "__version__"]
    offers = tuple(
        item.value
        for name, value in map(_assigned, tree.body)
        if name == "__all__" and value is not None
        for item in ast.walk(value)
        if isinstance(item, ast.Constant) and isinstance(item.value, str)
    )
    homes = _homes(tree, content, module) if package else {}
    sha256, nodes = scan(tree, registration=registration)
    reader = _Reader(module, package)
    reader.read(nodes)
    lazy = _getattr_of(tree) if homes else None
    known = set(map(id, ast.walk(lazy))) if lazy else set()  # what it imports is what the table says
    return Source(
        sha256,
        frozenset(reader.references()),
        frozenset(text for node, text in reader.texts if not (node in known and text.endswith("."))),
        homes,
        offers,
        bool(reader.importers - known),
    )


def _homes(tree: ast.Module, source: bytes, package: str) -> dict[str, str]:
    """The table of a lazy package, taken out of the tree together with ``__all__``; empty where there is none.

    It is what the package hands to ``lazy_face``, or a dictionary of texts that its own ``__getattr__`` looks into.
    """
    table: dict[str, str] = {}
    left_out: set[str | None] = {"__all__"}
    if any(isinstance(node, ast.Name) and node.id == "lazy_face" for node in ast.walk(tree)):
        table = read_homes(source.decode("utf-8"), package)
    else:
        lazy = _getattr_of(tree)
        used = {node.id for node in ast.walk(lazy) if isinstance(node, ast.Name)} if lazy else set()
        for name, value in map(_assigned, tree.body):
            if name in used and isinstance(value, ast.Dict):
                try:
                    content = ast.literal_eval(value)
                except ValueError:
                    continue
                if all(isinstance(text, str) for item in content.items() for text in item):
                    left_out.add(name)
                    table |= content
    if table:
        tree.body = [item for item in tree.body if _assigned(item)[0] not in left_out]
    return table


def _getattr_of(tree: ast.Module) -> ast.FunctionDef | None:
    """The module's own ``__getattr__``."""
    return next((n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "__getattr__"), None)


def _assigned(statement: ast.stmt) -> tuple[str | None, ast.expr | None]:
    """Name and value of ``name = value`` or ``name += value``."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target: ast.expr = statement.targets[0]
        value: ast.expr | None = statement.value
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        target, value = statement.target, statement.value
    else:
        return None, None
    return (target.id, value) if isinstance(target, ast.Name) else (None, None)


class _Reader:
    """Collects what a tree refers to.

    Args:
        module: Dotted name of the file.
        package: Whether the file is a package's ``__init__``.
    """

    def __init__(self, module: str, package: bool) -> None:
        self._package = module if package else module.rpartition(".")[0]
        self._names = {"__name__": module, "__package__": self._package}
        self._imported: set[str] = set()
        self._bound: dict[str, set[str]] = {}
        self._chains: set[tuple[str, ...]] = set()
        self.texts: set[tuple[int, str]] = set()
        """Node and name; a name that ends in a dot stands for all that begins like it."""
        self.importers: set[int] = set()
        """Nodes that import, or may, by a name that is not written out."""

    def read(self, nodes: Iterable[ast.AST]) -> None:
        """Take in nodes, outer ones first."""
        inner: set[int] = set()
        for node in nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self._imported.add(alias.name)
                    top = alias.name.partition(".")[0]
                    self._bind(alias.asname or top, alias.name if alias.asname else top)
            elif isinstance(node, ast.ImportFrom):
                base = self._base(node.level, node.module)
                for alias in node.names:
                    self._imported.add(f"{base}.{alias.name}")
                    self._bind(alias.asname or alias.name, f"{base}.{alias.name}")
                    if alias.asname not in (None, alias.name) and alias.name in _IMPORTERS:
                        self.importers.add(id(node))  # under a name that is not looked for
            elif isinstance(node, ast.Attribute | ast.Name) and id(node) not in inner:
                if _importer(node):
                    self.importers.add(id(node))
                names: list[str] = []  # a.b.c is noted once, from its outermost node
                part: ast.expr = node
                while isinstance(part, ast.Attribute):
                    names.append(part.attr)
                    part = part.value
                    inner.add(id(part))
                if isinstance(part, ast.Name):
                    self._chains.add((part.id, *reversed(names)))
            elif isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp):
                self._text(node)
            elif isinstance(node, ast.Call) and _importer(node.func) and self._call(node):
                inner.add(id(node.func))

    def references(self) -> Iterator[str]:
        """Imports, and names that are looked up in imported modules."""
        yield from self._imported
        for chain in self._chains:
            for module in self._bound.get(chain[0], ()):
                yield ".".join((module, *(chain[1:] or (ALL,))))

    def _bind(self, name: str, module: str) -> None:
        self._bound.setdefault(name, set()).add(module)

    def _base(self, level: int, module: str | None) -> str:
        """The absolute name of what a (relative) import begins with."""
        if level == 0:
            return str(module)
        return _above(self._package, level, module)

    def _written(self, node: ast.expr) -> str:
        """The text that an expression is, with ``_UNKNOWN`` for each part that is not written out."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else _UNKNOWN
        if isinstance(node, ast.Name):
            return self._names.get(node.id, _UNKNOWN)
        if isinstance(node, ast.FormattedValue):
            return self._written(node.value)
        if isinstance(node, ast.JoinedStr):
            return "".join(map(self._written, node.values))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._written(node.left) + self._written(node.right)
        return _UNKNOWN

    def _text(self, node: ast.expr) -> None:
        """Note a text that may name code."""
        found = _NAMES_CODE.fullmatch(self._written(node))
        if found is None:
            return
        name = found[1].replace(":", ".")
        if found[3]:  # its end is unknown, and so may be the end of its last word
            name = name[: name.rindex(".") + 1]
        elif found[1].endswith(":"):
            name = name.removesuffix(".")
        self.texts.add((id(node), name))

    def _call(self, node: ast.Call) -> bool:
        """Note what the call of an importer imports; false where the name is not written out."""
        values = [item.value if isinstance(item, ast.Constant) else None for item in node.args]
        texts = [value for value in values if isinstance(value, str)]
        name = _importer(node.func)
        if name in ("exec", "eval") or not texts or texts[0] != values[0]:
            return False
        if name == "__import__":
            self._imported.add(texts[0])
            return len(node.args) == 1 and not node.keywords  # others may ask for submodules
        if name != "import_module":
            return name == "find_spec"
        if texts[0].startswith("."):
            package = [*node.args[1:], *(item.value for item in node.keywords if item.arg == "package")]
            begin = self._written(package[0]) if package else _UNKNOWN
            if begin == _UNKNOWN:
                return False
            level = len(texts[0]) - len(texts[0].lstrip("."))
            self._imported.add(_above(begin, level, texts[0].lstrip(".")))
        else:
            self._imported.add(texts[0])
        return True


def _importer(node: ast.expr) -> str | None:
    """Name of the function that imports by a text, if ``node`` is one."""
    if isinstance(node, ast.Attribute):
        return node.attr if node.attr in _IMPORTERS - _BUILT_IN else None
    return node.id if isinstance(node, ast.Name) and node.id in _IMPORTERS else None


def _above(package: str, level: int, module: str | None) -> str:
    """The absolute name of a relative import that begins in ``package``."""
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - level + 1], *([module] if module else [])])
