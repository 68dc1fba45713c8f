"""Registered metrics as columns, for example with `wsss leaderboard --columns method,val_pixel_accuracy`.

A metric of pseudo labels gives the column ``pseudo_NAME``, one of predictions ``val_NAME``. The factory is called
when a table is made, with the default parameters of the record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.contract.errors import ConfigError, PluginError
from harness.leaderboard.frame import Estimate, MetricColumn
from harness.registry import build_params, resolve

if TYPE_CHECKING:
    from harness.contract import MetricRecord
    from harness.records.reader import Run
    from harness.registry import PluginManager
    from harness.scoring.measure import PerImage, Scored

_SCORE = {"labels": "pseudo", "predictions": "val"}
"""The score of a record that a metric of labels or of predictions is computed from."""

_HEADER = {"pseudo": "pseudo {} (train)", "val": "val {}"}


USUAL = ("pseudo_foreground_iou", "val_foreground_iou")
"""Localisation without classes: beside mIoU it says whether shapes or the names of classes cost most."""


@dataclass(frozen=True)
class Metric:
    """A column that shows a registered metric.

    Attributes:
        name: Of the column.
        score: ``pseudo`` or ``val``.
        record: The metric's.
    """

    name: str
    score: str
    record: MetricRecord

    @property
    def column(self) -> MetricColumn:
        """What a table says about it."""
        title = self.record.column or self.record.name.replace("_", " ")
        return MetricColumn(
            header=_HEADER[self.score].format(title), about=self.record.summary, percent=self.record.percent
        )


def known_metrics(manager: PluginManager) -> dict[str, Metric]:
    """Every column that a registered metric can give, by name."""
    records: Iterable[MetricRecord] = manager.records("metric").values()
    metrics = [Metric(f"{_SCORE[of]}_{record.name}", _SCORE[of], record) for record in records for of in record.of]
    return {metric.name: metric for metric in metrics}


def usual_metrics(manager: PluginManager) -> list[Metric]:
    """The metrics that a table shows unless somebody chose its columns."""
    known = known_metrics(manager)
    return [known[name] for name in USUAL if name in known]


def abouts(metrics: Iterable[Metric]) -> list[str]:
    """One sentence for each meaning: the headers of the columns that have it, and what it is."""
    headers: dict[str, list[str]] = defaultdict(list)
    for column in (metric.column for metric in metrics):
        if column.about:
            headers[column.about.removesuffix(".")].append(column.header)
    return [f"{', '.join(names)}: {about}." for about, names in headers.items()]


def estimates(runs: Sequence[Run], metrics: Iterable[Metric], *, resamples: int) -> dict[str, Estimate]:
    """The metrics of one row by name of the column, mean over the seeds of ``runs``.

    A metric without a value in some seed is left out.

    Raises:
        DataError: A confusion file is missing, damaged or changed, or seeds scored different images.
        PluginError: A metric cannot be built, raises, or returns something else than a number for each confusion.
    """
    from harness.scoring.measure import Measure, measured

    asked: dict[str, list[Metric]] = defaultdict(list)
    for metric in metrics:
        asked[metric.score].append(metric)
    values: dict[str, Estimate] = {}
    counted = set(runs[0].record.scoring.counts)
    for score, of_score in asked.items():
        group = [metric for metric in of_score if counted.issuperset(metric.record.counts)]
        kinds = sorted({kind for metric in group for kind in metric.record.counts})
        seeds = _scored(runs, score, kinds)
        if not group or seeds is None:
            continue
        measures = []
        for metric in group:
            name = metric.record.name
            function = resolve(metric.record.factory)(build_params(metric.record, {}, where="--columns"))
            if not callable(function):
                kind = type(function).__name__
                raise PluginError(f"metric {name!r}: its factory must return a function, got {kind}")
            measures.append(Measure(name, function, ("confusion", *metric.record.counts)))
        for metric, interval in zip(group, measured(seeds, measures, resamples=resamples), strict=True):
            if interval is not None:
                values[metric.name] = Estimate(**interval._asdict())
    return values


def check_counted(runs: Iterable[Run], metrics: Iterable[Metric]) -> None:
    """Refuse a metric that needs counts of which no run has any.

    Raises:
        ConfigError: Names the counts and how to get them.
    """
    counted = {kind for run in runs for kind in run.record.scoring.counts}
    for metric in metrics:
        lacking = ", ".join(kind for kind in metric.record.counts if kind not in counted)
        if lacking:
            wanted = ",".join(metric.record.counts)
            raise ConfigError(
                f"--columns: {metric.name!r} needs counts of {lacking}, which these records do not have; run again "
                f"with -o protocol.scoring.counts=[{wanted}] (only the scores are computed again)"
            )


def _scored(runs: Iterable[Run], score: str, kinds: Sequence[str]) -> list[Scored] | None:
    """The confusions of a score and its counts of ``kinds`` for each run, or ``None`` when a run lacks one of them."""
    seeds: list[Scored] = []
    for run in runs:
        counts: dict[str, PerImage | None] = {"confusion": run.confusions(score)}
        counts |= {kind: run.counts(score, kind) for kind in kinds}
        present = {name: counted for name, counted in counts.items() if counted is not None}
        if len(present) < len(counts):
            return None
        seeds.append(present)
    return seeds
