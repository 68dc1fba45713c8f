"""``wsss export``: labels, predictions and the network of a row as files that need no wsss."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.contract.interfaces import Dataset
    from harness.export import Row

_RUNS = Path("runs")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("export")(export)


def export(
    row: Annotated[str, typer.Argument(metavar="ROW", help="Row of the table, or a cell of it: ROW--BACKBONE--sN.")],
    *,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="DIR", help="Write the pseudo labels of the training images.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option("--predictions", metavar="DIR", help="Write the predictions of validation images."),
    ] = None,
    ids: Annotated[
        Literal["dataset", "dense"],
        typer.Option("--ids", help="Values of masks: the data set's own class ids, or class indices 0, 1, 2, ..."),
    ] = "dataset",
    form: Annotated[Literal["png", "npz"], typer.Option("--format", help="Masks as palette PNG, or as .npz.")] = "png",
    soft: Annotated[bool, typer.Option("--soft", help="With --labels: also their soft scores, as .npz.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace folders that hold something.")] = False,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed, where the row has several.")] = None,
    backbone: Annotated[str | None, typer.Option("--backbone", help="Backbone, where the row has several.")] = None,
    runs: Annotated[Path, typer.Option("--runs", help="Folder of store and records, or of records.")] = _RUNS,
    config: Annotated[
        Path | None, typer.Option("--config", help="Benchmark file that names the data set; default: as the run noted.")
    ] = None,
    plugin: Annotated[
        list[Path] | None, typer.Option("--plugin", help="Plugin file that brings the data set's reader. Repeatable.")
    ] = None,
) -> None:
    """Write labels or predictions of a row into a folder, for use without wsss; a README there says what they are.

    Masks are palette PNGs with the data set's own class ids, 255 is ignored; the list of ids and the classes stand
    beside them. A folder is written whole or not at all.
    """
    from harness.cli.console import progress_bars, say
    from harness.common.folders import refuse_filled
    from harness.export import export_labels, export_predictions, find_row

    _check_options(labels, predictions, soft=soft)
    for folder in (labels, predictions):
        if folder is not None:
            refuse_filled(folder, force=force)
    chosen = find_row(runs, row, seed=seed, backbone=backbone)
    dataset = _dataset(chosen, config, plugin or ()) if ids == "dataset" else None
    with progress_bars() as tell:
        if labels is not None:
            export_labels(
                chosen,
                labels,
                ids=ids,
                form=form,
                soft=soft,
                dataset=dataset,
                force=force,
                progress=lambda done, total: tell("labels", done, total),
            )
        if predictions is not None:
            export_predictions(
                chosen,
                predictions,
                ids=ids,
                form=form,
                dataset=dataset,
                force=force,
                progress=lambda done, total: tell("predictions", done, total),
            )
    for what, folder in (("labels", labels), ("predictions", predictions)):
        if folder is not None:
            say(f"{what} of {chosen.name}: {folder}")


def _check_options(labels: Path | None, predictions: Path | None, *, soft: bool) -> None:
    from harness.contract import ConfigError

    named = [folder.absolute() for folder in (labels, predictions) if folder is not None]
    if not named:
        raise ConfigError("nothing to export: name a folder with --labels or --predictions")
    if len(set(named)) < len(named):
        raise ConfigError("--labels and --predictions: name a folder of its own for each")
    if soft and labels is None:
        raise ConfigError("--soft writes the scores behind pseudo labels: add --labels DIR")


def _dataset(row: Row, config: Path | None, plugins: Sequence[Path]) -> Dataset:
    """The data set, which says its own class ids."""
    from harness.contract import WsssError

    try:
        return row.dataset(config, plugins)
    except WsssError as error:
        raise type(error)(f"{error}; class indices need no data set: --ids dense") from None
