"""The conformance kit checks what every method must satisfy, on eight generated images, in seconds.

* Stages run in this process through the engine's own code, so the kit tests what a benchmark would run.
* One poisoned second run answers two questions at once; only when it differs does a third run tell which.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from harness.contract import PluginError, WsssError
from harness.testing import checks
from harness.testing.bench import Bench, Digests, StageFailed, with_scenes
from harness.testing.checks import Fault, Finding, NotApplicable
from harness.testing.method_params import idle_params, required_params

if TYPE_CHECKING:
    from harness.registry import PluginManager

RowEntry = str | Mapping[str, Any]

COMPONENTS = ("generator", "refiner", "segmenter")
FACTORIES = ("dataset", "backbone", "metric", "renderer", "executor")


def check_plugin(name: str, manager: PluginManager, folder: Path) -> Iterator[tuple[str, list[Finding]]]:
    """Check everything that ``name`` stands for.

    Args:
        name: A method, a component, another record, or a plugin, which stands for all its records.
        manager: Where to look it up.
        folder: An empty folder to work in.

    Yields:
        What was checked (``method box_fill``) and the findings.

    Raises:
        PluginError: Nothing has that name, or the plugin is quarantined.
    """
    manager = with_scenes(manager)
    for number, (kind, record) in enumerate(named(name, manager)):
        with redirect_stdout(sys.stderr):  # what a plugin prints must not end up in --json
            if kind in FACTORIES:
                findings = [_guarded("factory", lambda: _factory(manager, kind, record))]  # noqa: B023
                if kind == "backbone":
                    findings.append(_guarded("network", lambda: checks.sound_backbone(manager, record)))  # noqa: B023
            else:
                findings = check_row(row_of(kind, record), manager, folder / str(number))
        yield f"{kind} {record}", findings


def named(name: str, manager: PluginManager) -> list[tuple[str, str]]:
    """(kind, record) of everything that ``name`` stands for, methods first; their own components are not repeated.

    Raises:
        PluginError: Nothing has that name, or the plugin is quarantined.
    """
    from harness.registry import KINDS, build_params, method_rounds

    for kind in KINDS:
        if name in manager.records(kind):
            return [(kind, name)]
    state = next((state for state in manager.plugins() if state.name == name), None)
    if state is None:
        manager.get("method", name)  # answers with the nearest names, or the reason of a quarantine
    if state is None or state.status != "ok":
        raise PluginError(f"plugin {name!r} is quarantined: {state.reason if state else 'unknown'}")
    used: set[tuple[str, str]] = set()
    for method in state.records.get("method", ()):
        declared: Any = manager.get("method", method)
        if required_params(declared):
            continue
        for part in method_rounds(declared, build_params(declared, {}, where=method)):
            used |= {("generator", part.generator.name), ("segmenter", part.segmenter.name)}
            used |= {("refiner", use.name) for use in part.refiners}
    for generator in state.records.get("generator", ()):
        stands_in: Any = manager.get("generator", generator)
        used |= {("generator", generator)} if stands_in.placeholder else set()
    return [(kind, record) for kind in KINDS for record in state.records.get(kind, ()) if (kind, record) not in used]


def row_of(kind: str, name: str) -> RowEntry:
    """A benchmark row that runs a method, or a single component among the reference ones."""
    if kind == "method":
        return name
    part: dict[str, Any] = {"generator": name if kind == "generator" else "box_fill"}
    if kind == "refiner":
        part["refiners"] = [name]
    if kind == "segmenter":
        part["segmenter"] = name
    return {"name": f"{kind}-{name}", "rounds": [part]}


def _parts(row: RowEntry) -> list[tuple[str, str]]:
    """(kind, name) of what a row names without parameters."""
    if isinstance(row, str):
        return [("method", row)]
    return [
        (kind, name)
        for item in row.get("rounds", ())
        for kind in COMPONENTS
        for name in (item.get("refiners", ()) if kind == "refiner" else [item.get(kind)])
        if isinstance(name, str)
    ]


def check_row(row: RowEntry, manager: PluginManager, folder: Path) -> list[Finding]:
    """Run every check on one row of a benchmark.

    Args:
        row: Name of a method, or a row written out as in a benchmark file.
        manager: Plugins.
        folder: An empty folder to work in.
    """
    manager = with_scenes(manager)
    findings = [_guarded("discovery", lambda: checks.light_discovery(manager.spec))]
    if isinstance(row, str) and row in manager.records("method"):
        idle = _guarded("params", lambda: idle_params(manager, row))
        findings += [idle] if idle.status == "fail" else []
    if missing := [name for part in _parts(row) for name in required_params(manager.get(*part))]:
        reason = f"parameter {missing[0]!r} has no default, and the kit knows no value for it"
        return [*findings, Finding("runs", "n/a", reason)]
    bench = Bench(manager, row, folder / "first")
    here, temporary = folder / "elsewhere", folder / "temporary"
    here.mkdir(parents=True)
    temporary.mkdir()
    try:
        # The first run works in an empty folder: a file that appears there was written by the method.
        temporary_files = patch.object(tempfile, "tempdir", str(temporary))
        with chdir(here), temporary_files, checks.watched_writes([bench.folder, temporary]) as written:
            first = bench.run()
        written += map(str, sorted(here.rglob("*")))
    except (StageFailed, WsssError) as error:
        return [*findings, Finding("runs", "fail", str(error))]
    findings.append(Finding("runs", "pass", f"{len(first)} stages end: {bench.names}"))
    findings.append(_guarded("labels", lambda: checks.sound_labels(bench)))
    findings += _repeated(bench, first, folder)
    findings.append(_guarded("images", lambda: checks.independent_images(bench)))
    findings.append(_guarded("resume", lambda: checks.resumes(bench, first)))
    findings.append(_guarded("writes", lambda: checks.stays_inside(written, bench)))
    return findings


def _repeated(bench: Bench, first: Mapping[str, Digests], folder: Path) -> list[Finding]:
    """Determinism and blindness to undeclared masks."""
    poisoned = Bench(bench.manager, bench.row, folder / "poisoned", poisoned=True)
    try:
        noisy = poisoned.run()
    except StageFailed as error:
        return [Finding("supervision", "fail", f"with noise in undeclared masks: {error}")]
    again: Mapping[str, Digests] = noisy
    if noisy != first:
        try:
            again = Bench(bench.manager, bench.row, folder / "again").run()
        except StageFailed as error:
            return [Finding("deterministic", "fail", f"in a second run: {error}")]
    findings = [_guarded("deterministic", lambda: checks.same_again(first, again, bench))]
    if findings[0].status == "fail":
        return [*findings, Finding("supervision", "n/a", "cannot be told while two equal runs differ")]
    return [*findings, _guarded("supervision", lambda: checks.blind_to_noise(first, noisy, bench))]


def _factory(manager: PluginManager, kind: str, name: str) -> str:
    from harness.registry import describe_params, resolve

    record: Any = manager.get(kind, name)
    factory = resolve(record.factory)
    if not callable(factory):
        raise Fault(f"its factory is {type(factory).__name__}, which cannot be called")
    return f"its factory resolves; {len(describe_params(record.params))} parameters"


def _guarded(check: str, run: Callable[[], str]) -> Finding:
    try:
        return Finding(check, "pass", run())
    except NotApplicable as reason:
        return Finding(check, "n/a", str(reason))
    except (Fault, StageFailed, WsssError) as error:
        return Finding(check, "fail", str(error))
    except Exception as error:  # whatever a plugin raises is a finding, not a crash of the kit
        return Finding(check, "fail", f"{type(error).__name__}: {error}")
