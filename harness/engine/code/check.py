"""A worker's side of the key: the code that it runs is the code that the key was made from, or the stage is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from harness.common.text import printable
from harness.contract.errors import PluginError
from harness.engine.code.closure import code_of, is_installed
from harness.engine.plan.reasons import differences, told

if TYPE_CHECKING:
    from harness.engine.plan.layout import StageSpec
    from harness.engine.stage.kinds.stage import Stage

_imported: dict[str, tuple[ModuleType, str]] = {}
"""Modules of this process with the hash of their file when a stage was first seen to run them."""


def loaded(stage: Stage) -> Callable[[Stage], None]:
    """What runs the stage, with all that it calls imported and every plugin's backbone known where networks are built.

    Raises:
        PluginError: The code is not what the stage's key was made from.
    """
    check_code(stage.spec)
    work = stage.load()
    if stage.spec.kind == "predict" or "backbone" in stage.spec.settings:
        from harness.modelling.backbones import use_records

        use_records(stage.manager.records("backbone").values())
    return work


def check_imports(spec: StageSpec, before: Collection[str]) -> None:
    """Check that the key knows each module of the stage's plugins that was imported while the stage ran.

    These are the modules in a plugin's package, or beside a plugin that is a single file.

    Args:
        spec: The stage.
        before: Names of the modules that this process had imported when the stage began.

    Raises:
        PluginError: The key knows nothing of one, because no import and no text of the code names it.
    """
    tops = [file for name in spec.roots.packages if name != "harness" and (file := _file(name))]
    known = {name for label, name in code_of(spec.roots).modules.items() if label in spec.key_inputs["code"]}
    for name in sorted(set(sys.modules) - set(before) - known):
        file = _file(name)
        if file and any(
            top.parent in file.parents
            if top.name == "__init__.py"
            else top.parent == file.parent and not is_installed(file)
            for top in tops
        ):
            raise PluginError(
                f"{spec.name}: imported {printable(file)}, which the stage's key does not cover; import it by its name "
                "at the top of the plugin, so that changing it changes the key"
            )


def _file(module: str) -> Path | None:
    """Where an imported module lies; ``None`` of one that no file made, whatever it says when it is asked."""
    file = getattr(sys.modules.get(module), "__dict__", {}).get("__file__")
    return Path(file).resolve() if isinstance(file, str) and Path(file).is_absolute() else None


def check_code(spec: StageSpec) -> None:
    """Compare the code of a stage, as it lies on disk and as this process runs it, with what its key was made from.

    Raises:
        PluginError: A file was changed since, or another version of a library is installed here.
    """
    code, inputs = code_of(spec.roots), spec.key_inputs
    changes = differences(inputs["code"], code.files) + differences(inputs["libraries"], code.libraries)
    if changes:
        raise PluginError(
            f"{spec.name}: the code is not what the run was planned with: {told(changes)}; start the command again"
        )
    old = []
    for label, name in code.modules.items():
        module, sha256 = sys.modules.get(name), code.files[label]
        if module is None:
            continue
        if name not in _imported or _imported[name][0] is not module:
            _imported[name] = module, sha256
        if _imported[name][1] != sha256:
            old.append(label)
    if old:
        raise PluginError(
            f"{spec.name}: this process has imported an older state of {told(old)}; end it and start the command again"
        )
