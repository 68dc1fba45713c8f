"""Class probabilities at the size of the image, from soft scores or from a label alone: what refiners begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.contract.arrays import BACKGROUND, IGNORE, SoftScores
from harness.maps.scores import upsample
from harness.maps.seeds import background_power

if TYPE_CHECKING:
    from harness.contract.arrays import Mask

Floats = npt.NDArray[np.float32]


def score_probabilities(scores: SoftScores, alpha: float) -> tuple[tuple[int, ...], Floats]:
    """Classes beginning with the background, and (L, H, W) float32 scores; the background is (1 - max)^alpha.

    A stored background plane is taken as it is.
    """
    planes = upsample(scores)
    if BACKGROUND in scores.classes:
        return scores.classes, planes
    background = background_power(np.clip(planes, 0, 1), alpha)
    return (BACKGROUND, *scores.classes), np.concatenate([background[None], planes])


def label_probabilities(mask: Mask, certainty: float) -> tuple[tuple[int, ...], Floats]:
    """Classes of ``mask (H, W) uint8, 255 = ignore`` with the background, and (L, H, W) float32 probabilities.

    The labelled class has ``certainty``, the others share the rest; ignored pixels are undecided.
    """
    classes = tuple(sorted({BACKGROUND, *np.unique(mask).tolist()} - {IGNORE}))
    if len(classes) < 2:
        return classes, np.ones((len(classes), *mask.shape), np.float32)
    labelled = mask == np.array(classes, np.uint8)[:, None, None]
    rest = (1 - certainty) / (len(classes) - 1)
    probabilities = np.where(labelled, np.float32(certainty), np.float32(rest))
    probabilities[:, mask == IGNORE] = 1 / len(classes)
    return classes, probabilities
