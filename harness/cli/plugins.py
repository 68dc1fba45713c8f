"""``wsss plugins list``, ``show``, ``check`` and ``new``."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.console import console, print_json, print_table
from harness.contract import ConfigError, MethodRecord, PluginError

if TYPE_CHECKING:
    from harness.registry import PluginManager, PluginState

app = typer.Typer(help="List, inspect, check and begin plugins.", no_args_is_help=True)

PluginFiles = Annotated[
    list[Path] | None, typer.Option("--plugin", metavar="FILE", help="Plugin file to load as well. Repeatable.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

_HERE = Path()
_CHECK_STYLES = {"pass": "", "fail": "red", "n/a": "dim"}
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
    from harness.registry import KINDS, did_you_mean

    if form not in ("table", "md"):
        raise ConfigError(f"--format: {form!r} is neither table nor md")
    if is_section(name):
        show_fields(name, form="json" if json else form)
        return
    manager = load_plugins(plugin)
    records = [_describe(manager, kind, name) for kind in KINDS if name in manager.records(kind)]
    states = []
    for state in manager.plugins():
        # A quarantined plugin is shown for each name that it would have brought.
        brings = any(name in names for names in state.records.values())
        if state.name == name or (state.status == "quarantined" and brings):
            states.append(state)
    if not records and not states:
        names = {state.name for state in manager.plugins()}.union(*(manager.records(kind) for kind in KINDS))
        hint = did_you_mean(name, sorted(names))
        raise PluginError(f"no method, component or plugin is called {name!r}{hint}")
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
    """Run the conformance kit on eight generated images: one line per check (exit 3 when one fails)."""
    import tempfile

    from harness.testing import check_plugin

    if Path(name).suffix == ".py":
        raise PluginError(f"{name} is a file; name what it registers: `wsss plugins check NAME --plugin {name}`")
    manager = load_plugins(plugin)
    manager.require_files()
    reports: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="wsss-check-") as folder:
        for checked, findings in check_plugin(name, manager, Path(folder)):
            reports.append({"checked": checked, "findings": [dataclasses.asdict(finding) for finding in findings]})
            if json:
                continue
            console().print(checked, style="bold")
            for finding in findings:
                line = f"  {finding.status:<5} {finding.check:<14} {finding.reason}"
                console().print(line, style=_CHECK_STYLES[finding.status], soft_wrap=True)
    failed = sum(finding["status"] == "fail" for report in reports for finding in report["findings"])
    if json:
        print_json({"name": name, "failed": failed, "checked": reports})
    elif failed:
        console().print(f"{failed} checks failed", style="red")
    else:
        console().print("all checks passed", style="green")
    if failed:
        raise typer.Exit(_SOME_FAILED)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Name of the method, for example my_method.")],
    folder: Annotated[Path, typer.Option("--dir", help="Where the plugin's folder is made.")] = _HERE,
    single: Annotated[bool, typer.Option("--file", help="Write one plugin file instead of a package.")] = False,
) -> None:
    """Begin a plugin that passes the conformance kit as it is: a package with entry point and test, or one file."""
    from harness.testing.scaffold import new_file, new_package

    manager = load_plugins()
    taken = [kind for kind in ("method", "generator") if name in manager.records(kind)]
    if taken or f"wsss_{name.replace('-', '_')}" in {state.name for state in manager.plugins()}:
        by = manager.provider(taken[0], name).name if taken else "an installed plugin"
        raise ConfigError(f"plugin name {name!r} is taken: {by} has it already; choose another")
    for path in new_file(name, folder) if single else new_package(name, folder):
        typer.echo(str(path))


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
        return manager.supervision(kind, name)
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
    """What ``show`` prints about one component, as JSON has it."""
    from harness.registry import build_params, describe_params, method_rounds

    record: Any = manager.get(kind, name)
    state = manager.provider(kind, name)
    rounds = None
    if isinstance(record, MethodRecord):
        with suppress(ConfigError, PluginError):  # rounds that need parameters cannot be told without
            parts = method_rounds(record, build_params(record, {}, where=record.name))
            rounds = [dataclasses.asdict(part) for part in parts]
    settings = {}
    for field in dataclasses.fields(record):
        if field.name not in _SHOWN_APART:
            value = getattr(record, field.name)
            settings[field.name] = "depends on the parameters" if callable(value) else _plain(value)
    return {
        "kind": kind,
        "name": name,
        "summary": record.summary,
        "contract": record.contract,
        "supervision": _supervision(manager, kind, name) if kind in _SUPERVISED else None,
        "rounds": rounds,
        "card": None if record.card is None else dataclasses.asdict(record.card),
        "parameters": [dataclasses.asdict(parameter) for parameter in describe_params(record.params)],
        "settings": settings,
        "provider": {
            "plugin": state.name,
            "distribution": state.distribution,
            "version": state.version,
            "file": state.file,
        },
    }


def _plain(value: Any) -> Any:
    """Facts of a record as JSON values: a rule, such as what a backbone wants to see, is a mapping."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value


def _print_record(shown: dict[str, Any]) -> None:
    out = console()
    out.print(f"{shown['kind']} {shown['name']}", style="bold")
    provider, card = shown["provider"], shown["card"] or {}
    version = f" ({provider['distribution']} {provider['version']})" if provider["distribution"] else ""
    rounds = []
    for part in shown["rounds"] or ():
        uses = [part["generator"], *part["refiners"], part["segmenter"]]
        rounds.append(" -> ".join(use["name"] for use in uses) + (" (warm start)" if part["warm_start"] else ""))
    facts = {
        "summary": shown["summary"],
        "supervision": shown["supervision"],
        "rounds": " | ".join(rounds),
        **{key: card.get(key) for key in ("title", "paper", "year", "licence", "notes")},
        "reconstruction": "parts that no source confirms" if card.get("reconstruction") else None,
        **{key: value for key, value in shown["settings"].items() if value},
        **({"pretrained": _networks(shown["settings"])} if shown["settings"].get("pretrained") else {}),
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
    if card.get("reported"):
        columns = ("value", "dataset", "split", "backbone", "init", "crf", "source")
        words = {None: "?", True: "yes", False: "no"}
        lines = []
        for row in card["reported"]:
            cells = {**row, "value": f"{100 * row['value']:.1f}"}
            lines.append([cells["metric"], *(words.get(cells[name], str(cells[name])) for name in columns)])
        print_table(("reported", *columns), lines)
    out.print()


def _networks(settings: dict[str, Any]) -> Any:
    """Networks that were trained elsewhere, in words."""
    given = settings["pretrained"]
    return given if isinstance(given, str) else [f"{item['name']} (on {item['trained_on']})" for item in given]


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
