"""``wsss verify``: recompute every number of a record from the stored label maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from harness.contract.interfaces import Dataset

DIFFERENT = 3


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("verify")(verify)


def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A record, a folder of records, or a runs folder.")],
    config: Annotated[
        Path | None, typer.Option("--config", help="Benchmark file that names the data set; default: as the run noted.")
    ] = None,
    plugin: Annotated[
        list[Path] | None, typer.Option("--plugin", help="Plugin file that brings the data set's reader. Repeatable.")
    ] = None,
) -> None:
    """Recompute every number of the records from the stored label maps and the data set's masks.

    A confirmed record gets a mark that tables show as verified; an edit of the record loses it. Exit code 0 when every
    number was confirmed, 3 on any difference or where the store lacks label maps, 2 for wrong input.
    """
    from harness.cli.console import say
    from harness.contract.errors import StoreError
    from harness.engine.recorded_data import open_recorded
    from harness.engine.store.store import Store
    from harness.engine.verify import settle
    from harness.engine.verify import verify as recompute
    from harness.leaderboard import load_runs
    from harness.records.files import runs_folder

    datasets: dict[tuple[Path, str], Dataset] = {}
    different = 0
    unreadable: list[str] = []
    unmarked: str | None = None
    for item in load_runs(run if run.is_dir() else [run], unreadable.append):
        if item.record.status != "ok":
            say(f"{item.path.stem}: no numbers ({item.record.status})")
            continue
        key = runs_folder(item.path), item.record.fingerprint
        if key not in datasets:
            datasets[key] = open_recorded(item, config, plugin or ())
        differences = recompute(item.path, item.record, Store(key[0]), datasets[key])
        try:
            settle(item.path, verified=not differences)
        except StoreError as error:  # a folder that can only be read is verified all the same
            unmarked = str(error)
        different += bool(differences)
        say(f"{item.path.stem}: {'differs' if differences else 'verified'}")
        for sentence in differences:
            say(f"  {sentence}")
    for sentence in unreadable:
        say(f"not verified: {sentence}")
    if unmarked:
        say(f"{unmarked}: tables cannot show what this found")
    if different or unreadable:
        raise typer.Exit(DIFFERENT)
