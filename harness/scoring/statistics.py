"""Uncertainty of a mIoU: bootstrap over images, and the spread over seeds apart from it.

* The resamples are drawn from a hash of the image ids: every method of a table is resampled alike, and a rerun gives
  the same bytes. ``RandomState`` is used because its stream is frozen; that of ``Generator`` may change.
* A resample is a row of integer weights, so all of them are one matrix product with the per-image areas. Integers below
  2**53 are exact in float64: the result does not depend on the order of summation, the BLAS, or the threads.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.contract.errors import DataError
from harness.scoring.confusion import Confusions, Counts
from harness.scoring.metrics import Values, iou_of_areas, miou_of_areas

LEVEL = 0.95
"""Coverage of every interval."""

_BATCH = 1 << 22
"""Weights that are held at a time (32 MiB)."""


class Interval(NamedTuple):
    """A number with the percentile interval of its bootstrap distribution, fractions of 1."""

    value: float
    low: float
    high: float


class RowIntervals(NamedTuple):
    """MIoU of a row, and the IoU of each class; ``None`` for a class that the truth lacks."""

    miou: Interval
    classes: list[Interval | None]


def miou_interval(seeds: Sequence[Confusions], *, resamples: int = 1000, level: float = LEVEL) -> Interval:
    """MIoU, mean over seeds, with its bootstrap percentile interval over images; see ``row_intervals``."""
    return row_intervals(seeds, resamples=resamples, level=level).miou


def row_intervals(seeds: Sequence[Confusions], *, resamples: int = 1000, level: float = LEVEL) -> RowIntervals:
    """MIoU and class IoU, mean over seeds, with bootstrap percentile intervals over images.

    With several seeds an image is drawn with the predictions of all of them, and a resample's value is the mean over
    seeds. A class that the truth of a resample lacks is left out of that resample.

    Args:
        seeds: Confusions of the same images, one for each seed.
        resamples: Bootstrap resamples.
        level: Coverage of the interval.

    Raises:
        DataError: The seeds scored different images, or no pixel is scored.
    """
    ids = sorted(seeds[0].ids)
    areas = np.stack([aligned_areas(confusions, ids) for confusions in seeds], axis=1)
    total = areas.sum(0)
    value = float(miou_of_areas(total).mean())
    if np.isnan(value):
        raise DataError("no scored pixel in any of the images: a mIoU does not exist")
    flat = areas.reshape(len(ids), -1).astype(np.float64)
    drawn = [(weights @ flat).reshape(-1, *total.shape) for weights in bootstrap_weights(ids, resamples)]
    mious = np.concatenate([miou_of_areas(sums).mean(-1) for sums in drawn])
    ious = np.concatenate([iou_of_areas(sums).mean(-2) for sums in drawn])
    values = iou_of_areas(total).mean(0)
    return RowIntervals(
        Interval(value, *percentiles(mious, level)),
        [
            None if np.isnan(iou) else Interval(float(iou), *percentiles(ious[:, cls], level))
            for cls, iou in enumerate(values)
        ],
    )


def aligned_areas(confusions: Confusions, ids: list[str]) -> Counts:
    """(N, 3, C) int64 intersection, truth and prediction of each class, in the order of ``ids``.

    Raises:
        DataError: Other images were scored.
    """
    if len(confusions) != len(ids):
        raise DataError(f"rows or seeds scored different images: {len(ids)} and {len(confusions)}")
    return (confusions if list(confusions.ids) == ids else confusions.subset(ids)).areas()


def percentiles(values: Values, level: float = LEVEL) -> tuple[float, float]:
    """The central ``level`` of (R,) resampled values; NaN is left out."""
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def random_state(purpose: str, ids: Sequence[str]) -> np.random.RandomState:
    """A generator whose stream depends on the purpose and the image ids alone."""
    digest = hashlib.sha256((purpose + "\n".join(ids)).encode()).digest()
    return np.random.RandomState(np.frombuffer(digest, "<u4"))


def bootstrap_weights(ids: Sequence[str], resamples: int) -> Iterator[Values]:
    """Batches of (B, N) float64: how often each image is in each resample."""
    count = len(ids)
    random = random_state("", ids)
    step = max(1, _BATCH // count)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn: npt.NDArray[np.int64] = random.randint(0, count, (rows, count), dtype=np.int64)
        drawn += np.arange(rows)[:, None] * count
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)


def seed_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (ddof = 1) over seeds; the deviation of one seed is ``None``."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
