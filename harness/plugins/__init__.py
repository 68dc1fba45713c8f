"""Finds, checks and serves plugins.

Unusual here: built-ins take the same path as third parties; hooks are called one implementation at a time, so a plugin
that raises loses only itself; and everything that can be wrong with a plugin ends in one place, its quarantine.
"""

from harness.plugins._manager import PluginManager, PluginState, manager, manager_from_spec
from harness.plugins._params import (
    ParamInfo,
    build_params,
    component_needs,
    component_uses,
    describe_params,
    method_rounds,
    params_dict,
    resolve,
)
from harness.plugins._records import KINDS, did_you_mean
from harness.plugins._sources import BUILTINS, PluginSpec

__all__ = [
    "BUILTINS",
    "KINDS",
    "ParamInfo",
    "PluginManager",
    "PluginSpec",
    "PluginState",
    "build_params",
    "component_needs",
    "component_uses",
    "describe_params",
    "did_you_mean",
    "manager",
    "manager_from_spec",
    "method_rounds",
    "params_dict",
    "resolve",
]
