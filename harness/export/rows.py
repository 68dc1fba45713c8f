"""The one cell that a name means, and where its labels, predictions and network lie.

The artifacts of a cell are found by what its stages were made from, not by its scores: a data set without masks has
none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.text import printable
from harness.contract.errors import ConfigError, StoreError
from harness.engine.store.store import Store
from harness.records.files import runs_folder
from harness.records.reader import Run, load_runs, once_a_cell
from harness.records.seeds import list_of
from harness.registry import did_you_mean

if TYPE_CHECKING:
    from harness.contract.interfaces import Dataset
    from harness.contract.protocol import TestSettings
    from harness.contract.run_record import RunRecord
    from harness.maps.labels import LabelReader

_LISTED = 8
"""Cells that an error spells out."""


@dataclass(frozen=True)
class Row:
    """One cell of a table: a row with its backbone and seed.

    Attributes:
        run: Its record, and the file of that.
    """

    run: Run

    @property
    def record(self) -> RunRecord:
        """The run record."""
        return self.run.record

    @property
    def name(self) -> str:
        """The name of the cell, which its record is called after."""
        return self.run.path.stem

    @property
    def folder(self) -> Path:
        """The runs folder."""
        return runs_folder(self.run.path)

    @cached_property
    def store(self) -> Store:
        """The store of the runs folder."""
        return Store(self.folder)

    @property
    def settings(self) -> TestSettings:
        """How the row's segmenter predicts the scored images.

        Raises:
            ConfigError: The record does not say it, or in another way than this version.
        """
        from harness.contract.protocol import TestSettings
        from harness.data.configuration import validate

        where = f"{printable(self.run.path)}: protocol.test"
        return validate(TestSettings, self.record.protocol.get("test", {}), where=where)

    def dataset(self, config: Path | None = None, plugin_files: Sequence[Path] = ()) -> Dataset:
        """The data set, opened as the run noted or as a benchmark file says; its content is not compared.

        Raises:
            ConfigError: Nothing says how to open it.
            DataError: It is missing, or has other classes or numbers of images.
        """
        from harness.engine.recorded_data import open_recorded

        return open_recorded(self.run, config, plugin_files, content=False)

    def labels(self, round: int | None = None) -> LabelReader:
        """The pseudo labels of a round, by default of the last one.

        Raises:
            ConfigError: There is no such round.
            StoreError: The store does not hold them.
        """
        count = len(self.record.rounds)
        number = round or count
        if not 1 <= number <= count:
            raise ConfigError(f"row {self.name} has no round {number}, only 1 to {count}")
        self._refuse_without(f"r{number}/generate ", "pseudo labels")
        if not self.record.rounds[number - 1].labels:
            raise StoreError(f"row {self.name} makes its labels while it trains: it has no pseudo labels")
        scored = self._input(f"r{number}/score labels", "scored")
        keys = [scored] if scored else []
        keys += [key for name in self._stages(f"r{number}/segmenter ") if (key := self._input(name, "labels"))]
        keys += [self._keys[name] for name in self._stages(f"r{number}/generate ", f"r{number}/refine ")][-1:]
        return self._reader(keys, "pseudo labels")

    def predictions(self) -> LabelReader:
        """The predictions of the validation images.

        Raises:
            StoreError: The store does not hold them, or the row ends with its pseudo labels.
        """
        self._refuse_labels_only("predictions")
        return self._reader([self._keys[name] for name in self._stages("predict")], "predictions")

    @property
    def segmenter(self) -> Path:
        """Folder of the trained segmenter that made the predictions.

        Raises:
            StoreError: The store does not hold it, or the row ends with its pseudo labels.
        """
        self._refuse_labels_only("segmenter")
        last = f"r{len(self.record.rounds)}/segmenter "
        self._refuse_without(last, "segmenter")
        keys = [key for key in (self._input("predict", "segmenter"),) if key]
        keys += [self._keys[name] for name in self._stages(last)]
        return self.store.folder(self._sound(keys, "trained segmenter"))

    @property
    def _keys(self) -> dict[str, str]:
        return {stage.name: stage.key for stage in self.record.stages}

    def _stages(self, *beginnings: str) -> list[str]:
        return [name for name in self._keys if name.startswith(beginnings)]

    def _input(self, stage: str, name: str) -> str | None:
        """Key of what a stage was made from, as its artifact says."""
        artifact = self.store.find(self._keys[stage]) if stage in self._keys else None
        upstream = artifact.inputs.get("upstream") if artifact is not None else None
        key = upstream.get(name) if isinstance(upstream, dict) else None
        return key if isinstance(key, str) else None

    def _reader(self, keys: Iterable[str], what: str) -> LabelReader:
        from harness.maps.labels import LabelReader

        return LabelReader(self.store.folder(self._sound(keys, what)))

    def _sound(self, keys: Iterable[str], what: str) -> str:
        for key in keys:
            if self.store.open(key) is not None:
                return key
        reason = "no sound one" if self.record.status == "ok" else f"the row is {self.record.status}, and there is none"
        raise StoreError(
            f"row {self.name}: {what}: {reason} in the store {printable(self.folder)}; `wsss run` computes it again"
        )

    def _refuse_without(self, stages: str, what: str) -> None:
        if self.record.status == "ok" and self.record.stated is not None and not self._stages(stages):
            raise StoreError(f"row {self.name} takes its predictions as they are: it has no {what}")

    def _refuse_labels_only(self, what: str) -> None:
        if self.record.rounds[-1].segmenter is None:
            raise StoreError(f"row {self.name} ends with its pseudo labels: it has no {what}")


def find_row(
    runs: Path,
    name: str,
    *,
    seed: int | None = None,
    backbone: str | None = None,
    left_out: Callable[[str], None] | None = None,
) -> Row:
    """The one cell that a name means.

    Args:
        runs: Folder of store and records, or one folder of records.
        name: Name of a row, or of a cell: that of its record's file.
        seed: Only cells with this seed.
        backbone: Only cells with this backbone.
        left_out: Told of each record that cannot be read; by default the first such record is an error.

    Raises:
        ConfigError: No cell has that name, or several have; one sentence says how to choose.
        DataError: A record cannot be read.
    """
    found = once_a_cell(load_runs(runs, left_out) if left_out is not None else load_runs(runs))
    named = [run for run in found if name in (run.record.label, run.path.stem)]
    if not named:
        labels = sorted({run.record.label for run in found})
        raise ConfigError(f"there is no row {name!r}{did_you_mean(name, labels)}; rows are: {', '.join(labels)}")
    kept = [run for run in named if seed in (None, run.record.seed) and backbone in (None, run.record.backbone)]
    if len(kept) == 1:
        return Row(kept[0])
    what = f"row {name!r} is there {len(kept)} times" if kept else f"row {name!r} is not there like that"
    raise ConfigError(f"{what}: {_cells(kept or named)}; {_advice(kept or named)}")


def _cells(runs: Sequence[Run]) -> str:
    shown = [f"{run.path.stem} in {printable(run.path.parent)}" for run in runs[:_LISTED]]
    more = [f"{len(runs) - _LISTED} more"] if len(runs) > _LISTED else []
    return ", ".join([*shown, *more])


def _advice(runs: Sequence[Run]) -> str:
    """What to add to the command so that one of these cells is meant."""
    seeds = sorted({run.record.seed for run in runs})
    backbones = sorted({run.record.backbone for run in runs})
    folders = sorted({printable(run.path.parent) for run in runs})
    ways = [f"--seed with one of {list_of(seeds)}"] if len(seeds) > 1 else []
    ways += [f"--backbone with one of {', '.join(backbones)}"] if len(backbones) > 1 else []
    ways += [f"--runs {folders[0]}"] if len(folders) > 1 else []
    return f"choose with {' and '.join(ways)}" if ways else "name it as it is there"
