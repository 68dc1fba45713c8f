"""What of a plugin's record reaches a stage: the code that its callables begin in, and facts that enter the key."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.engine.code.closure import importable
from harness.engine.plan.keys import in_order
from harness.registry import owner_of

if TYPE_CHECKING:
    from harness.registry import PluginManager

_NOT_FACTS = frozenset({"card", "contract", "factory", "family", "init", "name", "params", "summary", "trained_on"})
"""Fields of a backbone's record that no network is built from, or that enter a key by another way."""


@dataclass(frozen=True)
class Provided:
    """The part of a record that a stage runs.

    Attributes:
        factory: ``module:attribute`` as it enters the key.
        modules: Of the factory and of the class of the parameters.
        packages: Top-level package of the plugin.
        registration: True when the factory or the class of the parameters cannot be imported by name (a lambda, a
            partial, a class inside a hook): the plugin's hooks, which make it, count then.
        facts: What else the record says that a network is built from.
    """

    factory: str
    modules: tuple[str, ...]
    packages: tuple[str, ...]
    registration: bool
    facts: Mapping[str, Any]


def provided(manager: PluginManager, kind: str, name: str) -> Provided:
    """What of a record reaches a stage.

    Raises:
        PluginError: There is no such record.
    """
    record = manager.get(kind, name)
    plugin = manager.module_of(manager.provider(kind, name).name)
    named = record.factory if isinstance(record.factory, str) else importable(record.factory)
    module = named.partition(":")[0] if named else plugin
    facts = {}
    for field in dataclasses.fields(record) if kind == "backbone" else ():
        if field.name not in _NOT_FACTS:
            value = getattr(record, field.name)
            rule = dataclasses.is_dataclass(value) and not isinstance(value, type)  # such as ``InputRule``
            facts[field.name] = in_order(dataclasses.asdict(value) if rule else value)
    return Provided(
        factory=name_for_key(named or f"{plugin}:{name}"),
        modules=tuple(sorted({module, record.params.__module__})),
        packages=(plugin.partition(".")[0],),
        registration=named is None or importable(record.params) is None,
        facts=facts,
    )


def name_for_key(name: str) -> str:
    """``module:attribute`` without the hash of content that the module of a single-file plugin is named by."""
    module, _, attribute = name.partition(":")
    return f"{owner_of(module) if module.startswith('wsss_file_') else module}:{attribute}"
