"""What refiners of probabilities share: from a label to its classes' probabilities, and from better ones to a label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from harness.contract.arrays import PseudoLabel, SoftScores
from harness.maps.probabilities import label_probabilities, score_probabilities
from harness.maps.scores import downsample

Floats = npt.NDArray[np.float32]


def refine_probabilities(
    labels: Iterable[PseudoLabel], improve: Callable[[str, Floats], Floats], *, alpha: float, certainty: float
) -> Iterator[PseudoLabel]:
    """Improve the probabilities of the background and all present classes; the largest is the label.

    The refined label has no ignored pixels. Soft scores become the improved planes of the same classes, at their
    stride. An image with background alone stays as it is.

    Args:
        labels: Pseudo labels.
        improve: From an image id and probabilities (K, H, W) float32 to planes of the same shape.
        alpha: Soft scores: background score ``(1 - max)^alpha``.
        certainty: Labels without soft scores: probability of the labelled class.
    """
    for label in labels:
        if label.scores is not None:
            classes, probabilities = score_probabilities(label.scores, alpha)
        else:
            classes, probabilities = label_probabilities(label.mask, certainty)
        if len(classes) < 2:
            yield label
            continue
        planes = improve(label.image_id, probabilities)
        mask = np.array(classes, np.uint8)[planes.argmax(axis=0)]
        scores = label.scores
        if scores is not None:
            kept = planes[[classes.index(c) for c in scores.classes]]
            stride = max(round(scores.size[0] / scores.values.shape[1]), 1)
            scores = SoftScores(scores.classes, downsample(kept, stride), scores.size)
        yield PseudoLabel(label.image_id, mask, scores)
