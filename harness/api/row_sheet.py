"""What there is to know of one row: settings, numbers, curves, stages, and where everything lies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.files import file_problem, read_json
from harness.contract.errors import StoreError
from harness.contract.protocol import Protocol
from harness.contract.scores import ScoreName
from harness.engine.plan.roles import name_of
from harness.engine.stage.worker import log_of
from harness.engine.store.store import Store
from harness.leaderboard import build_board
from harness.records.files import runs_folder
from harness.records.groups import FULL, by_seed, settings_key
from harness.records.reader import Run
from harness.scoring.metrics import miou
from harness.scoring.statistics import RowIntervals, row_intervals

if TYPE_CHECKING:
    from pydantic import BaseModel

    from harness.contract.run_record import ComponentInfo, RunRecord
    from harness.leaderboard import Board, Row
    from harness.leaderboard.metrics import Metric
    from harness.registry import PluginManager

CURVE = "train.json"
"""File of a training's loss curve in the artifact of its stage."""

_ABSENT = object()

_PLACES = {
    "generate": ("labels", "masks"),
    "refine": ("labels", "masks"),
    "segmenter": ("model", ""),
    "predict": ("predictions", "masks"),
}
"""First word of a stage's name to what its folder holds, and where inside."""


@dataclass(frozen=True)
class Setting:
    """A setting that differs from its default, ``default`` is ``None`` where there is none."""

    name: str
    value: Any
    default: Any = None


@dataclass(frozen=True)
class ScoreOfRow:
    """One score over the seeds that have it.

    Attributes:
        name: Of the score.
        seeds: mIoU by seed, shares of 1.
        images: How many images were scored.
        intervals: Mean over seeds with its interval, of the mIoU and of each class.
    """

    name: ScoreName
    seeds: Mapping[int, float]
    images: int
    intervals: RowIntervals


@dataclass(frozen=True)
class Curve:
    """The loss of one training: (step, loss) points; ``problem`` says why there are none."""

    stage: str
    points: tuple[tuple[int, float], ...]
    problem: str | None = None


@dataclass(frozen=True)
class Place:
    """Something of the row on disk; ``path`` is ``None`` where the store does not hold it any more."""

    what: str
    path: Path | None


@dataclass(frozen=True)
class RowFacts:
    """All of it.

    Attributes:
        runs: The row's runs, ascending by seed.
        cell: The run whose curves, stages and places are told.
        board: The table of this row and the row ``full`` alone.
        compared: The runs of this table.
        method: Parameters of the method that differ from its defaults.
        rounds: For each round its components with their own parameters that differ.
        protocol: Settings of all rows that differ from the defaults of the harness, by section.
        scores: In the order of the rounds, predictions last.
        curves: Of ``cell``; only stages that recorded one.
        places: Of ``cell``.
    """

    runs: tuple[Run, ...]
    cell: Run
    board: Board
    compared: tuple[Run, ...]
    metrics: tuple[Metric, ...]
    method: tuple[Setting, ...]
    rounds: tuple[str, ...]
    protocol: Mapping[str, tuple[Setting, ...]]
    scores: tuple[ScoreOfRow, ...]
    curves: tuple[Curve, ...]
    places: tuple[Place, ...]

    @property
    def row(self) -> Row:
        """Numbers over seeds, and what went wrong."""
        return next(row for row in self.board.rows if row.method == self.record.label)

    @property
    def record(self) -> RunRecord:
        """The record of ``cell``."""
        return self.cell.record


def facts_of(
    runs: tuple[Run, ...], cell: Run, *, others: Sequence[Run], manager: PluginManager, metrics: Sequence[Metric]
) -> RowFacts:
    """Everything about one row.

    Args:
        runs: The row's runs, ascending by seed.
        cell: The one of them whose stages are told.
        others: Where the row ``full`` is looked for.
        manager: Plugins, for the defaults of parameters.
        metrics: To compute beside mIoU.

    Raises:
        DataError: A confusion file is missing, damaged or changed.
    """
    record = runs[0].record
    ceiling = [run for run in others if run.record.label == FULL and settings_key(run.record) == settings_key(record)]
    compared = (*runs, *(run for run in ceiling if run not in runs))
    store = Store(runs_folder(cell.path))
    return RowFacts(
        runs=runs,
        cell=cell,
        board=build_board(compared, metrics=metrics),
        compared=compared,
        metrics=tuple(metrics),
        method=tuple(_differing(record.params, _defaults(manager, "method", record.method))),
        rounds=tuple(_rounds(record, manager)),
        protocol=_protocol(record.protocol),
        scores=tuple(_scores(runs)),
        curves=tuple(_curves(cell.record, store)),
        places=tuple(_places(cell, store)),
    )


