"""The records of a folder as one object: what a notebook asks instead of a command.

Unusual here: a record that cannot be used is left out like in every command; ``Runs.left_out`` says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.showing import cell_of
from harness.records.comparison import RowComparison, compare_rows
from harness.records.pairing import RowPair, named_row
from harness.records.reader import Run, load_runs, sound_runs

if TYPE_CHECKING:
    import pandas as pd

    from harness.api.exporting import Exported
    from harness.api.model import TrainedModel
    from harness.api.row_text import RowSheet
    from harness.contract.arrays import Mask, SoftScores
    from harness.contract.interfaces import Dataset
    from harness.export import Row
    from harness.export.labels import Form, Ids
    from harness.maps.labels import LabelReader
    from harness.registry import PluginManager


def load(runs: str | Path = "runs", *, plugins: Sequence[str | Path] = ()) -> Runs:
    """Open the records of a runs folder, or of one folder of records.

    Args:
        runs: The folder.
        plugins: Plugin files that bring the data set's reader, or a metric.

    Raises:
        ConfigError: The folder is missing or holds no record.
        DataError: Not one record can be used.
    """
    left_out: list[str] = []
    sound = sound_runs(load_runs(Path(runs), left_out.append), left_out.append)
    return Runs(Path(runs), sound, left_out=left_out, plugins=[Path(file) for file in plugins])


class Runs:
    """Rows with their numbers, labels and networks.

    A row is named by its label in the table. Where a folder holds the label on several backbones, ``backbone`` says
    which one; where it holds several settings, open one of their folders of records.

    Attributes:
        folder: What was opened.
        left_out: Why a record is not here, one sentence each.
    """

    def __init__(
        self, folder: Path, runs: Sequence[Run], *, left_out: Sequence[str] = (), plugins: Sequence[Path] = ()
    ) -> None:
        self.folder = folder
        self.left_out = tuple(left_out)
        self._runs = tuple(runs)
        self._plugin_files = tuple(plugins)

    def __repr__(self) -> str:
        more = f", {len(self.left_out)} records left out" if self.left_out else ""
        failed = [run.record for run in self._runs if run.record.status != "ok"]
        if failed:
            error = failed[0].error
            more += (
                f", {len(failed)} without numbers ({failed[0].label}: {error.message if error else failed[0].status})"
            )
        return f"Runs({str(self.folder)!r}: {len(self._runs)} cells of {', '.join(self.rows)}{more})"

    @cached_property
    def rows(self) -> tuple[str, ...]:
        """The labels of all rows, in the order of their names."""
        return tuple(sorted({run.record.label for run in self._runs}))

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One line for each cell (row, backbone, seed), in the columns of the CSV that ``wsss leaderboard`` writes.

        Shares are fractions of 1. Columns that only several seeds or rows have, such as the rank, are not here.
        """
        from harness.leaderboard.metrics import usual_metrics
        from harness.leaderboard.render import cell_frame

        return cell_frame(self._runs, usual_metrics(self._plugins))

    @cached_property
    def _plugins(self) -> PluginManager:
        from harness.registry import manager

        return manager(plugin_files=self._plugin_files)

    def leaderboard(
        self, *, columns: str | Sequence[str] | None = None, allow_mixed: bool = False, strict: bool = False
    ) -> pd.DataFrame:
        """One line for each row over its seeds, ranked, as ``wsss leaderboard --format csv`` writes them.

        Args:
            columns: Names of columns or metrics; all columns and the usual metrics by default.
            allow_mixed: Put records of different settings into one table.
            strict: Refuse rows that different states of the code or parameters computed.

        Raises:
            ConfigError: A column is unknown, the records are of different settings, or ``strict``.
        """
        from harness.leaderboard import build_board
        from harness.leaderboard.chosen import asked_columns
        from harness.leaderboard.render import row_frame

        text = columns if columns is None or isinstance(columns, str) else ",".join(columns)
        chosen, metrics = asked_columns(text, self._plugins)
        board = build_board(self._runs, allow_mixed=allow_mixed, strict=strict, metrics=metrics)
        return row_frame(board.model_copy(update={"columns": chosen}))

    def compare(self, a: str, b: str, *, score: str = "val", backbone: str | None = None) -> RowComparison:
        """Two rows side by side, as ``wsss compare`` tells them: changes are ``b`` minus ``a``.

        Args:
            a: A row.
            b: The row that it is compared with.
            score: ``val`` (predictions) or ``pseudo`` (pseudo labels).
            backbone: Only rows with this backbone.

        Raises:
            ConfigError: A label is no row, or several; or there is no such score.
        """
        sides = (named_row(self._runs, label, backbone=backbone) for label in (a, b))
        return compare_rows(RowPair(*sides), score)

    def labels(
        self, row: str, *, round: int | None = None, seed: int | None = None, backbone: str | None = None
    ) -> Labels:
        """The pseudo labels of the training images, by image: those that the row's segmenter was trained on.

        Args:
            row: A row.
            round: One of its rounds; by default the last.
            seed: One of its seeds; by default the first that has numbers.
            backbone: Only rows with this backbone.

        Raises:
            ConfigError: There is no such row, seed or round.
            StoreError: The store does not hold them any more.
        """
        return Labels(self._cell(row, seed, backbone).labels(round))

    def predictions(self, row: str, *, seed: int | None = None, backbone: str | None = None) -> Labels:
        """The predictions of the validation images, by image; the arguments are those of ``labels``.

        Raises:
            ConfigError: There is no such row or seed.
            StoreError: The store does not hold them any more, or the row has none.
        """
        return Labels(self._cell(row, seed, backbone).predictions())

    def dataset(self, row: str, *, config: str | Path | None = None, backbone: str | None = None) -> Dataset:
        """The data set of a row: ``ids(split)``, ``image(id)``, ``mask(id)`` and more.

        Args:
            row: A row.
            config: Benchmark file that says how to open it; by default as the run noted.
            backbone: Only rows with this backbone.

        Raises:
            ConfigError: There is no such row, or nothing says how to open its data set.
            DataError: The data set is missing, or has other classes or numbers of images.
        """
        return self._cell(row, None, backbone).dataset(_path(config), self._plugin_files)

    def model(
        self,
        row: str,
        *,
        device: str = "auto",
        crf: bool | None = None,
        seed: int | None = None,
        backbone: str | None = None,
    ) -> TrainedModel:
        """The trained segmenter of a row: a torch module, whose ``predict(image)`` labels any image.

        Args:
            row: A row.
            device: ``auto``, ``cpu`` or ``cuda``.
            crf: Whether a dense CRF refines the scores; by default as the protocol says.
            seed: One of its seeds; by default the first that has numbers.
            backbone: Only rows with this backbone.

        Raises:
            ConfigError: There is no such row or seed.
            StoreError: The store does not hold it any more, or the row ends with its labels.
        """
        from harness.api.model import TrainedModel
        from harness.export.predict import chosen_device, load_model

        cell = self._cell(row, seed, backbone)
        predictor = load_model(cell, device=chosen_device(device), crf=crf)
        return TrainedModel(predictor, tuple(cell.record.dataset.classes))

    def export(
        self,
        row: str,
        *,
        labels: str | Path | None = None,
        predictions: str | Path | None = None,
        model: str | Path | None = None,
        onnx: bool | None = None,
        ids: Ids = "dataset",
        format: Form = "png",
        soft: bool = False,
        force: bool = False,
        seed: int | None = None,
        backbone: str | None = None,
        config: str | Path | None = None,
    ) -> list[Exported]:
        """Write labels, predictions or the network of a row into folders, as ``wsss export`` does.

        Args:
            row: A row.
            labels: Folder of the pseudo labels.
            predictions: Folder of the predictions.
            model: Folder of the network, for mmseg.
            onnx: The network as ONNX too; by default where that is installed.
            ids: ``dataset`` for the data set's own class ids, ``dense`` for class indices.
            format: ``png`` or ``npz``.
            soft: Also the soft scores behind the labels.
            force: Replace folders that hold something.
            seed: One of its seeds; by default the first that has numbers.
            backbone: Only rows with this backbone.
            config: Benchmark file that names the data set; by default as the run noted.

        Returns:
            What was written where.

        Raises:
            ConfigError: The options do not fit together, a folder is not empty, or there is no such row.
            DataError: The data set is missing, and its class ids are asked for.
            StoreError: The store does not hold what is asked for, or nothing can be written.
        """
        from harness.api.exporting import export_row

        return export_row(
            lambda: self._cell(row, seed, backbone),
            labels=_path(labels),
            predictions=_path(predictions),
            model=_path(model),
            onnx=onnx,
            ids=ids,
            form=format,
            soft=soft,
            force=force,
            config=_path(config),
            plugins=self._plugin_files,
        )

    def show(self, row: str, *, seed: int | None = None, backbone: str | None = None) -> RowSheet:
        """One row on one screen, as ``wsss show`` prints it: the value's text, and in a notebook what the cell shows.

        Args:
            row: A row.
            seed: The seed whose losses, stages and files are told; by default the first that has numbers.
            backbone: Only rows with this backbone.

        Raises:
            ConfigError: There is no such row or seed, or the row is there several times.
        """
        from harness.api.showing import show_row

        ignored: list[str] = []  # the same records were read before, and what was left out is known
        return show_row(self._runs, row, seed=seed, backbone=backbone, manager=self._plugins, left_out=ignored.append)

    def _cell(self, row: str, seed: int | None, backbone: str | None) -> Row:
        """The cell of a row with this seed, by default the first that has numbers."""
        from harness.export import Row

        return Row(cell_of(named_row(self._runs, row, backbone=backbone), seed))


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


class Labels(Mapping[str, "Mask"]):
    """Image id -> (H, W) uint8 class indices, 255 = ignore; each is read from disk when it is asked for."""

    def __init__(self, reader: LabelReader) -> None:
        self._reader = reader
        self._ids = frozenset(reader.ids)

    def __getitem__(self, image_id: str) -> Mask:
        if image_id not in self._ids:
            raise KeyError(image_id)
        return self._reader.mask(image_id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._reader.ids)

    def __len__(self) -> int:
        return len(self._reader.ids)

    def __repr__(self) -> str:
        return f"Labels({len(self)} images)"

    def scores(self, image_id: str) -> SoftScores | None:
        """Soft scores of an image, ``None`` where the row has none."""
        return self._reader.scores(image_id)
