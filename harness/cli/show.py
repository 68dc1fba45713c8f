"""``wsss show``: one row on one screen, and its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import completion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api.row_sheet import RowFacts
    from harness.leaderboard.page.panels import Gallery

_RUNS = Path("runs")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("show")(show)


def show(
    row: Annotated[str, typer.Argument(metavar="ROW", help="Row of the table.", autocompletion=completion.rows)],
    *,
    runs: Annotated[
        Path,
        typer.Option(
            "--runs",
            help="Folder of store and records, or one folder of records.",
            autocompletion=completion.runs_folders,
        ),
    ] = _RUNS,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed whose losses, stages and files are shown; default: the first.")
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option("--backbone", help="Only rows with this backbone.", autocompletion=completion.row_backbones),
    ] = None,
    open_: Annotated[
        bool, typer.Option("--open", help="Write a page with pictures of the row beside the row full, and open it.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the page; by default `pages` in the runs folder.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Benchmark file that names the data set, for the pictures.")
    ] = None,
    plugin: Annotated[
        list[Path] | None,
        typer.Option("--plugin", help="Plugin file that brings the row's components or the data set. Repeatable."),
    ] = None,
) -> None:
    """Show one row: settings, supervision and price, numbers with intervals, classes, losses, stages, files.

    Settings of the row come first, where they differ from the defaults of its method, then those that all rows share,
    where they differ from the defaults of the harness. With several seeds, losses, stages and files are those of one.
    """
    from harness.api.showing import show_row
    from harness.cli.console import console, leaving_out, say
    from harness.records.reader import load_runs
    from harness.registry import manager

    with leaving_out() as left_out:
        found = load_runs(runs, left_out)
        sheet = show_row(
            found, row, seed=seed, backbone=backbone, manager=manager(plugin_files=plugin or ()), left_out=left_out
        )
        console().print(sheet, crop=False)
        if open_:
            path = _page(sheet.facts, out=out, config=config, plugins=plugin or ())
            say(f"page: {path}")
            typer.launch(str(path))


def _page(facts: RowFacts, *, out: Path | None, config: Path | None, plugins: Sequence[Path]) -> Path:
    """Write the page of the row beside the row ``full``, with pictures where the licence allows them."""
    from harness.common.atomic import write_atomically
    from harness.common.files import file_stem
    from harness.leaderboard.page.page import to_html
    from harness.records.files import runs_folder

    folder = runs_folder(facts.cell.path)
    path = (out or folder / "pages") / f"{file_stem(facts.cell.path.stem.rpartition('--')[0])}.html"
    board = facts.board.model_copy(update={"gallery": _pictures(facts, folder, config, plugins)})
    write_atomically(path, to_html(board))
    return path.resolve()


def _pictures(facts: RowFacts, folder: Path, config: Path | None, plugins: Sequence[Path]) -> Gallery | None:
    """The pictures of the row; where there are none, says why."""
    from harness.cli.console import say
    from harness.cli.gallery import collect
    from harness.contract import WsssError
    from harness.engine.recorded_data import open_recorded

    if not all(run.record.dataset.show_images for run in facts.compared):
        say("no pictures: the licence flag of the data set (show_images) does not allow them")
        return None
    try:
        dataset = open_recorded(facts.cell, config, plugins)
    except WsssError as error:
        say(f"no pictures: {error}")
        return None
    gallery = collect(dataset, facts.record.dataset, folder, facts.compared) if dataset.show_images else None
    if gallery is None:
        say("no pictures: the store does not hold the label maps any more, or the licence flag does not allow them")
    return gallery
