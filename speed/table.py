"""Compares the statistics of a table with the textbook bootstrap over images, both on one thread.

Run ``python -m speed.table``. The table has ten methods, 1,449 images and 21 classes. Its statistics are the intervals
of every row, and for all 45 pairs the paired bootstrap, the paired permutation test, Holm's correction and ranks.

The textbook bootstrap adds up the confusion matrices of the drawn images for each resample and takes the mIoU. It makes
the intervals of the rows alone, on a few resamples, and its time is scaled up. The script ends with 1 unless all
statistics take under two seconds of processor time and both give the same interval.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import sys
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from harness.scoring import Confusions
from harness.scoring.metrics import miou
from harness.scoring.paired import Comparison, compare
from harness.scoring.statistics import RowIntervals, bootstrap_weights, row_intervals

R = TypeVar("R")

METHODS, IMAGES, CLASSES, RESAMPLES, LOOPED = 10, 1449, 21, 1000, 5
AT_MOST = 2.0


def method(share: float) -> Confusions:
    """Confusions of one method: each image holds the background and one to three classes."""
    rng = np.random.default_rng(0)
    counts = np.zeros((IMAGES, CLASSES, CLASSES), np.int64)
    for image in counts:
        for cls in (0, *rng.integers(1, CLASSES, rng.integers(1, 4))):
            pixels = int(rng.integers(2_000, 90_000))
            lost = int(pixels * min(1.0, rng.gamma(2, share / 2)))
            image[cls, cls] += pixels - lost
            image[cls, (cls + 1) % CLASSES] += lost
    index, truth, pred = np.nonzero(counts)
    ids = tuple(f"image{n:04d}" for n in range(IMAGES))
    classes = (truth.astype(np.uint8), pred.astype(np.uint8))
    return Confusions(ids, CLASSES, index.astype(np.int64), *classes, counts[index, truth, pred])


def statistics_of(methods: Mapping[str, Confusions]) -> tuple[dict[str, RowIntervals], Comparison]:
    """All statistics of a table."""
    rows = {name: row_intervals([confusions], resamples=RESAMPLES) for name, confusions in methods.items()}
    compared = compare({name: {0: confusions} for name, confusions in methods.items()}, resamples=RESAMPLES)
    return rows, compared


def textbook_bootstrap(methods: Mapping[str, Confusions], resamples: int) -> dict[str, list[float]]:
    """The plain reference: resampled mIoU of every method by adding up dense confusion matrices."""
    weights = np.concatenate(list(bootstrap_weights(sorted(next(iter(methods.values())).ids), RESAMPLES)))[:resamples]
    dense = {name: confusions.dense() for name, confusions in methods.items()}
    return {
        name: [float(miou(np.repeat(counts, drawn.astype(int), axis=0).sum(0))) for drawn in weights]
        for name, counts in dense.items()
    }


def seconds(function: Callable[[], R]) -> tuple[float, R]:
    """Processor seconds of one call, and its result."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def main() -> int:
    methods = {f"method{n}": method(0.15 + 0.01 * n) for n in range(METHODS)}
    statistics_of(dict(list(methods.items())[:2]))
    ours, (rows, compared) = seconds(lambda: statistics_of(methods))
    looped, values = seconds(lambda: textbook_bootstrap(methods, LOOPED))
    theirs = looped * RESAMPLES / LOOPED
    few = row_intervals([methods["method0"]], resamples=LOOPED)
    same = np.allclose(few.miou[1:], np.quantile(values["method0"], [0.025, 0.975]), rtol=1e-12)
    print(f"{METHODS} methods, {IMAGES} images, {CLASSES} classes, {RESAMPLES} resamples, {len(compared.pairs)} pairs")
    print(f"intervals, paired tests ({compared.permutations} exchanges) and ranks: {ours:.2f} s of one processor")
    print(f"textbook bootstrap of the rows alone: {theirs:.1f} s; {theirs / ours:.0f} times as long; equal: {same}")
    assert compared.resolvable is not None
    print(f"intervals of {len(rows)} rows; the images resolve {100 * compared.resolvable:.2f} points")
    return 0 if ours < AT_MOST and same else 1


if __name__ == "__main__":
    sys.exit(main())
