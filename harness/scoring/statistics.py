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
from harness.scoring.confusion import Confusions
from harness.scoring.metrics import Values, miou_of_areas

_BATCH = 1 << 22
"""Weights that are held at a time (32 MiB)."""


class Interval(NamedTuple):
    """A number with the percentile interval of its bootstrap distribution, fractions of 1."""

    value: float
    low: float
    high: float


def miou_interval(seeds: Sequence[Confusions], *, resamples: int = 1000, level: float = 0.95) -> Interval:
    """MIoU, mean over seeds, with its bootstrap percentile interval over images.

    With several seeds an image is drawn with the predictions of all of them, and a resample's value is the mean over
    seeds. A class that the truth of a resample lacks is left out of that resample's mean.

    Args:
        seeds: Confusions of the same images, one for each seed.
        resamples: Bootstrap resamples.
        level: Coverage of the interval.

    Raises:
        DataError: The seeds scored different images, or no pixel is scored.
    """
    ids = sorted(seeds[0].ids)
    areas = np.stack([_aligned(confusions, ids).areas() for confusions in seeds], axis=1)
    value = float(miou_of_areas(areas.sum(0)).mean())
    if np.isnan(value):
        raise DataError("no scored pixel in any of the images: a mIoU does not exist")
    flat = areas.reshape(len(ids), -1).astype(np.float64)
    values = [
        miou_of_areas((weights @ flat).reshape(-1, *areas.shape[1:])).mean(-1) for weights in _weights(ids, resamples)
    ]
    low, high = np.nanquantile(np.concatenate(values), [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def _aligned(confusions: Confusions, ids: list[str]) -> Confusions:
    if len(confusions) != len(ids):
        raise DataError(f"seeds scored different images: {len(ids)} and {len(confusions)}")
    return confusions if list(confusions.ids) == ids else confusions.subset(ids)


def _weights(ids: Sequence[str], resamples: int) -> Iterator[Values]:
    """Batches of (B, N) float64: how often each image is in each resample."""
    count = len(ids)
    digest = hashlib.sha256("\n".join(ids).encode()).digest()
    random = np.random.RandomState(np.frombuffer(digest, "<u4"))
    step = max(1, _BATCH // count)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn: npt.NDArray[np.int64] = random.randint(0, count, (rows, count), dtype=np.int64)
        drawn += np.arange(rows)[:, None] * count
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)


def seed_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (ddof = 1) over seeds; the deviation of one seed is ``None``."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
