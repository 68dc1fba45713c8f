"""Fully connected CRF by mean field (Kraehenbuehl and Koltun, NeurIPS 2011), Potts, symmetric normalisation.

What is unusual here:

* The filters depend on the image alone, so they are built once and serve every class and every call.
* Any number of problems over the same image, for example one per class, run together.
* The same numbers come from numba on the CPU, from torch on any device, or, where it is installed, from pydensecrf2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from harness.contract.errors import ConfigError
from harness.maps.crf.kernels import Bilateral, Floats, Gaussian

if TYPE_CHECKING:
    from harness.contract.arrays import Image
    from harness.maps.params import CrfBackend


class Solver(Protocol):
    """Solves problems over one image."""

    def solve(self, probabilities: Floats, iterations: int, clip: float) -> Floats:
        """(P, L, H, W) float32 -> (P, L, H, W) float32, see ``DenseCRF.infer_many``."""


class DenseCRF:
    """Mean field inference over all pixel pairs of one image.

    Args:
        image: (H, W, 3) uint8, RGB.
        pairwise: Kernels; each adds ``compat * K_norm Q`` to the label it supports.
        backend: ``numba`` (CPU), ``torch`` (any device) or ``pydensecrf2`` (CPU, an optional package).
        device: Where ``torch`` computes; the other backends ignore it.

    Raises:
        ConfigError: A standard deviation is not positive, or too small; the backend is unknown or not installed.
    """

    def __init__(
        self,
        image: Image,
        *,
        pairwise: Sequence[Gaussian | Bilateral] = (Gaussian(), Bilateral()),
        backend: CrfBackend = "numba",
        device: str = "cpu",
    ) -> None:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ConfigError(f"image of a dense CRF must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
        self._size = image.shape[:2]
        self._solver = _solver(backend, image, pairwise, device)

    def infer(self, probabilities: Floats, iterations: int = 10, *, clip: float = 1e-5) -> Floats:
        """Marginals of one problem.

        Args:
            probabilities: (L, H, W) float32 in [0, 1], L >= 2; the unary energy is -ln(clip(p, ``clip``, 1)), so they
                need not sum to one.
            iterations: Mean field updates; 0 only normalises.
            clip: Smallest probability.

        Returns:
            (L, H, W) float32, sums to 1 over L.
        """
        result: Floats = self.infer_many(probabilities[None], iterations, clip=clip)[0]
        return result

    def infer_many(self, probabilities: Floats, iterations: int = 10, *, clip: float = 1e-5) -> Floats:
        """Marginals of P problems with L labels each, solved together.

        Args:
            probabilities: (P, L, H, W) float32 in [0, 1], as in ``infer``.
            iterations: Mean field updates.
            clip: Smallest probability.

        Returns:
            (P, L, H, W) float32.
        """
        if probabilities.shape[1] < 2 or probabilities.shape[2:] != self._size:
            expected = f"(P, L >= 2, {self._size[0]}, {self._size[1]})"
            raise ValueError(f"expected {expected}, got {probabilities.shape}")
        return self._solver.solve(probabilities, iterations, clip)


def _solver(backend: CrfBackend, image: Image, pairwise: Sequence[Gaussian | Bilateral], device: str) -> Solver:
    """The solver by name; each is imported when it is first used."""
    if backend == "numba":
        from harness.maps.crf.mean_field import NumbaSolver

        return NumbaSolver(image, pairwise)
    if backend == "torch":
        from harness.maps.crf.mean_field_torch import TorchSolver

        return TorchSolver(image, pairwise, device)
    if backend == "pydensecrf2":
        from harness.maps.crf.pydensecrf import PydensecrfSolver

        return PydensecrfSolver(image, pairwise)
    raise ConfigError(f"backend of a dense CRF must be numba, torch or pydensecrf2, got {backend!r}")
