"""The refiner that spreads class probabilities by a random walk on the shared classifier's features.

Nothing is trained for it: the affinity of two near cells is the cosine of the features that the classifier has there
(``harness.maps.affinity``), in place of the one that AffinityNet learns (Ahn and Kwak, CVPR 2018).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from harness.contract.errors import ConfigError
from harness.maps.affinity import feature_affinity
from harness.maps.refiners import ProbabilityRefiner
from harness.modelling.classifier import CamClassifier, load_classifier

if TYPE_CHECKING:
    from harness.contract import Context, Image
    from harness.maps.params import AffinityWalkParams
    from harness.maps.probabilities import Floats


class AffinityWalkRefiner(ProbabilityRefiner):
    """The probabilities of all classes after some steps of the walk; the image is looked at in its own size."""

    def __init__(self, params: AffinityWalkParams) -> None:
        super().__init__(params.alpha, params.certainty)
        self._params = params
        self._network: CamClassifier | None = None

    @torch.inference_mode()
    def improve(self, image: Image, probabilities: Floats, ctx: Context) -> Floats:
        """(K, H, W) float32 probabilities, walked on the grid of the features and brought back to the image's size.

        Raises:
            ConfigError: The backbone has no such level.
        """
        if self._network is None:
            torch.set_num_threads(ctx.threads)
            self._network = load_classifier(ctx.input("classifier"), ctx.device)
        params, network = self._params, self._network
        pixels = network.data_preprocessor.normalise(torch.from_numpy(np.array(image))[None].to(ctx.device))
        sides = (network.inputs.side(image.shape[0]), network.inputs.side(image.shape[1]))
        features = network.features(_resized(pixels, sides))
        wrong = [level for level in params.levels if not -len(features) <= level < len(features)]
        if wrong:
            raise ConfigError(f"affinity_walk: levels: the backbone has {len(features)} levels, no level {wrong[0]}")
        levels = [features[level] for level in params.levels]
        affinity = feature_affinity(levels, radius=params.radius, tau=params.tau, beta=params.beta)
        maps = torch.from_numpy(np.ascontiguousarray(probabilities))[None].to(ctx.device)
        walked = affinity.walk(_resized(maps, affinity.size), params.steps)
        planes: Floats = _resized(walked, maps.shape[-2:])[0].cpu().numpy()
        return planes


def _resized(maps: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """(B, C, h, w) to (B, C, *size): bilinear, corners on corners, for a feature lies on pixel i * stride."""
    return functional.interpolate(maps, tuple(size), mode="bilinear", align_corners=True)
