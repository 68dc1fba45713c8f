"""The plugin manager: load order, quarantine, look-up, observers."""

from __future__ import annotations

import logging
import os
import sys
import traceback as tracebacks
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pluggy

from harness.contract import MethodRecord, Need, PluginError, hookspecs, letters, union
from harness.contract.hookspecs import PROJECT
from harness.contract.records import AnyRecord
from harness.contract.supervision import with_networks
from harness.registry.build import build_params, resolve
from harness.registry.hooks import collect, imported, names, register
from harness.registry.interrupts import of_user, sentence, watching
from harness.registry.names import did_you_mean
from harness.registry.params import component_needs, component_pretrained, component_uses, method_rounds, with_upstream
from harness.registry.records import KINDS, OBSERVERS
from harness.registry.sources import (
    BUILTINS,
    ENVIRONMENT,
    Candidate,
    PluginSpec,
    Source,
    discover,
    module_file,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PluginState:
    """What became of one plugin.

    Attributes:
        name: Module, entry point or file stem; unique.
        source: How it was found.
        distribution: What ships it, ``None`` for a file.
        version: Version of that distribution.
        file: File of its module, ``None`` when it could not be found.
        hooks: Hooks it implements.
        records: Record names by kind. Of a quarantined plugin: those that were seen before and after the failure.
        status: ``quarantined`` means that none of its records can be used.
        reason: One sentence, only when quarantined.
        traceback: Where it failed, when an exception of the plugin was the cause.
    """

    name: str
    source: Source
    distribution: str | None = None
    version: str | None = None
    file: str | None = None
    hooks: tuple[str, ...] = ()
    records: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    status: Literal["ok", "quarantined"] = "ok"
    reason: str | None = None
    traceback: str | None = None

    @property
    def label(self) -> str:
        """For example ``wsss_mine (wsss-mine 1.2)``, a file plugin with its path."""
        shipped = f"{self.distribution} {self.version}" if self.distribution else self.file
        return f"{self.name} ({shipped})" if shipped else self.name


class PluginManager:
    """All plugins of one process. Build it with ``manager()``."""

    def __init__(
        self,
        *,
        plugin_files: Sequence[str | Path] = (),
        config_dir: str | Path | None = None,
        builtins: Sequence[str] = BUILTINS,
        env: str | None = None,
        strict: bool = False,
    ) -> None:
        """Load every plugin.

        Args:
            plugin_files: Files named explicitly.
            config_dir: Folder that may hold ``wsss_plugin.py``.
            builtins: Modules that are registered first.
            env: ``None``, or the list of entry points to load as in ``WSSS_PLUGINS``.
            strict: Raise instead of quarantining.

        Raises:
            ConfigError: A file in ``plugin_files`` does not exist.
            PluginError: A plugin is faulty and ``strict`` is set.
        """
        self.spec = PluginSpec(
            tuple(os.path.realpath(file) for file in plugin_files),
            None if config_dir is None else str(Path(config_dir).resolve()),
            env,
            tuple(builtins),
        )
        self._strict = strict
        self._states: dict[str, PluginState] = {}
        self._records: dict[str, dict[str, tuple[AnyRecord, str]]] = {kind: {} for kind in KINDS}
        self._modules: dict[str, str | None] = {}
        self._silenced: set[str] = set()
        self._pluggy = pluggy.PluginManager(PROJECT)
        self._pluggy.add_hookspecs(hookspecs)
        with watching(), redirect_stdout(sys.stderr):  # what a plugin prints must not end up in --json
            for candidate in discover(self.spec):
                self._load(candidate)

    def get(self, kind: str, name: str) -> Any:
        """The record ``name`` of ``kind``; its type follows from ``kind``.

        Raises:
            PluginError: Unknown (with the nearest names), or its plugin is quarantined (with the reason).
        """
        records = self._of(kind)
        if name in records:
            return records[name][0]
        if (member := self._member(kind, name)) is not None:
            return member
        quarantined = [state for state in self._states.values() if state.status == "quarantined"]
        for state in quarantined:
            if name in state.records.get(kind, ()) or name == state.name:
                raise PluginError(f"{kind} {name!r} belongs to the quarantined plugin {state.label}: {state.reason}")
        others = f"; quarantined plugins: {', '.join(state.label for state in quarantined)}" if quarantined else ""
        usable = ", ".join(sorted(records)) or "none"
        raise PluginError(f"unknown {kind} {name!r}{did_you_mean(name, records)} (known: {usable}{others})")

    def _member(self, kind: str, name: str) -> AnyRecord | None:
        """The record of ``FAMILY/MEMBER``, from now on one of ``records``; ``None`` where there is no family."""
        family, _, member = name.partition("/")
        record, provider = self._of(kind).get(family, (None, ""))
        make = getattr(record, "family", None)
        if not member or make is None:
            return None
        made: AnyRecord = resolve(make)(member)
        self._records[kind][name] = made, provider
        return made

    def records(self, kind: str) -> dict[str, Any]:
        """Usable records of ``kind`` by name, in load order."""
        return {name: record for name, (record, _) in self._of(kind).items()}

    def plugins(self) -> list[PluginState]:
        """Every plugin that was found, in load order, quarantined ones included."""
        return list(self._states.values())

    def provider(self, kind: str, name: str) -> PluginState:
        """The plugin that ships a record; raises like ``get``."""
        self.get(kind, name)
        return self._states[self._of(kind)[name][1]]

    def module_of(self, plugin: str) -> str:
        """Dotted name of the module that a plugin registers from.

        Raises:
            PluginError: No such plugin, or it was never imported.
        """
        if plugin not in self._states:
            raise PluginError(f"unknown plugin {plugin!r}{did_you_mean(plugin, self._states)}")
        module = self._modules[plugin]
        if module is None:
            raise PluginError(f"plugin {plugin!r} was never imported: {self._states[plugin].reason}")
        return module

    def needs(self, kind: str, name: str, params: Mapping[str, Any] | None = None) -> tuple[Need, ...]:
        """Supervision of a method or component: of all its parts and of the shared stages that they read.

        Args:
            kind: ``method``, ``generator``, ``refiner`` or ``segmenter``.
            name: Name of the record.
            params: Parameters, defaults where left out.

        Raises:
            PluginError: A part is unknown or quarantined, or a callable of the plugin fails.
            ConfigError: A parameter is wrong or has no default.
        """
        needs: list[Need] = []
        for record, values in self._components(kind, name, params or {}):
            needs += component_needs(record, values)
            needs += [need for stage in with_upstream(component_uses(record, values)) for need in stage.needs]
        return union(needs)

    def supervision(self, kind: str, name: str, params: Mapping[str, Any] | None = None) -> str:
        """What a table's supervision column would show of it, for example ``I+L(CLIP)``; arguments as for ``needs``."""
        networks = [
            network.mark
            for record, values in self._components(kind, name, params or {})
            for network in component_pretrained(record, values)
        ]
        return with_networks(letters(self.needs(kind, name, params)), networks)

    def _components(self, kind: str, name: str, params: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
        """Records and validated parameters of the components that a method, or a component itself, consists of."""
        record: Any = self.get(kind, name)
        values = build_params(record, params, where=f"{kind} {name}")
        if not isinstance(record, MethodRecord):
            yield record, values
            return
        for part in method_rounds(record, values):
            refiners = (("refiner", use) for use in part.refiners)
            for of_kind, use in (("generator", part.generator), *refiners, ("segmenter", part.segmenter)):
                yield from self._components(of_kind, use.name, use.params)

    def require_files(self) -> None:
        """Raise ``PluginError`` when a plugin file that was named explicitly is quarantined."""
        for state in self._states.values():
            if state.status == "quarantined" and state.source == "file" and state.file in self.spec.files:
                raise PluginError(f"plugin {state.label} is quarantined: {state.reason}")

    def notify(self, event_name: str, **event: Any) -> None:
        """Tell every observer; what one raises is logged once per plugin and reaches nobody else.

        Args:
            event_name: ``wsss_run_started``, ``wsss_stage_finished`` or ``wsss_run_finished``.
            **event: The argument that the hook declares.
        """
        if event_name not in OBSERVERS:
            raise ValueError(f"{event_name!r} is not an observer hook: {', '.join(OBSERVERS)}")
        hook: pluggy.HookCaller = getattr(self._pluggy.hook, event_name)
        for implementation in reversed(hook.get_hookimpls()):
            try:
                with watching():
                    implementation.function(*(event[name] for name in implementation.argnames))
            except BaseException as error:
                if of_user(error):
                    raise
                plugin, kind = implementation.plugin_name, type(error).__name__
                if plugin not in self._silenced:
                    self._silenced.add(plugin)
                    _log.warning(
                        "observer %s of plugin %s raised %s: %s (logged once)", event_name, plugin, kind, error
                    )

    def _of(self, kind: str) -> dict[str, tuple[AnyRecord, str]]:
        if kind not in self._records:
            raise PluginError(f"unknown kind of record {kind!r}{did_you_mean(kind, KINDS)} (known: {', '.join(KINDS)})")
        return self._records[kind]

    def _load(self, candidate: Candidate) -> None:
        """Import, register, collect, check; any failure quarantines this plugin alone."""
        state = PluginState(candidate.name, candidate.source, candidate.distribution, candidate.version, candidate.file)
        plugin: object = None
        try:
            plugin = imported(candidate)
            if self._pluggy.is_registered(plugin):
                return
            if state.name in self._states:
                raise PluginError(f"a plugin of this name is already loaded: {self._states[state.name].label}")
            hooks = register(self._pluggy, candidate.name, plugin)
            state = replace(state, file=state.file or module_file(candidate.module), hooks=hooks)
            records, failure = collect(self._pluggy, plugin)
            state = replace(state, records=names(records))
            if failure is not None:
                raise failure
            seen: set[tuple[str, str]] = set()
            for kind, record in records:
                if (kind, record.name) in seen:
                    raise PluginError(f"{kind} {record.name!r} is yielded twice")
                seen.add((kind, record.name))
                if record.name in self._records[kind]:
                    first = self._states[self._records[kind][record.name][1]]
                    raise PluginError(f"{kind} {record.name!r} of {state.label} is already provided by {first.label}")
        except BaseException as error:
            if of_user(error):
                raise
            if plugin is not None and self._pluggy.is_registered(plugin):
                self._pluggy.unregister(plugin)
            self._quarantine(state, candidate.module, error)
        else:
            self._add(state, candidate.module)
            for kind, record in records:
                self._records[kind][record.name] = (record, state.name)

    def _quarantine(self, state: PluginState, module: str | None, error: BaseException) -> None:
        told = isinstance(error, PluginError)
        reason = sentence(error) if told else f"{type(error).__name__}: {sentence(error)}"
        if self._strict:
            raise PluginError(f"plugin {state.label}: {reason}") from error
        shown = error.__cause__ if told else error
        state = replace(
            state,
            file=state.file or module_file(module),
            status="quarantined",
            reason=reason,
            traceback="".join(tracebacks.format_exception(shown)) if shown is not None else None,
        )
        _log.warning("plugin %s is quarantined: %s", state.label, reason)
        self._add(state, module)

    def _add(self, state: PluginState, module: str | None) -> None:
        """Keep ``state`` under a name of its own (a second plugin of one name is always quarantined)."""
        name, number = state.name, 2
        while name in self._states:
            name, number = f"{state.name}#{number}", number + 1
        self._states[name] = replace(state, name=name)
        self._modules[name] = module


def manager(
    *, plugin_files: Sequence[str | Path] = (), config_dir: str | Path | None = None, strict: bool = False
) -> PluginManager:
    """The plugins of this process; reads ``WSSS_PLUGINS``. Without arguments the manager is built once and shared.

    Raises:
        ConfigError: A file in ``plugin_files`` does not exist.
        PluginError: A plugin is faulty and ``strict`` is set.
    """
    env = os.environ.get(ENVIRONMENT)
    if not plugin_files and config_dir is None and not strict:
        return manager_from_spec(PluginSpec(env=env))
    return PluginManager(plugin_files=plugin_files, config_dir=config_dir, env=env, strict=strict)


@cache
def manager_from_spec(spec: PluginSpec) -> PluginManager:
    """The manager that ``spec`` describes, for example in a worker process; built once per process."""
    return PluginManager(plugin_files=spec.files, config_dir=spec.config_dir, builtins=spec.builtins, env=spec.env)
