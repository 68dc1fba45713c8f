"""Finds, checks and serves plugins.

Unusual here: built-ins take the same path as third parties; hooks are called one implementation at a time, so a plugin
that raises loses only itself; and everything that can be wrong with a plugin ends in one place, its quarantine.

Importing the package loads nothing; each public name is imported from its module when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.common.lazy import lazy_face

if TYPE_CHECKING:
    from harness.registry.build import build_params, resolve
    from harness.registry.host import PluginManager, PluginState, manager, manager_from_spec
    from harness.registry.interrupts import guarded
    from harness.registry.names import did_you_mean, owner_of
    from harness.registry.params import (
        ParamInfo,
        component_needs,
        component_pretrained,
        component_stated,
        component_uses,
        describe_params,
        method_rounds,
        params_dict,
        trains_backbone,
        with_upstream,
    )
    from harness.registry.records import KINDS
    from harness.registry.sources import BUILTINS, PluginSpec

__all__ = [
    "BUILTINS",
    "KINDS",
    "ParamInfo",
    "PluginManager",
    "PluginSpec",
    "PluginState",
    "build_params",
    "component_needs",
    "component_pretrained",
    "component_stated",
    "component_uses",
    "describe_params",
    "did_you_mean",
    "guarded",
    "manager",
    "manager_from_spec",
    "method_rounds",
    "owner_of",
    "params_dict",
    "resolve",
    "trains_backbone",
    "with_upstream",
]

__getattr__, __dir__ = lazy_face(__name__)
