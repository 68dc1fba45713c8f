"""``wsss compare``: two rows, settings first, then paired statistics, then the images that changed most."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.records.pairing import RowPair
    from harness.scoring.changes import ImageChange

_RUNS = Path("runs")
_SCORES = {"val": "val mIoU", "pseudo": "pseudo-label mIoU"}
_LISTED = 8


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("compare")(compare)


def compare(
    before: Annotated[str, typer.Argument(metavar="A", help="Row of the table, or a folder of records.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Row to compare it with, or another folder of records.")],
    *,
    runs: Annotated[
        Path, typer.Option("--runs", help="Folder of store and records, or one folder of records.")
    ] = _RUNS,
    backbone: Annotated[str | None, typer.Option("--backbone", help="Only rows with this backbone.")] = None,
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
    from harness.cli.console import leaving_out, print_table, say
    from harness.contract import ConfigError
    from harness.records.code_states import mixed_parameters
    from harness.records.pairing import code_differences, pair_by_name, pair_folders, settings_differences
    from harness.records.reader import load_runs, sound_runs

    if score not in _SCORES:
        raise ConfigError(f"--score: {score!r} is none of {', '.join(_SCORES)}")
    with leaving_out() as left_out:
        if Path(before).is_dir() and Path(after).is_dir():
            sides = [sound_runs(load_runs(Path(side), left_out), left_out) for side in (before, after)]
            pairs = pair_folders(sides[0], sides[1], backbone=backbone)
        else:
            pairs = [pair_by_name(sound_runs(load_runs(runs, left_out), left_out), before, after, backbone=backbone)]
        for pair in pairs:
            say(f"A = {pair.names[0]}, B = {pair.names[1]}")
            for what, differences in (("settings", settings_differences(pair)), ("code", code_differences(pair))):
                if differences:
                    print_table((f"{what} that differ", "A", "B"), differences)
                else:
                    say(f"{what}: no difference")
            for sentence in mixed_parameters(dict(zip(pair.names, (pair.before, pair.after), strict=True))):
                typer.echo(sentence)
            changes = _print_statistics(pair, score, images)
            if changes and out is not None:
                say(_sheet(pair, score, changes[:images], out=out, config=config, plugins=plugin or ()))


def _print_statistics(pair: RowPair, score: str, images: int) -> list[ImageChange]:
    """Print what changed; returns the images, the largest change first, none where nothing can be compared."""
    from harness.cli.console import print_table, say
    from harness.records.seeds import names_of
    from harness.scoring import paired
    from harness.scoring.changes import image_changes

    reason = pair.different_images
    before, after = pair.scores(score)
    if reason or not before:
        say(f"no statistics: {reason or f'the rows share no seed with {_SCORES[score]}'}")
        return []
    resamples = pair.before[0].record.scoring.bootstrap
    (test,) = paired.compare({"B": after, "A": before}, resamples=resamples).pairs
    seeds = names_of(test.seeds)
    value, low, high = (f"{100 * number:+z.2f}" for number in test.difference)
    verdict = "real at the 5 % level" if test.p <= paired.ALPHA else "not told apart"
    say(
        f"{_SCORES[score]}: B - A = {value} points, 95 % interval [{low}, {high}], p = {test.p:.4f} ({verdict}; "
        f"{len(before[test.seeds[0]])} images, {seeds} that both rows have; these images resolve about "
        f"{100 * paired.POWER_FACTOR * test.standard_error:.1f} points)"
    )
    _print_classes(pair, score, resamples)
    changes = image_changes(before, after)
    better = sum(item.change > 0 for item in changes)
    worse = sum(item.change < 0 for item in changes)
    say(f"images: {better} better in B, {worse} worse, {len(changes) - better - worse} equal (mIoU of the image)")
    print_table(
        ("changed most", "mIoU of A", "mIoU of B", "change"),
        [
            (item.image_id, f"{100 * item.before:.1f}", f"{100 * item.after:.1f}", f"{100 * item.change:+z.1f}")
            for item in changes[:images]
        ],
    )
    return changes


def _print_classes(pair: RowPair, score: str, resamples: int) -> None:
    from harness.cli.console import print_table
    from harness.scoring.changes import class_changes

    names = pair.before[0].record.dataset.classes
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
            for item in class_changes(*pair.scores(score), resamples=resamples)
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
    from harness.cli.runs import open_recorded, runs_folder
    from harness.common.atomic import write_atomically
    from harness.common.files import file_stem
    from harness.engine.recorded_labels import stored_labels
    from harness.engine.store.store import Store

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
