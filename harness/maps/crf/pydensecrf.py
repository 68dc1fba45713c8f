"""Mean field of the dense CRF by pydensecrf2, an optional package of C++ code: one problem at a time."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from harness.contract.errors import ConfigError
from harness.maps.crf.kernels import Floats

if TYPE_CHECKING:
    from harness.contract.arrays import Image
    from harness.maps.crf.kernels import Bilateral, Gaussian


class PydensecrfSolver:
    """Mean field on one thread of the CPU; the lattices are built anew for every problem.

    Args:
        image: (H, W, 3) uint8, RGB.
        pairwise: Kernels.

    Raises:
        ConfigError: The package is not installed, or a standard deviation is not positive.
    """

    def __init__(self, image: Image, pairwise: Sequence[Gaussian | Bilateral]) -> None:
        try:
            from pydensecrf import densecrf
        except ImportError as error:
            raise ConfigError(
                f"dense_crf: backend: pydensecrf2 cannot be imported ({error}); install it or choose numba or torch"
            ) from None
        self._package: ModuleType = densecrf
        self._energies = [(kernel.compat, np.ascontiguousarray(kernel.features(image))) for kernel in pairwise]

    def solve(self, probabilities: Floats, iterations: int, clip: float) -> Floats:
        """Marginals, like ``DenseCRF.infer_many``."""
        marginals = np.empty(probabilities.shape, np.float32)
        for problem, out in zip(probabilities, marginals, strict=True):
            energy = -np.log(np.clip(problem, clip, 1)).reshape(len(problem), -1)
            crf = self._package.DenseCRF(energy.shape[1], len(problem))
            crf.setUnaryEnergy(np.ascontiguousarray(energy, np.float32))
            for compat, features in self._energies:
                crf.addPairwiseEnergy(features, compat=compat)
            out[:] = np.array(crf.inference(iterations), np.float32).reshape(problem.shape)
        return marginals
