"""``wsss compare``: two rows, settings first, then paired statistics, then the images that changed most."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import completion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.records.comparison import RowComparison, Statistics
    from harness.records.pairing import RowPair
    from harness.scoring.changes import ImageChange

_RUNS = Path("runs")
_LISTED = 8


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("compare")(compare)


def compare(
    before: Annotated[
        str,
        typer.Argument(metavar="A", help="Row of the table, or a folder of records.", autocompletion=completion.rows),
    ],
    after: Annotated[
        str,
        typer.Argument(
            metavar="B", help="Row to compare it with, or another folder of records.", autocompletion=completion.rows
        ),
    ],
    *,
    runs: Annotated[
        Path,
        typer.Option(
            "--runs",
            help="Folder of store and records, or one folder of records.",
            autocompletion=completion.runs_folders,
        ),
    ] = _RUNS,
    backbone: Annotated[
        str | None,
        typer.Option("--backbone", help="Only rows with this backbone.", autocompletion=completion.row_backbones),
    ] = None,
    score: Annotated[str, typer.Option("--score", help="val (predictions) or pseudo (pseudo labels).")] = "val",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for a contact sheet (PNG) of the images that changed most.")
    ] = None,
    images: Annotated[int, typer.Option("--images", min=1, help="Images that are listed and shown.")] = _LISTED,
    config: Annotated[
        Path | None, typer.Option("--config", help="Benchmark file that names the data set, for the contact sheet.")
    ] = None,
    plugin: Annotated[
        list[Path] | None, typer.Option("--plugin", help="Plugin file that brings the data set's reader. Repeatable.")
    ] = None,
) -> None:
    """Compare two rows: differences of settings and code, paired statistics, images that changed most.

    A and B are rows of one table (--runs), or two folders of records whose common rows are compared. Changes are B
    minus A; several seeds are compared seed by seed on the same images.
    """
    from harness.cli.console import leaving_out
    from harness.contract import ConfigError
    from harness.records.comparison import SCORES, compare_rows
    from harness.records.pairing import pair_by_name, pair_folders
    from harness.records.reader import load_runs, sound_runs

    if score not in SCORES:
        raise ConfigError(f"--score: {score!r} is none of {', '.join(SCORES)}")
    with leaving_out() as left_out:
        if Path(before).is_dir() and Path(after).is_dir():
            sides = [sound_runs(load_runs(Path(side), left_out), left_out) for side in (before, after)]
            pairs = pair_folders(sides[0], sides[1], backbone=backbone)
        else:
            pairs = [pair_by_name(sound_runs(load_runs(runs, left_out), left_out), before, after, backbone=backbone)]
        for pair in pairs:
            _print(compare_rows(pair, score), images, out=out, config=config, plugins=plugin or ())


def _print(
    compared: RowComparison, images: int, *, out: Path | None, config: Path | None, plugins: Sequence[Path]
) -> None:
    """Settings, then statistics, then images, and the contact sheet where ``out`` asks for it."""
    from harness.cli.console import print_table, say

    say("A = {}, B = {}".format(*compared.pair.names))
    for what, differences in (("settings", compared.settings), ("code", compared.code)):
        if differences:
            print_table((f"{what} that differ", "A", "B"), differences)
        else:
            say(f"{what}: no difference")
    for sentence in compared.warnings:
        typer.echo(sentence)
    say(compared.sentence())
    if compared.statistics is None:
        return
    _print_changes(compared, compared.statistics, images)
    changes = compared.statistics.changes[:images]
    if changes and out is not None:
        say(_sheet(compared.pair, compared.score, changes, out=out, config=config, plugins=plugins))


def _print_changes(compared: RowComparison, found: Statistics, images: int) -> None:
    """What changed in the classes, and the images that changed most."""
    from harness.cli.console import print_table, say

    names = compared.pair.before[0].record.dataset.classes
    print_table(
        ("class", "IoU of A", "IoU of B", "change [95 %]", "p (Holm)"),
        [
            (
                names[item.cls],
                f"{100 * item.before:.1f}",
                f"{100 * item.after:.1f}",
                change_text(*(100 * number for number in item.change)),
                f"{item.p_holm:.4f}{' *' if item.significant else ''}",
            )
            for item in found.classes
        ],
    )
    better = sum(item.change > 0 for item in found.changes)
    worse = sum(item.change < 0 for item in found.changes)
    equal = len(found.changes) - better - worse
    say(f"images: {better} better in B, {worse} worse, {equal} equal (mIoU of the image)")
    print_table(
        ("changed most", "mIoU of A", "mIoU of B", "change"),
        [
            (item.image_id, f"{100 * item.before:.1f}", f"{100 * item.after:.1f}", f"{100 * item.change:+z.1f}")
            for item in found.changes[:images]
        ],
    )


def change_text(value: float, low: float, high: float) -> str:
    """A change with its interval; what rounds to nothing reads ``+0.0``."""
    return f"{value:+z.1f} [{low:+z.1f}, {high:+z.1f}]"


def _sheet(
    pair: RowPair,
    score: str,
    changes: Sequence[ImageChange],
    *,
    out: Path,
    config: Path | None,
    plugins: Sequence[Path],
) -> str:
    """Write the contact sheet; returns the line that says where it is, or why there is none."""
    from harness.cli.contact_sheet import Entry, contact_sheet
    from harness.common.atomic import write_atomically
    from harness.common.files import file_stem
    from harness.engine.recorded_data import open_recorded
    from harness.engine.recorded_labels import stored_labels
    from harness.engine.store.store import Store
    from harness.records.files import runs_folder

    sides = [next(run for run in runs if run.record.status == "ok") for runs in (pair.before, pair.after)]
    forbidden = "no contact sheet: the licence flag of the data set (show_images) does not allow pictures"
    if not all(run.record.dataset.show_images for run in sides):
        return forbidden
    dataset = open_recorded(sides[0], config, plugins)
    if not dataset.show_images:
        return forbidden
    seed = min(pair.scores(score)[0])
    chosen = [next(run for run in runs if run.record.seed == seed) for runs in (pair.before, pair.after)]
    first, second = (stored_labels(Store(runs_folder(run.path)), run.record, score) for run in chosen)
    if first is None or second is None:
        return "no contact sheet: the store does not hold the label maps of both rows any more"
    entries = (
        Entry(
            f"{item.image_id}: mIoU {100 * item.before:.1f} -> {100 * item.after:.1f}",
            dataset.image(item.image_id),
            dataset.mask(item.image_id),
            first.mask(item.image_id),
            second.mask(item.image_id),
        )
        for item in changes
    )
    headers = ("image", "truth", f"A: {pair.labels[0]}", f"B: {pair.labels[1]}", "orange A right, blue B right")
    names = [*pair.labels, pair.before[0].record.backbone, score]
    path = out / f"{'--'.join(map(file_stem, names))}.png"
    write_atomically(path, contact_sheet(entries, headers, dataset.classes))
    return f"contact sheet: {path} (label maps of seed {seed})"
