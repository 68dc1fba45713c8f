"""Refiners that need nothing but the image and the label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from harness.contract.arrays import PseudoLabel, SoftScores
from harness.contract.interfaces import Context, Refiner, View
from harness.maps.crf.dense import Bilateral, DenseCRF, Gaussian
from harness.maps.params import DenseCrfParams
from harness.maps.probabilities import label_probabilities, score_probabilities
from harness.maps.scores import downsample

Floats = npt.NDArray[np.float32]


class DenseCrfRefiner(Refiner):
    """One dense CRF over the background and all present classes of an image; the strongest marginal is the label.

    The refined label has no ignored pixels. Soft scores become the marginals of the foreground classes.
    """

    def __init__(self, params: DenseCrfParams) -> None:
        self._params = params
        self._pairwise = (
            Gaussian(params.gaussian_sxy, params.gaussian_compat),
            Bilateral(params.bilateral_sxy, params.bilateral_srgb, params.bilateral_compat),
        )

    def refine(self, labels: Iterable[PseudoLabel], view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Refine label by label; an image with background alone stays as it is."""
        for label in labels:
            if label.scores is not None:
                classes, probabilities = score_probabilities(label.scores, self._params.alpha)
            else:
                classes, probabilities = label_probabilities(label.mask, self._params.certainty)
            if len(classes) < 2:
                yield label
                continue
            image = view.image(label.image_id)
            crf = DenseCRF(image, pairwise=self._pairwise, backend=self._params.backend, device=ctx.device)
            marginals = crf.infer(probabilities, self._params.iterations)
            mask = np.array(classes, np.uint8)[marginals.argmax(axis=0)]
            scores = label.scores and _stored_like(label.scores, classes, marginals)
            yield PseudoLabel(label.image_id, mask, scores)


def _stored_like(scores: SoftScores, classes: tuple[int, ...], marginals: Floats) -> SoftScores:
    """The marginals of the classes of ``scores`` at their stride."""
    planes = marginals[[classes.index(c) for c in scores.classes]]
    stride = max(round(scores.size[0] / scores.values.shape[1]), 1)
    return SoftScores(scores.classes, downsample(planes, stride), scores.size)
