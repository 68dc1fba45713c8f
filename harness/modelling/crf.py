"""Predictions with the dense CRF of the protocol's ``test.crf``: the customary setting of DeepLab's test protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from harness.maps.crf.dense import DenseCRF
from harness.maps.crf.kernels import Bilateral, Gaussian
from harness.modelling import inference

if TYPE_CHECKING:
    from harness.contract.arrays import Image, Mask
    from harness.contract.protocol import TestSettings

KERNELS = (Gaussian(sxy=1, compat=3), Bilateral(sxy=67, srgb=3, compat=4))
ITERATIONS = 10
SMALLEST = 0.01
"""A class whose probability exceeds this nowhere takes no part in the CRF."""


def predict(
    folder: Path,
    items: Iterable[tuple[str, Image]],
    *,
    settings: TestSettings,
    device: str = "cpu",
    features: Path | None = None,
) -> Iterator[tuple[str, Mask]]:
    """``inference.predict`` with the dense CRF where the settings ask for it."""
    return inference.predict(folder, items, settings=settings, device=device, refine=refine, features=features)


def predict_probabilities(
    folder: Path, images: Iterable[Image], *, settings: TestSettings, device: str = "cpu"
) -> Iterator[npt.NDArray[np.float32]]:
    """``inference.predict_probabilities`` with the dense CRF where the settings ask for it."""
    return inference.predict_probabilities(folder, images, settings=settings, device=device, refine=refine)


def refine(probabilities: npt.NDArray[np.float32], image: Image, device: str = "cpu") -> npt.NDArray[np.float32]:
    """Marginals of the dense CRF of ``test.crf``.

    Args:
        probabilities: (C, H, W) float32 in [0, 1].
        image: (H, W, 3) uint8 RGB of the same size.
        device: Where to compute.

    Returns:
        (C, H, W) float32, sums to 1 over C; the given array where only one class is likely anywhere.
    """
    kept = np.flatnonzero(probabilities.max(axis=(1, 2)) > SMALLEST)
    if len(kept) < 2:
        return probabilities
    backend: Literal["numba", "torch"] = "numba" if device == "cpu" else "torch"
    crf = DenseCRF(image, pairwise=KERNELS, backend=backend, device=device)
    marginals = np.zeros_like(probabilities)
    marginals[kept] = crf.infer(probabilities[kept], ITERATIONS)
    return marginals
