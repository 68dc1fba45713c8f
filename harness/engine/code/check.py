"""A worker's side of the key: the code that it runs is the code that the key was made from, or the stage is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING

from harness.contract.errors import PluginError
from harness.engine.code.closure import code_of
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
