"""``wsss export``: labels, predictions and the network of a row as files that need no wsss."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from harness.cli import completion
from harness.cli.console import say

if TYPE_CHECKING:
    from harness.export import Row
    from harness.export.model import Comparison

_RUNS = Path("runs")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("export")(export)


def export(
    row: Annotated[str, completion.ROW_OR_CELL],
    *,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="DIR", help="Write the pseudo labels of the training images.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option("--predictions", metavar="DIR", help="Write the predictions of validation images."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="DIR", help="Write the segmenter for mmseg, and as ONNX.")
    ] = None,
    onnx: Annotated[
        bool | None, typer.Option("--onnx/--no-onnx", help="With --model: ONNX too; default: where it is installed.")
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
    runs: Annotated[
        Path,
        typer.Option(
            "--runs", help="Folder of store and records, or of records.", autocompletion=completion.runs_folders
        ),
    ] = _RUNS,
    config: Annotated[
        Path | None, typer.Option("--config", help="Benchmark file that names the data set; default: as the run noted.")
    ] = None,
    plugin: Annotated[
        list[Path] | None, typer.Option("--plugin", help="Plugin file that brings the data set's reader. Repeatable.")
    ] = None,
) -> None:
    """Write labels, predictions or the network of a row into a folder, for use without wsss; a README says what it is.

    Masks are palette PNGs with the data set's own class ids, 255 is ignored; the list of ids and the classes stand
    beside them. The network is a configuration and a checkpoint that mmseg loads. A folder is written whole or not at
    all.
    """
    from harness.api.exporting import export_row
    from harness.cli.console import progress_bars
    from harness.export import find_row

    found: list[Row] = []

    def find() -> Row:
        found.append(find_row(runs, row, seed=seed, backbone=backbone))
        return found[0]

    with progress_bars() as tell:
        written = export_row(
            find,
            labels=labels,
            predictions=predictions,
            model=model,
            onnx=onnx,
            ids=ids,
            form=form,
            soft=soft,
            force=force,
            config=config,
            plugins=plugin or (),
            tell=tell,
        )
    for item in written:
        agreement = f" ({_agreement(item.comparison)})" if item.what == "model" else ""
        say(f"{item.what} of {found[0].name}: {item.folder}{agreement}")


def _agreement(comparison: Comparison | None) -> str:
    """How the exported network predicts beside the store."""
    if comparison is None:
        return "not compared with the stored predictions, see its README"
    return (
        f"{comparison.different:,} of {comparison.pixels:,} pixels of {comparison.images} validation images differ "
        "from the stored predictions"
    )
