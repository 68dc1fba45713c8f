"""The threshold sweep: how good could soft scores be, if a constant background score were chosen on hidden masks?

Diagnostic only. It separates the quality of the scores from the luck of a threshold, and is never used for a choice.

One pass per image: a joint histogram of (true class, strongest class, how many thresholds the strongest score reaches)
holds the confusion at every threshold at once, exactly, because a pixel is foreground for the thresholds that it
reaches and background for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.contract.arrays import BACKGROUND, IGNORE
from harness.contract.errors import ConfigError, DataError
from harness.contract.run_record import Oracle
from harness.scoring.confusion import Counts
from harness.scoring.metrics import miou

if TYPE_CHECKING:
    from harness.contract.arrays import Mask

    Scores = npt.NDArray[np.float32]
    Item = tuple[Mask, tuple[int, ...], Scores]


def sweep(items: Iterable[Item], num_classes: int, thresholds: Sequence[float]) -> Oracle:
    """MIoU of the labels that each background threshold makes of soft scores.

    At threshold ``t`` a pixel gets the class of its strongest score where that score >= t, else background. A
    background plane (class 0) is left aside.

    Args:
        items: Truth (H, W) uint8 with 255 = not scored, the class of each plane, and scores (K, H, W) float32 at the
            image's own size.
        num_classes: Classes including background.
        thresholds: Background scores, strictly ascending; compared in float32.

    Raises:
        ConfigError: There is no threshold, or they do not ascend.
        DataError: Sizes or classes do not fit, a score is not a number, or no pixel is scored.
    """
    confusions = threshold_confusions(items, num_classes, thresholds)
    curve = miou(confusions)
    if np.isnan(curve[0]):
        raise DataError("threshold sweep: no pixel is scored")
    best = int(curve.argmax())
    return Oracle(
        thresholds=[float(threshold) for threshold in thresholds],
        miou=curve.tolist(),
        best_threshold=float(thresholds[best]),
        best_miou=float(curve[best]),
        area=float(curve.mean()),
    )


def threshold_confusions(items: Iterable[Item], num_classes: int, thresholds: Sequence[float]) -> Counts:
    """(T, C, C + 1) int64 confusion at each threshold; arguments and errors as in ``sweep``."""
    levels = np.asarray(thresholds, np.float32)
    if not levels.size or (np.diff(levels) <= 0).any():
        raise ConfigError("threshold sweep: thresholds must be one or more ascending numbers")
    joint = np.zeros((num_classes, num_classes, len(levels) + 1), np.int64)
    for number, (truth, classes, scores) in enumerate(items):
        planes = _foreground(truth, classes, scores, num_classes, number)
        scored = truth != IGNORE
        if not planes:
            joint[:, BACKGROUND, 0] += np.bincount(truth[scored], minlength=num_classes)
            continue
        values = scores[planes][:, scored]
        strongest = values.argmax(0)  # the first plane on ties
        highest = np.take_along_axis(values, strongest[None], axis=0)[0]
        if np.isnan(highest).any():
            raise DataError(f"threshold sweep, image {number}: a score is not a number")
        reached = np.searchsorted(levels, highest, side="right")
        shape = (num_classes, len(planes), len(levels) + 1)
        flat = np.ravel_multi_index((truth[scored], strongest, reached), shape)
        joint[:, [classes[plane] for plane in planes]] += np.bincount(flat, minlength=np.prod(shape)).reshape(shape)
    # A pixel is foreground for every threshold that its strongest score reaches: the sums begin at the last bin.
    above = joint[..., ::-1].cumsum(-1)[..., ::-1][..., 1:]
    confusion = np.zeros((len(levels), num_classes, num_classes + 1), np.int64)
    confusion[..., :-1] = np.moveaxis(above, -1, 0)
    confusion[..., BACKGROUND] = joint.sum((1, 2)) - confusion[..., 1:].sum(-1)
    return confusion


def _foreground(truth: Mask, classes: tuple[int, ...], scores: Scores, num_classes: int, number: int) -> list[int]:
    """Positions of the foreground planes, after checks."""
    if scores.shape != (len(classes), *truth.shape):
        raise DataError(f"threshold sweep, image {number}: scores {scores.shape} do not fit mask {truth.shape}")
    if len(set(classes)) != len(classes) or any(not 0 <= cls < num_classes for cls in classes):
        raise DataError(f"threshold sweep, image {number}: {classes} are not {num_classes} classes")
    if ((truth >= num_classes) & (truth != IGNORE)).any():
        raise DataError(f"threshold sweep, image {number}: the mask holds a value that is no class")
    return [plane for plane, cls in enumerate(classes) if cls != BACKGROUND]
