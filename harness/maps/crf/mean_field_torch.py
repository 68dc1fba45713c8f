"""Mean field of the dense CRF in torch: all problems of an image as channels of one filter pass, on any device."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from harness.maps.crf.kernels import Floats
from harness.maps.crf.lattice_torch import TorchLattice

if TYPE_CHECKING:
    from harness.contract.arrays import Image
    from harness.maps.crf.kernels import Bilateral, Gaussian


class TorchSolver:
    """Mean field on ``device``. Messages are summed in no fixed order there, so repeats agree to rounding.

    Args:
        image: (H, W, 3) uint8, RGB.
        pairwise: Kernels.
        device: ``cpu`` or ``cuda:N``.
    """

    @torch.inference_mode()
    def __init__(self, image: Image, pairwise: Sequence[Gaussian | Bilateral], device: str) -> None:
        self._device = device
        self._kernels = [
            (
                kernel.compat,
                TorchLattice(torch.from_numpy(kernel.features(image)).to(device))
                if kernel.of_image
                else _shared_lattice(kernel, image.shape[:2], device),
            )
            for kernel in pairwise
        ]

    @torch.inference_mode()
    def solve(self, probabilities: Floats, iterations: int, clip: float) -> Floats:
        """Marginals, like ``DenseCRF.infer_many``."""
        problems, labels = probabilities.shape[:2]
        unary = torch.from_numpy(np.ascontiguousarray(probabilities, np.float32)).to(self._device)
        logs = unary.clamp(clip, 1).log().reshape(problems * labels, -1).T.contiguous()
        marginals = _softmax(logs, labels)
        for _ in range(iterations):
            messages = torch.zeros_like(marginals)  # sum over the kernels of compat * K_norm Q
            for compat, lattice in self._kernels:
                messages.add_(lattice.filter(marginals), alpha=compat)
            marginals = _softmax(messages.add_(logs), labels)
        return marginals.T.reshape(probabilities.shape).cpu().numpy()


def _softmax(logits: Tensor, labels: int) -> Tensor:
    """Softmax over each group of ``labels`` columns."""
    return logits.reshape(len(logits), -1, labels).softmax(dim=2).reshape(logits.shape)


@lru_cache(maxsize=2)  # upright and lying photographs
def _shared_lattice(kernel: Gaussian | Bilateral, size: tuple[int, int], device: str) -> TorchLattice:
    """The lattice of a kernel on positions alone, which all images of a size share."""
    return TorchLattice(torch.from_numpy(kernel.features(np.empty((*size, 3), np.uint8))).to(device))
