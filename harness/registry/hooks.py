"""One plugin and pluggy: import it, register it with every check, collect its records."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import pluggy

from harness.contract import PluginError
from harness.contract.hookspecs import PROJECT
from harness.contract.records import AnyRecord
from harness.registry.interrupts import of_user, sentence
from harness.registry.names import did_you_mean
from harness.registry.records import HOOKS, OBSERVERS, check_record
from harness.registry.sources import Candidate

_MOST_RECORDS = 10_000
"""A hook that yields more than this is taken to never end."""


def imported(candidate: Candidate) -> object:
    """The module or object with the hooks.

    Raises:
        PluginError: The import fails, in whatever way but the user's Ctrl-C.
    """
    try:
        return candidate.load()
    except PluginError:
        raise
    except BaseException as error:
        if of_user(error):
            raise
        raise PluginError(f"import failed: {type(error).__name__}: {sentence(error)}") from error


def register(manager: pluggy.PluginManager, name: str, plugin: object) -> tuple[str, ...]:
    """Register ``plugin``; the hooks that it implements.

    ``check_pending`` looks at the whole manager, so it must run after each registration; the caller unregisters the
    culprit.

    Raises:
        PluginError: A hook is unknown, unmarked, a wrapper, asks for an unknown argument, or there is none.
    """
    for hook in (*HOOKS, *OBSERVERS):
        function = getattr(plugin, hook, None)
        if callable(function) and not hasattr(function, f"{PROJECT}_impl"):
            raise PluginError(f"{hook} is not marked with @hookimpl")
    try:
        manager.register(plugin, name)
    except pluggy.PluginValidationError as error:
        raise PluginError(sentence(error)) from None
    callers = manager.get_hookcallers(plugin) or []
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        unknown = [caller.name for caller in callers if not caller.has_spec()]
        hints = ", ".join(f"{hook!r}{did_you_mean(hook, (*HOOKS, *OBSERVERS), most=1)}" for hook in unknown)
        raise PluginError(f"unknown hook {hints}" if unknown else sentence(error)) from None
    if not callers:
        raise PluginError("it implements no hook; mark its functions with @hookimpl")
    for caller in callers:
        if any(impl.plugin is plugin and (impl.wrapper or impl.hookwrapper) for impl in caller.get_hookimpls()):
            raise PluginError(f"hook {caller.name} is a wrapper, which could change what other plugins yield")
    return tuple(caller.name for caller in callers)


def collect(manager: pluggy.PluginManager, plugin: object) -> tuple[list[tuple[str, AnyRecord]], PluginError | None]:
    """Sound records of ``plugin`` as (kind, record), and its first failure.

    It goes on with the other hooks after a failure, so that the names of a quarantined plugin are known.
    """
    sound: list[tuple[str, AnyRecord]] = []
    failure: PluginError | None = None
    for hook_name, kind in HOOKS.items():
        hook: pluggy.HookCaller = getattr(manager.hook, hook_name)
        for implementation in hook.get_hookimpls():
            if implementation.plugin is not plugin:
                continue
            try:
                yielded = implementation.function()
                if not isinstance(yielded, Iterable):
                    raise PluginError(f"hook {hook_name} must yield records, it returned {type(yielded).__name__}")
                for count, record in enumerate(islice(yielded, _MOST_RECORDS + 1)):
                    if count == _MOST_RECORDS:
                        raise PluginError(f"hook {hook_name} yields more than {_MOST_RECORDS} records")
                    sound.append((kind, check_record(kind, record)))
            except PluginError as error:
                failure = failure or error
            except BaseException as error:
                if of_user(error):
                    raise
                wrapped = PluginError(f"hook {hook_name} raised {type(error).__name__}: {sentence(error)}")
                wrapped.__cause__ = error
                failure = failure or wrapped
    return sound, failure


def names(records: Iterable[tuple[str, AnyRecord]]) -> dict[str, tuple[str, ...]]:
    """Record names by kind."""
    by_kind: dict[str, tuple[str, ...]] = {}
    for kind, record in records:
        by_kind[kind] = (*by_kind.get(kind, ()), record.name)
    return by_kind
