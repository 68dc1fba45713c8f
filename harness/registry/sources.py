"""Where plugins come from, and how they are imported.

Unusual here: a single-file plugin is imported under a name made of its content hash and always compiled from source, so
a file edited within the same second is never mistaken for its old bytecode.
"""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import CodeType, ModuleType
from typing import Literal

from harness import __version__
from harness.common.files import file_problem, file_sha256
from harness.contract import ConfigError, PluginError
from harness.registry.interrupts import of_user
from harness.registry.names import FILE_PREFIX, did_you_mean

GROUP = "wsss"
"""The entry-point group of packaged plugins."""

ENVIRONMENT = "WSSS_PLUGINS"
BESIDE_CONFIG = "wsss_plugin.py"
DISTRIBUTION = "wsss-harness"
BUILTINS = (
    "harness.data.builtin",
    "harness.modelling.builtin",
    "harness.scoring.builtin",
    "harness.leaderboard.builtin",
    "harness.engine.executors.builtin",
    "harness.maps.builtin",
    "wsss_baselines",
    "wsss_self_guided",
    "wsss_class_conditional",
    "wsss_label_uncertainty",
    "wsss_bilevel_box",
    "wsss_pseudo_mask",
    "wsss_recam",
    "wsss_tree_energy",
    "wsss_seam",
    "wsss_external",
    "wsss_sepl",
    "wsss_irn",
    "wsss_afa",
    "wsss_clip_es",
)

Source = Literal["builtin", "entry point", "file"]


@dataclass(frozen=True)
class PluginSpec:
    """All that is needed to build the same plugin manager in another process; picklable.

    Attributes:
        files: Plugin files that were named explicitly.
        config_dir: Folder whose ``wsss_plugin.py`` is loaded if it exists.
        env: Value of ``WSSS_PLUGINS``, ``None`` when it was not set. When set it is the whole list of entry points to
            load, and ``wsss_plugin.py`` is not looked for; files named explicitly are always loaded.
        builtins: Modules that are registered first.
    """

    files: tuple[str, ...] = ()
    config_dir: str | None = None
    env: str | None = None
    builtins: tuple[str, ...] = BUILTINS


@dataclass(frozen=True)
class Candidate:
    """A plugin that was found and not imported yet. ``load()`` returns the module or object with the hooks."""

    name: str
    source: Source
    load: Callable[[], object]
    distribution: str | None = None
    version: str | None = None
    module: str | None = None
    file: str | None = None


def discover(spec: PluginSpec) -> Iterator[Candidate]:
    """Yield candidates in load order: built-ins, entry points, ``wsss_plugin.py``, files.

    Raises:
        ConfigError: A plugin file that was named explicitly does not exist, or is no regular file.
    """
    for module in spec.builtins:
        yield Candidate(module, "builtin", partial(import_module, module), DISTRIBUTION, __version__, module)
    yield from _entry_points(spec.env)
    beside = Path(spec.config_dir) / BESIDE_CONFIG if spec.config_dir is not None and spec.env is None else None
    if beside is not None and beside.is_file():
        yield _file_candidate(beside)
    for name in spec.files:
        if problem := file_problem(name):
            raise ConfigError(f"plugin file {name}: {problem}")
        if beside is None or not beside.is_file() or not beside.samefile(name):
            yield _file_candidate(Path(name))


def module_file(module: str | None) -> str | None:
    """File of ``module``, also when importing it fails; ``None`` when there is none."""
    if module is None:
        return None
    if module in sys.modules:
        return getattr(sys.modules[module], "__file__", None)
    try:
        spec = importlib.util.find_spec(module)
    except BaseException as error:  # looking for a.b imports a, which is the plugin's code
        if of_user(error):
            raise
        return None
    return spec.origin if spec is not None and spec.has_location else None


def _entry_points(env: str | None) -> Iterator[Candidate]:
    wanted = None if env is None else [name.strip() for name in env.split(",") if name.strip()]
    if wanted == []:
        return
    installed = importlib.metadata.entry_points(group=GROUP)
    for entry in sorted(installed, key=lambda entry: (entry.name, entry.value)):
        if wanted is None or entry.name in wanted:
            module = entry.value.partition(":")[0].strip()
            shipped: tuple[str | None, str | None] = (None, None)
            if entry.dist is not None:
                with suppress(Exception):  # metadata of anybody's making; the plugin itself may be sound
                    shipped = (entry.dist.name, entry.dist.version)
            yield Candidate(entry.name, "entry point", entry.load, *shipped, module)
    for name in sorted(set(wanted or ()) - set(installed.names)):
        yield Candidate(name, "entry point", partial(_missing, name, sorted(installed.names)))


def _missing(name: str, installed: list[str]) -> object:
    raise PluginError(
        f"{ENVIRONMENT} names {name!r}, which is not installed{did_you_mean(name, installed)}"
        f" (installed: {', '.join(installed) or 'none'})"
    )


class _FromSource(importlib.machinery.SourceFileLoader):
    """Never reads or writes bytecode."""

    def path_stats(self, path: object) -> dict[str, float]:
        raise OSError("no bytecode for single-file plugins")

    def get_code(self, fullname: str) -> CodeType | None:
        """Without Python's warnings of escapes in strings, which are the file's own business."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return super().get_code(fullname)


def _file_candidate(path: Path) -> Candidate:
    path = Path(os.path.realpath(path))
    stem = "".join(char if char.isalnum() else "_" for char in path.stem)
    module = f"{FILE_PREFIX}{stem}_{file_sha256(path)[:12]}"
    return Candidate(path.stem, "file", partial(_import_file, module, path), module=module, file=str(path))


def _import_file(name: str, path: Path) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path, loader=_FromSource(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
