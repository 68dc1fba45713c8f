"""The dense CRF as a refiner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.contract.arrays import PseudoLabel
from harness.contract.interfaces import Context, Refiner, View
from harness.maps.crf.dense import DenseCRF
from harness.maps.crf.kernels import Bilateral, Floats, Gaussian
from harness.maps.params import DenseCrfParams
from harness.maps.refining import refine_probabilities


class DenseCrfRefiner(Refiner):
    """One dense CRF over the background and all present classes of an image; the strongest marginal is the label."""

    def __init__(self, params: DenseCrfParams) -> None:
        self._params = params
        self._pairwise = (
            Gaussian(params.gaussian_sxy, params.gaussian_compat),
            Bilateral(params.bilateral_sxy, params.bilateral_srgb, params.bilateral_compat),
        )

    def refine(self, labels: Iterable[PseudoLabel], view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Refine label by label; an image with background alone stays as it is."""
        params = self._params

        def marginals(image_id: str, probabilities: Floats) -> Floats:
            crf = DenseCRF(view.image(image_id), pairwise=self._pairwise, backend=params.backend, device=ctx.device)
            return crf.infer(probabilities, params.iterations)

        return refine_probabilities(labels, marginals, alpha=params.alpha, certainty=params.certainty)
