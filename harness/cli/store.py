"""``wsss store``: what a runs folder holds, and taking away what nobody needs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import completion

if TYPE_CHECKING:
    from harness.engine.store.gc import Item

app = typer.Typer(name="store", help="Look at the artifacts of a runs folder and prune them.", no_args_is_help=True)

Runs = Annotated[
    Path,
    typer.Option("--runs", help="Folder of store and records.", autocompletion=completion.runs_folders),
]
Keep = Annotated[
    list[Path] | None,
    typer.Option("--keep", help="Benchmark file whose stages all stay, finished or not. Repeatable."),
]
PluginFiles = Annotated[list[Path] | None, typer.Option("--plugin", help="Plugin file that --keep needs. Repeatable.")]

_RUNS = Path("runs")


@app.command("list")
def list_(runs: Runs = _RUNS, keep: Keep = None, plugin: PluginFiles = None) -> None:
    """Show what the store holds by stage, and how much of it `wsss store gc` would delete."""
    from harness.cli.console import print_table
    from harness.engine.store.gc import Rules, survey
    from harness.engine.store.store import Store

    items = survey(Store(_existing(runs)), Rules(plans=_plans(runs, keep, plugin)))
    unused = {what: (count, size) for what, count, size in _by_kind(item for item in items if not item.needed)}
    lines = []
    for what, count, size in (*_by_kind(items), ("total", *_total(items))):
        gone = _total(item for item in items if not item.needed) if what == "total" else unused.get(what, (0, 0))
        lines.append((what, str(count), _mib(size), str(gone[0]), _mib(gone[1])))
    print_table(("what", "number", "MiB", "unused", "MiB unused"), lines)


@app.command("gc")
def gc(
    *,
    runs: Runs = _RUNS,
    keep: Keep = None,
    plugin: PluginFiles = None,
    older_than: Annotated[
        float, typer.Option("--older-than", min=0, help="Delete only what was written more than so many days ago.")
    ] = 0.0,
    evidence_only: Annotated[
        bool, typer.Option("--evidence-only", help="Of a record keep only what `wsss verify` needs.")
    ] = False,
    all_artifacts: Annotated[
        bool, typer.Option("--all-artifacts", help="Keep nothing for records; they cannot be verified any more.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing, only show what would go.")] = False,
) -> None:
    """Delete artifacts that nobody needs, damaged ones, and what killed processes left. Records always stay.

    By default every artifact stays that a record names or that an interrupted run computed. With --keep those stay that
    the named benchmarks need, and of all other records the label maps and confusions that `wsss verify` needs. What a
    running `wsss run` needs is never deleted.
    """
    from harness.cli.console import print_table
    from harness.engine.store.gc import Rules, collect, survey
    from harness.engine.store.store import Store

    rules = Rules(_plans(runs, keep, plugin), evidence_only, all_artifacts, older_than)
    store = Store(_existing(runs))
    items = survey(store, rules)
    gone, stayed = ([item for item in items if not item.needed], []) if dry_run else collect(store, items)
    if gone:
        print_table(("what", "number", "MiB"), [(what, str(n), _mib(size)) for what, n, size in _by_kind(gone)])
    number, size = _total(gone)
    kept, kept_size = _total(item for item in items if item.needed)
    typer.echo(f"{'would delete' if dry_run else 'deleted'}: {number} ({_mib(size)} MiB)")
    typer.echo(f"kept: {kept} ({_mib(kept_size)} MiB)")
    if stayed:
        typer.echo(f"in use, not deleted: {len(stayed)} ({_mib(_total(stayed)[1])} MiB)")


def _existing(runs: Path) -> Path:
    from harness.contract.errors import ConfigError

    if not runs.is_dir():
        raise ConfigError(f"--runs: {runs}: no such folder")
    return runs


def _plans(runs: Path, configs: Iterable[Path] | None, plugin_files: Iterable[Path] | None) -> frozenset[str] | None:
    """Keys of all stages of the named benchmarks; ``None`` when none is named."""
    from harness.api.runs import planned
    from harness.registry import manager

    if not configs:
        return None
    keys: set[str] = set()
    for config in configs:
        plugins = manager(plugin_files=tuple(plugin_files or ()), config_dir=config.parent)
        keys |= planned(config, runs, plugins).stages.keys()
    return frozenset(keys)


def _by_kind(items: Iterable[Item]) -> list[tuple[str, int, int]]:
    """(what, number, bytes), artifacts by stage name before leftovers."""
    sums: dict[str, tuple[int, int]] = {}
    for item in items:
        count, size = sums.get(item.what, (0, 0))
        sums[item.what] = count + 1, size + item.size
    return [(what, *sums[what]) for what in sorted(sums, key=lambda what: (what.startswith("("), what))]


def _total(items: Iterable[Item]) -> tuple[int, int]:
    sizes = [item.size for item in items]
    return len(sizes), sum(sizes)


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f}"