def _defaults(manager: PluginManager, kind: str, name: str) -> Mapping[str, Any]:
    """Default parameters of a component; none where its plugin is not here any more."""
    from harness.registry import describe_params

    record = manager.records(kind).get(name)
    return {info.name: info.default for info in describe_params(record.params)} if record is not None else {}


def _differing(params: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[Setting]:
    for name, value in params.items():
        if name not in defaults or defaults[name] != value:
            yield Setting(name, value, defaults.get(name))


def _rounds(record: RunRecord, manager: PluginManager) -> Iterator[str]:
    """``generator -> refiners -> segmenter`` of each round, with parameters that are not the method's in brackets."""
    for item in record.rounds:
        parts = [("generator", item.generator), *(("refiner", refiner) for refiner in item.refiners)]
        parts += [("segmenter", item.segmenter)] if item.segmenter else []
        warm = " (from the weights of the round before)" if item.warm_start else ""
        yield " -> ".join(_component(part, kind, record.params, manager) for kind, part in parts) + warm


def _component(part: ComponentInfo, kind: str, of_method: Mapping[str, Any], manager: PluginManager) -> str:
    differing = _differing(part.params, _defaults(manager, kind, part.name))
    own = [f"{item.name}={item.value}" for item in differing if of_method.get(item.name, _ABSENT) != item.value]
    return f"{part.name}({', '.join(own)})" if own else part.name


def _protocol(recorded: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[Setting, ...]]:
    """What differs from the defaults, by section; a content hash says nothing to a reader and is left out."""
    defaults = _defaults_of(Protocol)
    found = {
        name: tuple(
            item
            for item in _differing(dict(_flat(section)), dict(_flat(defaults.get(name) or {})))
            if not item.name.endswith("sha256")
        )
        for name, section in recorded.items()
        if isinstance(section, Mapping)
    }
    return {name: settings for name, settings in found.items() if settings}


def _defaults_of(model: type[BaseModel]) -> dict[str, Any]:
    """The defaults of a model and its sections as JSON values; a field that must be given has none."""
    defaults: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and hasattr(section, "model_fields"):
            defaults[name] = _defaults_of(section)
        elif not field.is_required():
            value = field.get_default(call_default_factory=True)
            defaults[name] = list(value) if isinstance(value, tuple) else value
    return defaults


def _flat(section: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _scores(runs: Sequence[Run]) -> Iterator[ScoreOfRow]:
    record = runs[0].record
    for name in record.called_for:
        seeds = by_seed(runs, str(name))
        if seeds:
            yield ScoreOfRow(
                name,
                seeds={seed: float(miou(confusions.total())) for seed, confusions in seeds.items()},
                images=len(next(iter(seeds.values()))),
                intervals=row_intervals(list(seeds.values()), resamples=record.scoring.bootstrap),
            )


def _curves(record: RunRecord, store: Store) -> Iterator[Curve]:
    for key, name in {stage.key: stage.name for stage in record.stages}.items():
        path = store.folder(key) / CURVE
        if file_problem(path) is None:
            yield _curve(name, path)


def _curve(stage: str, path: Path) -> Curve:
    """The curve in a file that anyone may have written."""
    try:
        noted = read_json(path, error=StoreError)
        points = tuple((int(point["iteration"]), float(point["loss"])) for point in noted)
        if not all(math.isfinite(loss) for _, loss in points):
            raise ValueError("a loss is no finite number")
    except (StoreError, ValueError, TypeError, KeyError, OverflowError) as error:
        return Curve(stage, (), f"{path.name} in its folder holds no loss curve ({type(error).__name__})")
    return Curve(stage, points, None if points else "nothing was trained")


def _places(cell: Run, store: Store) -> Iterator[Place]:
    """Record, label maps, networks, logs."""
    record = cell.record
    yield Place("record", cell.path)
    keys = {stage.name: stage.key for stage in record.stages}
    stand_ins = [f"r{place}" for place, item in enumerate(record.rounds, start=1) if not item.labels]
    made: dict[str, tuple[str, str]] = {}
    for name, key in keys.items():
        number, _, job = name.rpartition("/")
        kind, inside = _PLACES.get(job.partition(" ")[0], ("", ""))
        if kind and not (kind == "labels" and number in stand_ins):  # of a round's labels the last stage counts
            made[_of_round(kind, number, len(record.rounds))] = key, inside
    for what, (key, inside) in made.items():
        yield Place(what, store.folder(key) / inside if store.has(key) else None)
    logs = [store.runs / log_of(name_of(name), key) for name, key in keys.items()]
    written = [path for path in dict.fromkeys(logs) if path.is_file() and path.stat().st_size]
    yield from (Place("log", path) for path in written)
    events = store.runs / "tensorboard"
    if events.is_dir():
        yield Place("TensorBoard", events)


def _of_round(what: str, number: str, rounds: int) -> str:
    return what if rounds == 1 or not number else f"{what}, round {number.removeprefix('r')}"
