"""Compares scoring with mmseg's ``IoUMetric`` on the same label maps, both on one thread.

Run ``python -m speed.scoring``. It prints the ratio of times, and how many pixels each counts wrongly over a validation
set of VOC's size. It ends with 1 unless scoring is at least five times as fast, and exact.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch

warnings.simplefilter("ignore")
from mmseg.evaluation.metrics import IoUMetric  # noqa: E402

from harness.scoring import score  # noqa: E402

Mask = npt.NDArray[np.uint8]
CLASSES, MAPS, SIZE, VAL = 21, 100, (375, 500), 1449
AT_LEAST, ROUNDS = 5.0, 7


def label_maps() -> Iterator[tuple[str, Mask, Mask]]:
    """Photograph-like maps: mostly background, one to three rectangles, 255 along their borders."""
    rng = np.random.default_rng(0)
    for number in range(MAPS):
        truth, pred = np.zeros((2, *SIZE), np.uint8)
        for cls in rng.integers(1, CLASSES, rng.integers(1, 4)):
            y, x = (int(rng.integers(0, side - 120)) for side in SIZE)
            height, width = rng.integers(60, 120, 2)
            truth[y : y + height, x : x + width] = 255
            truth[y + 4 : y + height - 4, x + 4 : x + width - 4] = cls
            pred[y + 9 : y + height + 9, x : x + width] = cls
        pred[rng.random(SIZE) < 0.02] = rng.integers(0, CLASSES)
        yield f"map{number}", truth, pred


def by_definition(maps: list[tuple[str, Mask, Mask]]) -> npt.NDArray[np.int64]:
    """(3, C) int64 intersection, truth and prediction, by one comparison of pixels for each class."""
    areas = np.zeros((3, CLASSES), np.int64)
    for _, truth, pred in maps:
        scored = truth != 255
        for cls in range(CLASSES):
            true, predicted = truth[scored] == cls, pred[scored] == cls
            areas[:, cls] += ((true & predicted).sum(), true.sum(), predicted.sum())
    return areas


def median_seconds(function: Callable[[], object]) -> float:
    def once() -> float:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    once()
    return statistics.median(once() for _ in range(ROUNDS))


def main() -> int:
    torch.set_num_threads(1)
    maps = list(label_maps())
    tensors = [(torch.from_numpy(pred), torch.from_numpy(truth)) for _, truth, pred in maps]

    def theirs() -> list[tuple[torch.Tensor, ...]]:
        return [IoUMetric.intersect_and_union(pred, truth, CLASSES, 255) for pred, truth in tensors]

    ratio = median_seconds(theirs) / median_seconds(lambda: score(maps, CLASSES))
    exact = by_definition(maps)
    ours = score(maps, CLASSES).areas().sum(0)
    repeats = -(-VAL // MAPS)
    totals = [sum(column).numpy() for column in zip(*(theirs() * repeats), strict=True)]
    float_totals = np.stack((totals[0], totals[3], totals[2])).astype(np.int64)
    wrong_ours = np.abs(ours - exact).sum()
    wrong_theirs = np.abs(float_totals - exact * repeats).sum()
    print(
        f"{MAPS} maps of {SIZE[0]} x {SIZE[1]}, {CLASSES} classes, one thread: {ratio:.1f} times as fast as IoUMetric"
    )
    print(f"pixels counted wrongly: scoring {wrong_ours}")
    print(f"pixels counted wrongly over {repeats * MAPS} maps, summed as IoUMetric does (float32): {wrong_theirs}")
    return 0 if ratio >= AT_LEAST and wrong_ours == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
