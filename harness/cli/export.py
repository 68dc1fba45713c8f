"""``wsss export``: labels, predictions and the network of a row as files that need no wsss."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from harness.cli.console import say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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
    runs: Annotated[Path, typer.Option("--runs", help="Folder of store and records, or of records.")] = _RUNS,
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
    from harness.cli.console import progress_bars
    from harness.common.folders import refuse_filled
    from harness.export import export_labels, export_predictions, find_row

    folders = {"--labels": labels, "--predictions": predictions, "--model": model}
    _check_options(folders, soft=soft, onnx=onnx)
    for folder in folders.values():
        if folder is not None:
            refuse_filled(folder, force=force)
    chosen = find_row(runs, row, seed=seed, backbone=backbone)
    opened = _Opened(chosen, config, plugin or ())
    with progress_bars() as tell:
        masks: list[tuple[str, Path | None, Callable[..., Path]]] = [
            ("labels", labels, partial(export_labels, soft=soft)),
            ("predictions", predictions, export_predictions),
        ]
        for what, folder, write in masks:
            if folder is not None:
                write(
                    chosen,
                    folder,
                    ids=ids,
                    form=form,
                    dataset=opened.needed if ids == "dataset" else None,
                    force=force,
                    progress=partial(tell, what),
                )
                say(f"{what} of {chosen.name}: {folder}")
    if model is not None:
        _export_model(chosen, model, opened, onnx=onnx, force=force)


def _check_options(folders: Mapping[str, Path | None], *, soft: bool, onnx: bool | None) -> None:
    from harness.contract import ConfigError

    named = [folder.absolute() for folder in folders.values() if folder is not None]
    if not named:
        raise ConfigError(f"nothing to export: name a folder with {', '.join(folders)}")
    if len(set(named)) < len(named):
        raise ConfigError(f"{', '.join(folders)}: name a folder of its own for each")
    if soft and folders["--labels"] is None:
        raise ConfigError("--soft writes the scores behind pseudo labels: add --labels DIR")
    if onnx is not None and folders["--model"] is None:
        raise ConfigError("--onnx and --no-onnx are about the network: add --model DIR")


def _export_model(row: Row, out: Path, opened: _Opened, *, onnx: bool | None, force: bool) -> None:
    from harness.export import export_model

    comparison = export_model(row, out, onnx=onnx, dataset=opened.at_hand, force=force)
    told = "not compared with the stored predictions, see its README"
    if comparison is not None:
        told = (
            f"{comparison.different:,} of {comparison.pixels:,} pixels of {comparison.images} validation images differ "
            "from the stored predictions"
        )
    say(f"model of {row.name}: {out} ({told})")


class _Opened:
    """The data set of a row, opened where it is asked for."""

    def __init__(self, row: Row, config: Path | None, plugins: Sequence[Path]) -> None:
        self._open: Callable[[], Dataset] = lambda: row.dataset(config, plugins)

    @cached_property
    def needed(self) -> Dataset:
        """For its own class ids."""
        from harness.contract import WsssError

        try:
            return self._open()
        except WsssError as error:
            raise type(error)(f"{error}; class indices need no data set: --ids dense") from None

    @property
    def at_hand(self) -> Dataset | None:
        """For a comparison with its images, which need not be there."""
        from harness.contract import WsssError

        try:
            return self._open()
        except WsssError:
            return None
