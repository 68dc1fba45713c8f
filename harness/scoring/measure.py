"""Registered metrics on scored label maps: the value, and its interval from the same resamples as that of the mIoU.

A metric sees the counts of all images at once, with the resamples and the seeds as leading axes. Counts stay sparse
until they are summed, so a resample costs as much as the images hold class pairs, whatever the number of classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from harness.common.text import one_line
from harness.contract.errors import DataError, PluginError
from harness.scoring.confusion import Counts
from harness.scoring.metrics import Metric, Values
from harness.scoring.statistics import LEVEL, Interval, bootstrap_weights, percentiles

_BATCH = 1 << 22
"""Numbers of summed counts that are held at a time (32 MiB)."""


class PerImage(Protocol):
    """Sparse counts of each image: ``count[k]`` pixels in cell ``cells[k]`` of image ``ids[index[k]]``."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Images."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image's counts."""

    @property
    def index(self) -> Counts:
        """(K,) int64 positions in ``ids``."""

    @property
    def cells(self) -> Counts:
        """(K,) int64 positions in the flattened ``shape``."""

    @property
    def count(self) -> Counts:
        """(K,) int64 pixels."""


Scored = Mapping[str, PerImage]
"""What was counted of one set of label maps, by name: ``confusion``, and what else the scoring counts."""


@dataclass(frozen=True)
class Measure:
    """A metric that somebody asked for.

    Attributes:
        name: Of its record, for messages.
        metric: Vectorised over leading axes (``MetricRecord``).
        counts: Names of the counts that it is called with, in that order.
    """

    name: str
    metric: Metric
    counts: tuple[str, ...] = ("confusion",)

    def values(self, sums: Mapping[str, Values]) -> Values:
        """(...) values of summed counts; NaN for what is not finite.

        Raises:
            PluginError: The metric raises, or does not return one number for each confusion.
        """
        leading = next(iter(sums.values())).shape[:2]
        try:
            with np.errstate(all="ignore"):  # a share of nothing is no value, and none of the author's business
                values = np.asarray(self.metric(*(sums[name] for name in self.counts)), np.float64)
        except Exception as error:
            raise PluginError(f"metric {self.name!r} raised {type(error).__name__}: {one_line(error)}") from error
        if values.shape != leading:
            raise PluginError(
                f"metric {self.name!r} must return one number for each confusion: for {leading} of them it returned "
                f"an array of shape {values.shape} (sum over the last two axes only, never over the leading ones)"
            )
        return np.where(np.isfinite(values), values, np.nan)


def measured(
    seeds: Sequence[Scored], measures: Sequence[Measure], *, resamples: int = 1000, level: float = LEVEL
) -> list[Interval | None]:
    """Each metric, mean over seeds, with its bootstrap percentile interval over images.

    The resamples are those of ``row_intervals``: with several seeds an image is drawn with the label maps of all of
    them, and a resample's value is the mean over seeds. A resample in which a metric has no value is left out of its
    interval.

    Args:
        seeds: Counts of the same images, one for each seed.
        measures: What to compute.
        resamples: Bootstrap resamples.
        level: Coverage of the interval.

    Returns:
        One interval for each measure, ``None`` where a seed has no value.

    Raises:
        DataError: The seeds scored different images.
        PluginError: A metric raises, or does not return one number for each confusion.
    """
    ids = sorted(next(iter(seeds[0].values())).ids)
    whole = _sums(seeds, ids, np.ones((1, len(ids))))
    values = [float(measure.values(whole).mean(-1)[0]) for measure in measures]
    drawn: list[list[Values]] = [[] for _ in measures]
    step = max(1, _BATCH // (len(seeds) * max(math.prod(counted.shape) for counted in seeds[0].values())))
    for weights in bootstrap_weights(ids, resamples):
        for start in range(0, len(weights), step):
            sums = _sums(seeds, ids, weights[start : start + step])
            for place, measure in enumerate(measures):
                drawn[place].append(measure.values(sums).mean(-1))
    return [
        None if np.isnan(value) else Interval(value, *percentiles(np.concatenate(parts), level))
        for value, parts in zip(values, drawn, strict=True)
    ]


def _sums(seeds: Sequence[Scored], ids: Sequence[str], weights: Values) -> dict[str, Values]:
    """(R, S, ...) float64 counts of each resample and seed, by name."""
    return {name: np.stack([_weighted(scored[name], ids, weights) for scored in seeds], axis=1) for name in seeds[0]}


def _weighted(counted: PerImage, ids: Sequence[str], weights: Values) -> Values:
    """(R, ...) counts of all images, each times its weight in a resample; exact, as all numbers are whole."""
    place = {image_id: number for number, image_id in enumerate(ids)}
    if counted.ids != tuple(ids) and set(counted.ids) != place.keys():
        raise DataError(f"seeds scored different images: {len(ids)} and {len(counted.ids)}, some of them others")
    index = np.array([place[image_id] for image_id in counted.ids], np.int64)[counted.index]
    size = math.prod(counted.shape)
    sums = np.empty((len(weights), size))
    for number, row in enumerate(weights):
        sums[number] = np.bincount(counted.cells, row[index] * counted.count, minlength=size)
    return sums.reshape(-1, *counted.shape)
