"""Mean field of the dense CRF by pydensecrf2, a package of C++ code that is optional: one label set at a time."""

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
        self._package = _package()
        self._size = image.shape[:2]
        self._energies = [(kernel.compat, np.ascontiguousarray(kernel.features(image))) for kernel in pairwise]

    def solve(self, probabilities: Floats, iterations: int, clip: float) -> Floats:
        """Marginals, like ``DenseCRF.infer_many``."""
        return np.stack([self._solve_one(problem, iterations, clip) for problem in probabilities])

    def _solve_one(self, probabilities: Floats, iterations: int, clip: float) -> Floats:
        labels, count = len(probabilities), self._size[0] * self._size[1]
        crf = self._package.DenseCRF(count, labels)
        energy = -np.log(np.clip(probabilities, clip, 1)).reshape(labels, count)
        crf.setUnaryEnergy(np.ascontiguousarray(energy, np.float32))
        for compat, features in self._energies:
            crf.addPairwiseEnergy(features, compat=compat)
        return np.array(crf.inference(iterations), np.float32).reshape(probabilities.shape)


def _package() -> ModuleType:
    try:
        from pydensecrf import densecrf
    except ImportError as error:
        raise ConfigError(
            f"dense_crf: backend: pydensecrf2 cannot be imported ({error}); install it or choose numba or torch"
        ) from None
    module: ModuleType = densecrf
    return module
