"""From soft scores to an index mask: a background rule, then the strongest class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.contract.arrays import BACKGROUND

if TYPE_CHECKING:
    from harness.contract.arrays import Mask


def threshold_labels(scores: npt.NDArray[np.float32], classes: Sequence[int], threshold: float) -> Mask:
    """Strongest class where it exceeds a constant background score.

    Args:
        scores: (K, H, W) float32, one plane per class; K may be 0.
        classes: Class index of each plane.
        threshold: Background score; a tie goes to the background.

    Returns:
        (H, W) uint8 class indices; between classes a tie goes to the first.
    """
    if not len(classes):
        return np.full(scores.shape[1:], BACKGROUND, dtype=np.uint8)
    return _strongest(scores, classes, np.float32(threshold))


def power_labels(scores: npt.NDArray[np.float32], classes: Sequence[int], alpha: float) -> Mask:
    """Strongest class where it exceeds the background score (1 - max)^alpha (Ahn and Kwak, CVPR 2018, equation 2).

    Args:
        scores: (K, H, W) float32 in [0, 1], foreground classes only; K may be 0.
        classes: Class index of each plane.
        alpha: Larger values give more foreground; a tie goes to the background.

    Returns:
        (H, W) uint8 class indices; between classes a tie goes to the first.
    """
    if not len(classes):
        return np.full(scores.shape[1:], BACKGROUND, dtype=np.uint8)
    return _strongest(scores, classes, background_power(scores, alpha))


def background_power(scores: npt.NDArray[np.float32], alpha: float) -> npt.NDArray[np.float32]:
    """(H, W) float32 background score (1 - max over classes)^alpha of (K, H, W) scores in [0, 1]; 1 where K is 0."""
    rest = np.clip(1.0 - scores.max(axis=0, initial=0.0), 0.0, 1.0)
    return np.asarray(rest**alpha, dtype=np.float32)


def tie_exponent(threshold: float) -> float:
    """The alpha at which the background score (1 - m)^alpha equals the class score m at ``threshold`` in (0, 1)."""
    return math.log(threshold) / math.log1p(-threshold)


def _strongest(
    scores: npt.NDArray[np.float32], classes: Sequence[int], background: np.float32 | npt.NDArray[np.float32]
) -> Mask:
    labels = np.asarray(classes, dtype=np.uint8)[scores.argmax(axis=0)]
    return np.where(scores.max(axis=0) > background, labels, np.uint8(BACKGROUND))
