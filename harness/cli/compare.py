"""``wsss compare``: two rows, settings first, then paired statistics, then the images that changed most."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.records.pairing import Difference, RowPair
    from harness.scoring.changes import ImageChange

_RUNS = Path("runs")
_SCORES = {"val": "val mIoU", "pseudo": "pseudo-label mIoU"}
_LISTED = 8


class _Source(NamedTuple):
    """Where a data set is described, beside the note of its run."""

    config: Path | None
    plugins: tuple[Path, ...]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("compare")(compare)


def compare(
    before: Annotated[str, typer.Argument(metavar="A", help="Row of the table, or a folder of records.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Row to compare it with, or another folder of records.")],
    runs: Annotated[
        Path, typer.Option("--runs", help="Folder with the store and the records, or one folder of records.")
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
    from harness.cli.console import leaving_out, say
    from harness.contract import ConfigError

    if score not in _SCORES:
        raise ConfigError(f"--score: {score!r} is none of {', '.join(_SCORES)}")
    with leaving_out() as left_out:
        for pair in _pairs(before, after, runs, backbone, left_out):
            say(f"A = {pair.names[0]}, B = {pair.names[1]}")
            _print_settings(pair)
            changes = _print_statistics(pair, score, images)
            if changes and out is not None:
                source = _Source(config, tuple(plugin or ()))
                say(_sheet(pair, score, changes[:images], out, source))


def _pairs(
    before: str, after: str, runs: Path, backbone: str | None, left_out: Callable[[str], None]
) -> Sequence[RowPair]:
    from harness.records.pairing import pair_by_name, pair_folders
    from harness.records.reader import load_runs, sound_runs

    if Path(before).is_dir() and Path(after).is_dir():
        one, two = (sound_runs(load_runs(Path(side), left_out), left_out) for side in (before, after))
        return pair_folders(one, two, backbone=backbone)
    return [pair_by_name(sound_runs(load_runs(runs, left_out), left_out), before, after, backbone=backbone)]


def _print_settings(pair: RowPair) -> None:
    from harness.records.code_states import mixed_parameters
    from harness.records.pairing import code_differences, settings_differences

    for title, found in (("settings", settings_differences(pair)), ("code", code_differences(pair))):
        _print_differences(title, found)
    for sentence in mixed_parameters(dict(zip(pair.names, (pair.before, pair.after), strict=True))):
        typer.echo(sentence)


def _print_differences(title: str, found: Sequence[Difference]) -> None:
    from harness.cli.console import print_table, say

    if found:
        print_table((f"{title} that differ", "A", "B"), found)
    else:
        say(f"{title}: no difference")


def _print_statistics(pair: RowPair, score: str, images: int) -> list[ImageChange]:
    """Print what changed; returns the images, the largest change first, none where nothing can be compared."""
    from harness.cli.console import say
    from harness.records.seeds import names_of
    from harness.scoring import paired
    from harness.scoring.changes import image_changes

    reason = pair.different_images
    before, after = pair.scores(score)
    if reason or not before:
        say(f"no statistics: {reason or f'the rows share no seed with {_SCORES[score]}'}")
        return []
    resamples = pair.before[0].record.scoring.bootstrap
    (found,) = paired.compare({"B": after, "A": before}, resamples=resamples).pairs
    seeds = names_of(found.seeds)
    value, low, high = (f"{100 * number:+.2f}" for number in found.difference)
    verdict = "real at the 5 % level" if found.p <= paired.ALPHA else "not told apart"
    say(
        f"{_SCORES[score]}: B - A = {value} points, 95 % interval [{low}, {high}], p = {found.p:.4f} ({verdict}; "
        f"{len(before[found.seeds[0]])} images, {seeds} that both rows have; these images resolve about "
        f"{100 * paired.POWER_FACTOR * found.standard_error:.1f} points)"
    )
    _print_classes(pair, score, resamples)
    changes = image_changes(before, after)
    _print_images(changes, images)
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
                "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * number for number in item.change)),
                f"{item.p_holm:.4f}{' *' if item.significant else ''}",
            )
            for item in class_changes(*pair.scores(score), resamples=resamples)
        ],
    )


def _print_images(changes: Sequence[ImageChange], images: int) -> None:
    from harness.cli.console import print_table, say

    better = sum(item.change > 0 for item in changes)
    worse = sum(item.change < 0 for item in changes)
    say(f"images: {better} better in B, {worse} worse, {len(changes) - better - worse} equal (mIoU of the image)")
    print_table(
        ("changed most", "mIoU of A", "mIoU of B", "change"),
        [
            (item.image_id, f"{100 * item.before:.1f}", f"{100 * item.after:.1f}", f"{100 * item.change:+.1f}")
            for item in changes[:images]
        ],
    )


def _sheet(pair: RowPair, score: str, changes: Sequence[ImageChange], out: Path, source: _Source) -> str:
    """Write the contact sheet; returns the line that says where it is, or why there is none."""
    from harness.cli.contact_sheet import Entry, contact_sheet
    from harness.cli.runs import open_recorded, runs_folder
    from harness.common.atomic import write_atomically
    from harness.common.files import file_stem
    from harness.engine.recorded_labels import stored_labels
    from harness.engine.store.store import Store

    sides = [next(run for run in runs if run.record.status == "ok") for runs in (pair.before, pair.after)]
    if not all(run.record.dataset.show_images for run in sides):
        return "no contact sheet: the licence flag of the data set (show_images) does not allow pictures"
    dataset = open_recorded(sides[0], source.config, source.plugins)
    if not dataset.show_images:
        return "no contact sheet: the licence flag of the data set (show_images) does not allow pictures"
    seed = min(pair.scores(score)[0])
    chosen = [next(run for run in runs if run.record.seed == seed) for runs in (pair.before, pair.after)]
    one, two = (stored_labels(Store(runs_folder(run.path)), run.record, score) for run in chosen)
    if one is None or two is None:
        return "no contact sheet: the store does not hold the label maps of both rows any more"
    entries = (
        Entry(
            f"{item.image_id}: mIoU {100 * item.before:.1f} -> {100 * item.after:.1f}",
            dataset.image(item.image_id),
            dataset.mask(item.image_id),
            one.mask(item.image_id),
            two.mask(item.image_id),
        )
        for item in changes
    )
    headers = ("image", "truth", f"A: {pair.labels[0]}", f"B: {pair.labels[1]}", "orange A right, blue B right")
    names = [*pair.labels, pair.before[0].record.backbone, score]
    path = out / f"{'--'.join(map(file_stem, names))}.png"
    write_atomically(path, contact_sheet(entries, headers, dataset.classes))
    return f"contact sheet: {path} (label maps of seed {seed})"
