"""``wsss plugins list``, ``show``, ``check`` and ``new``."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.console import console, print_json, print_table
from harness.contract import ConfigError, MethodRecord, PluginError, letters

if TYPE_CHECKING:
    from harness.registry import PluginManager, PluginState
    from harness.testing import Finding

app = typer.Typer(help="List, inspect, check and begin plugins.", no_args_is_help=True)

PluginFiles = Annotated[
    list[Path] | None, typer.Option("--plugin", metavar="FILE", help="Load a plugin file too (repeatable).")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

_HERE = Path()
_SOME_FAILED = 3
_SUPERVISED = ("method", "generator", "refiner", "segmenter")
_SHOWN_APART = frozenset({"name", "factory", "params", "card", "summary", "contract", "needs", "uses", "rounds"})


def load_plugins(files: Sequence[Path] | None = None) -> PluginManager:
    """The plugin manager for commands whose output names the quarantined plugins: they are not logged as well."""
    from harness.registry import manager

    log = logging.getLogger("harness.registry")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        return manager(plugin_files=files or ())
    finally:
        log.setLevel(level)


@app.command("list")
def list_plugins(plugin: PluginFiles = None, json: Json = False) -> None:
    """List all plugins with what they bring, quarantined ones with the reason."""
    manager = load_plugins(plugin)
    rows = [_plugin_row(manager, state) for state in manager.plugins()]
    if json:
        print_json({"plugins": rows})
        return
    print_table(
        ("plugin", "version", "distribution", "status", "records"),
        [
            (row["name"], row["version"] or "-", row["distribution"] or row["source"], row["status"], _brings(row))
            for row in rows
        ],
        styles=["" if row["status"] == "ok" else "red" for row in rows],
    )


@app.command("show")
def show(
    name: Annotated[
        str, typer.Argument(help="A method, another component, a plugin; or protocol, benchmark and their sections.")
    ],
    plugin: PluginFiles = None,
    json: Json = False,
    form: Annotated[str, typer.Option("--format", help="Of fields: table or md.")] = "table",
) -> None:
    """Show the card, parameters, supervision and reported numbers of a component (exit 2 when quarantined).

    `protocol`, `protocol.segmenter`, `benchmark` and so on show the fields of a benchmark file.
    """
    from harness.cli.fields import is_section, show_fields
    from harness.registry import KINDS

    if form not in ("table", "md"):
        raise ConfigError(f"--format: {form!r} is neither table nor md")
    if is_section(name):
        show_fields(name, form="json" if json else form)
        return
    manager = load_plugins(plugin)
    records = [_describe(manager, kind, name) for kind in KINDS if name in manager.records(kind)]
    states = [state for state in manager.plugins() if _is_about(state, name)]
    if not records and not states:
        raise PluginError(_unknown(manager, name))
    if json:
        print_json({"name": name, "records": records, "plugins": [_plugin_row(manager, state) for state in states]})
    else:
        for record in records:
            _print_record(record)
        for state in states:
            _print_state(manager, state)
    if not records and all(state.status == "quarantined" for state in states):
        raise typer.Exit(PluginError.exit_code)


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="A method, another component or a plugin (all its records).")],
    plugin: PluginFiles = None,
    json: Json = False,
) -> None:
    """Run the conformance kit on eight generated images: one line a check (exit 3 when one fails)."""
    import tempfile

    from harness.testing import check_plugin

    manager = load_plugins(plugin)
    manager.require_files()
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="wsss-check-") as folder:
        for checked, findings in check_plugin(name, manager, Path(folder)):
            found.append({"checked": checked, "findings": [dataclasses.asdict(finding) for finding in findings]})
            if not json:
                _print_findings(checked, findings)
    failed = sum(finding["status"] == "fail" for entry in found for finding in entry["findings"])
    if json:
        print_json({"name": name, "failed": failed, "checked": found})
    else:
        console().print(
            f"{failed} checks failed" if failed else "all checks passed", style="red" if failed else "green"
        )
    if failed:
        raise typer.Exit(_SOME_FAILED)


def _print_findings(checked: str, findings: Sequence[Finding]) -> None:
    out = console()
    out.print(checked, style="bold")
    for finding in findings:
        style = {"pass": "", "fail": "red", "n/a": "dim"}[finding.status]
        out.print(f"  {finding.status:<5} {finding.check:<14} {finding.reason}", style=style, soft_wrap=True)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Name of the method, for example my_method.")],
    folder: Annotated[Path, typer.Option("--dir", help="Where the plugin's folder is made.")] = _HERE,
    single: Annotated[bool, typer.Option("--file", help="Write one plugin file instead of a package.")] = False,
) -> None:
    """Begin a plugin that passes the conformance kit as it is: a package with entry point and test, or one file."""
    from harness.testing.scaffold import new_file, new_package

    for path in new_file(name, folder) if single else new_package(name, folder):
        typer.echo(str(path))


def _is_about(state: PluginState, name: str) -> bool:
    """The plugin itself, or a quarantined one that would bring ``name``."""
    brings = any(name in names for names in state.records.values())
    return state.name == name or (state.status == "quarantined" and brings)


def _unknown(manager: PluginManager, name: str) -> str:
    from harness.registry import KINDS, did_you_mean

    known = {state.name for state in manager.plugins()}.union(*(manager.records(kind) for kind in KINDS))
    return f"no method, component or plugin is called {name!r}{did_you_mean(name, sorted(known))}"


def _plugin_row(manager: PluginManager, state: PluginState) -> dict[str, Any]:
    row = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    supervised = {} if state.status != "ok" else {kind: state.records.get(kind, ()) for kind in _SUPERVISED}
    row["supervision"] = {
        kind: {name: _supervision(manager, kind, name) for name in names} for kind, names in supervised.items() if names
    }
    return row


def _supervision(manager: PluginManager, kind: str, name: str) -> str | None:
    """Letters with default parameters; ``None`` when they cannot be told without parameters or a missing part."""
    try:
        return letters(manager.needs(kind, name))
    except (ConfigError, PluginError):
        return None


def _brings(row: dict[str, Any]) -> str:
    if row["status"] != "ok":
        return f"{row['reason']} [{row['file']}]" if row["file"] else str(row["reason"])
    lines = []
    for kind, names in row["records"].items():
        supervision = row["supervision"].get(kind, {})
        marked = (f"{name} ({supervision[name] or '?'})" if name in supervision else name for name in names)
        lines.append(f"{kind}: {', '.join(marked)}")
    return "\n".join(lines) or f"observes {', '.join(row['hooks'])}"


def _describe(manager: PluginManager, kind: str, name: str) -> dict[str, Any]:
    from harness.registry import describe_params

    record = manager.get(kind, name)
    state = manager.provider(kind, name)
    card = None if record.card is None else dataclasses.asdict(record.card)
    return {
        "kind": kind,
        "name": name,
        "summary": record.summary,
        "contract": record.contract,
        "supervision": _supervision(manager, kind, name) if kind in _SUPERVISED else None,
        "rounds": _rounds(record),
        "card": card,
        "parameters": [dataclasses.asdict(parameter) for parameter in describe_params(record.params)],
        "settings": {
            field.name: _plain(getattr(record, field.name))
            for field in dataclasses.fields(record)
            if field.name not in _SHOWN_APART
        },
        "provider": {
            "plugin": state.name,
            "distribution": state.distribution,
            "version": state.version,
            "file": state.file,
        },
    }


def _plain(value: Any) -> Any:
    """A setting as JSON has it: a rule, such as what a backbone wants to see, as its fields."""
    is_rule = dataclasses.is_dataclass(value) and not isinstance(value, type)
    return dataclasses.asdict(value) if is_rule else value


def _rounds(record: Any) -> list[dict[str, Any]] | None:
    """Rounds with default parameters; ``None`` for anything but a method, or when they need parameters."""
    from harness.registry import build_params, method_rounds

    if not isinstance(record, MethodRecord):
        return None
    try:
        rounds = method_rounds(record, build_params(record, {}, where=record.name))
    except (ConfigError, PluginError):
        return None
    return [dataclasses.asdict(part) for part in rounds]


def _print_record(shown: dict[str, Any]) -> None:
    out = console()
    out.print(f"{shown['kind']} {shown['name']}", style="bold")
    provider = shown["provider"]
    version = f" ({provider['distribution']} {provider['version']})" if provider["distribution"] else ""
    facts = {
        "summary": shown["summary"],
        "supervision": shown["supervision"],
        "rounds": " | ".join(map(_round_text, shown["rounds"] or ())),
        **_card_facts(shown["card"] or {}),
        **{key: value for key, value in shown["settings"].items() if value},
        "plugin": f"{provider['plugin']}{version}",
        "file": provider["file"],
        "contract": shown["contract"],
    }
    for key, value in facts.items():
        if value not in (None, ""):
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            out.print(f"  {key.replace('_', ' '):<15}{text}", soft_wrap=True)
    if shown["parameters"]:
        print_table(
            ("parameter", "type", "default", "help"),
            [
                (row["name"], row["type"], "required" if row["required"] else repr(row["default"]), row["help"])
                for row in shown["parameters"]
            ],
        )
    _print_reported((shown["card"] or {}).get("reported") or ())
    out.print()


def _card_facts(card: dict[str, Any]) -> dict[str, Any]:
    facts = {key: card.get(key) for key in ("title", "paper", "year", "licence", "notes")}
    return facts | {"reconstruction": "parts that no source confirms" if card.get("reconstruction") else None}


def _round_text(part: dict[str, Any]) -> str:
    uses = [part["generator"], *part["refiners"], part["segmenter"]]
    return " -> ".join(use["name"] for use in uses) + (" (warm start)" if part["warm_start"] else "")


def _print_reported(reported: Sequence[dict[str, Any]]) -> None:
    if reported:
        columns = ("metric", "value", "dataset", "split", "backbone", "init", "crf", "source")
        percent = [row | {"value": f"{100 * row['value']:.1f}"} for row in reported]
        print_table(("reported", *columns[1:]), [[_cell(row[column]) for column in columns] for row in percent])


def _cell(value: Any) -> str:
    return {None: "?", True: "yes", False: "no"}.get(value, str(value))


def _print_state(manager: PluginManager, state: PluginState) -> None:
    out = console()
    out.print(f"plugin {state.label}", style="bold")
    facts = {"status": state.status, "reason": state.reason, "file": state.file, "hooks": ", ".join(state.hooks)}
    for key, value in facts.items():
        if value:
            out.print(f"  {key:<15}{value}", soft_wrap=True)
    if state.status == "ok":
        out.print(_brings(_plugin_row(manager, state)), soft_wrap=True)
    elif state.traceback:
        out.print(state.traceback, soft_wrap=True)
