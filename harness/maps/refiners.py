"""The built-in refiners, dense CRF and guided filter: both improve the class probabilities of each image."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from harness.contract.arrays import PseudoLabel, SoftScores
from harness.contract.interfaces import Context, Refiner, View
from harness.maps.crf.dense import DenseCRF
from harness.maps.crf.kernels import Bilateral, Gaussian
from harness.maps.probabilities import Floats, label_probabilities, score_probabilities
from harness.maps.scores import downsample
from harness.maps.seeds import tie_exponent

if TYPE_CHECKING:
    from harness.contract.arrays import Image
    from harness.maps.params import DenseCrfParams, GuidedFilterParams


class ProbabilityRefiner(Refiner):
    """Improves the probabilities of the background and of all present classes; the largest one is the label.

    Args:
        alpha: With soft scores, the background score is ``(1 - max)^alpha``; ``None`` ties with ``cam.threshold``.
        certainty: Without soft scores, the labelled class has this probability.
    """

    def __init__(self, alpha: float | None, certainty: float) -> None:
        self._alpha, self._certainty = alpha, certainty

    @abstractmethod
    def improve(self, image: Image, probabilities: Floats, ctx: Context) -> Floats:
        """``image (H, W, 3) uint8`` and ``probabilities (K, H, W) float32`` to (K, H, W) float32."""

    def refine(self, labels: Iterable[PseudoLabel], view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Refine label by label; an image that holds the background alone stays as it is.

        A refined label has no ignored pixels. Soft scores become the improved planes of the same classes, at their
        stride.
        """
        alpha = tie_exponent(ctx.settings["cam"].threshold) if self._alpha is None else self._alpha
        for label in labels:
            scores = label.scores
            if scores is not None:
                classes, probabilities = score_probabilities(scores, alpha)
            else:
                classes, probabilities = label_probabilities(label.mask, self._certainty)
            if len(classes) < 2:
                yield label
                continue
            planes = self.improve(view.image(label.image_id), probabilities, ctx)
            mask = np.array(classes, np.uint8)[planes.argmax(axis=0)]
            if scores is not None:
                kept = planes[[classes.index(c) for c in scores.classes]]
                stride = max(round(scores.size[0] / scores.values.shape[1]), 1)
                scores = SoftScores(scores.classes, downsample(kept, stride), scores.size)
            yield PseudoLabel(label.image_id, mask, scores)


class DenseCrfRefiner(ProbabilityRefiner):
    """One dense CRF over all classes of an image; the improved probabilities are its marginals."""

    def __init__(self, params: DenseCrfParams) -> None:
        super().__init__(params.alpha, params.certainty)
        self._params = params
        self._pairwise = (
            Gaussian(params.gaussian_sxy, params.gaussian_compat),
            Bilateral(params.bilateral_sxy, params.bilateral_srgb, params.bilateral_compat),
        )

    def improve(self, image: Image, probabilities: Floats, ctx: Context) -> Floats:
        """The marginals of the dense CRF."""
        crf = DenseCRF(image, pairwise=self._pairwise, backend=self._params.backend, device=ctx.device)
        return crf.infer(probabilities, self._params.iterations)


class GuidedFilterRefiner(ProbabilityRefiner):
    """The probabilities of all classes, filtered with the image as guide."""

    def __init__(self, params: GuidedFilterParams) -> None:
        super().__init__(params.alpha, params.certainty)
        self._params = params

    def improve(self, image: Image, probabilities: Floats, ctx: Context) -> Floats:
        """The filtered probabilities, cut to [0, 1]."""
        import torch

        from harness.maps.guided_filter import apply_guided_filter

        params = self._params
        torch.set_num_threads(ctx.threads)
        guide = torch.from_numpy(np.array(image)).to(ctx.device).permute(2, 0, 1)[None].float() / 255
        maps = torch.from_numpy(np.ascontiguousarray(probabilities))[None].to(ctx.device)
        filtered = apply_guided_filter(guide, maps, radius=params.radius, eps=params.eps, subsample=params.subsample)
        planes: Floats = filtered[0].clamp(0, 1).cpu().numpy()
        return planes
