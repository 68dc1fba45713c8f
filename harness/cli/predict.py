"""``wsss predict``: label maps of new images by the segmenter of a row."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from harness.cli import completion

_RUNS = Path("runs")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("predict")(predict)


def predict(
    row: Annotated[str, completion.ROW_OR_CELL],
    images: Annotated[
        Path, typer.Argument(metavar="IMAGES", help="An image, a folder of images, or a text file of paths.")
    ],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the label maps.")],
    overlay: Annotated[bool, typer.Option("--overlay", help="Also write each image under its labels.")] = False,
    crf: Annotated[
        bool | None, typer.Option("--crf/--no-crf", help="Refine by a dense CRF; default: as the protocol says.")
    ] = None,
    ids: Annotated[
        Literal["dense", "dataset"],
        typer.Option("--ids", help="Values of label maps: class indices, or the data set's own class ids."),
    ] = "dense",
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Where to compute.")] = "auto",
    seed: Annotated[int | None, typer.Option("--seed", help="Seed, where the row has several.")] = None,
    backbone: Annotated[str | None, typer.Option("--backbone", help="Backbone, where the row has several.")] = None,
    runs: Annotated[
        Path,
        typer.Option(
            "--runs", help="Folder of store and records, or of records.", autocompletion=completion.runs_folders
        ),
    ] = _RUNS,
    plugin: Annotated[
        list[Path] | None, typer.Option("--plugin", help="Plugin file that brings the data set's reader. Repeatable.")
    ] = None,
) -> None:
    """Predict new images as the protocol of the row predicts: NAME.png for each, a palette PNG of class indices.

    Images may have any size; masks are not needed. An image that cannot be read is named, the others are done, and the
    exit code is 3. What the folder holds already is replaced image by image.
    """
    from harness.cli.console import leaving_out, progress_bars, say
    from harness.common.atomic import write_atomically
    from harness.export import find_images, find_row, load_model, predict_images
    from harness.export.labels import CLASSES, class_table
    from harness.export.predict import chosen_device

    found = find_images(images, out)
    chosen = find_row(runs, row, seed=seed, backbone=backbone)
    table = class_table(chosen, ids, chosen.dataset(None, plugin or ()) if ids == "dataset" else None)
    model = load_model(chosen, device=chosen_device(device), crf=crf)
    with leaving_out() as left_out, progress_bars() as tell:
        done = predict_images(
            model,
            found,
            out,
            table,
            overlay=overlay,
            left_out=left_out,
            progress=lambda number, total: tell("images", number, total),
        )
        write_atomically(out / CLASSES, table.to_csv(), durable=False)
        say(f"{done} of {len(found)} images predicted by {chosen.name}: {out}")
