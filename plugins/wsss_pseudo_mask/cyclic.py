"""Cyclic pseudo masks: the segmenter of the round before labels the training images (arXiv 2108.12995, figure 2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from harness.contract import BACKGROUND, Context, Generator, PseudoLabel, SoftScores, View
from harness.maps import Bilateral, Gaussian, downsample
from wsss_pseudo_mask.method import dense_crf
from wsss_pseudo_mask.params import CyclicParams

TEST_CRF = (Gaussian(sxy=1, compat=3), Bilateral(sxy=67, srgb=3, compat=4))
"""Kernels of the segmenter's test-time CRF."""

MIN_PROBABILITY = 0.01
"""A class that stays below this everywhere is left out: the CRF takes time in proportion to its classes."""

STRIDE = 4
"""Of the stored scores, in pixels."""

_TOGETHER = 128
"""Images for each call of the predictor, which shares batches among images of one size."""


class Cyclic(Generator):
    """Predictions under the protocol's test-time settings, averaged, refined by a CRF, without ignored pixels."""

    def __init__(self, params: CyclicParams) -> None:
        self._params = params

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Label every training image."""
        for start in range(0, len(view.ids), _TOGETHER):
            ids = view.ids[start : start + _TOGETHER]
            images = [view.image(image_id) for image_id in ids]
            for index, probabilities in enumerate(ctx.previous.predict(images)):
                allowed = np.flatnonzero(probabilities.max(axis=(1, 2)) > MIN_PROBABILITY)
                if self._params.filter_by_tags:
                    allowed = np.intersect1d(allowed, (BACKGROUND, *view.tags(ids[index])))
                classes = tuple(allowed.tolist()) or (BACKGROUND,)
                image = images[index] if self._params.crf else None
                yield relabel(
                    ids[index], probabilities, classes, image, device=ctx.device, crf_side=self._params.crf_side
                )
                ctx.progress(start + index + 1, len(view.ids))


def relabel(
    image_id: str,
    probabilities: npt.NDArray[np.float32],
    classes: Sequence[int],
    image: npt.NDArray[np.uint8] | None,
    *,
    iterations: int = 10,
    device: str = "cpu",
    crf_side: float | None = None,
) -> PseudoLabel:
    """The label of one image from its class probabilities.

    Args:
        image_id: Id of the image.
        probabilities: (C, H, W) float32, sums to 1.
        classes: Ascending class indices that may be labelled.
        image: (H, W, 3) uint8 RGB for the CRF, ``None`` = no CRF.
        iterations: Mean field updates.
        device: Where the CRF is computed.
        crf_side: Long side of the images for which its kernels are meant, ``None`` = of any image.

    Returns:
        Mask without 255, and the probabilities of the foreground among ``classes`` as soft scores.
    """
    kept = probabilities[list(classes)]
    marginals = kept
    if image is not None and len(classes) > 1:
        marginals = dense_crf(image, TEST_CRF, device, crf_side=crf_side).infer(kept, iterations)
    mask = np.asarray(classes, np.uint8)[marginals.argmax(axis=0)]
    first = int(classes[0] == BACKGROUND)
    scores = SoftScores(tuple(classes[first:]), downsample(kept[first:], STRIDE), mask.shape)
    return PseudoLabel(image_id, mask, scores)
