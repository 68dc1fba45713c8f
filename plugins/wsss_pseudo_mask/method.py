"""CVS and PMG: from class activation maps to an index mask (arXiv 2108.12995, sections on CVS and PMG).

    cv_k = lambda * std(N_k) / mean(N_k) over the active pixels N_k > tau       coefficient of variation (1)
           of N_k = (M_k - min M_k) / (max M_k - min M_k)
    s_k  = M_k^(1 - cv_k) where M_k >= tau, else 0                              smoothing                (2)
    F_k  = [ CRF{ (1 - s_k)^alpha, s_k } > 1/2 ]                                foreground of a class    (3)
    p_k  = M_k / (1 + sum F_k M_k)                                              proportion               (4)
    y    = argmax_k F_k p_k, background where all are 0                         mask                     (5)

What is unusual: the background never competes with the classes. It is what no class claims, and between claims the
class wins for which the pixel is the larger share of its own mass, so small objects stay in front of large ones.

Maps are ``(K, H, W)`` floats, one plane for each present class, usually in [0, 1]. With half-precision maps every step
stays in half precision, as in the released code; single precision or better is what the paper means.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from harness.contract import BACKGROUND, SoftScores
from harness.maps import Bilateral, DenseCRF, Gaussian, kernels_for

Maps = npt.NDArray[Any]
Mask = npt.NDArray[np.uint8]

ALPHA = 11.0
"""Exponent of the background in the paper, for its own CAMs."""

CLASS_CRF = (Gaussian(sxy=3, compat=10), Bilateral(sxy=80, srgb=13, compat=10))
"""Kernels of the two-label problem of each class."""

JOINT_CRF = (Gaussian(sxy=3, compat=3), Bilateral(sxy=80, srgb=13, compat=10))
"""Kernels of the joint problem over the background and all present classes, without PMG."""


def foreground_planes(scores: SoftScores) -> tuple[npt.NDArray[np.float16], tuple[int, ...]]:
    """M of an image as it is stored, (K, h, w) float16, and the class of each plane; without the background."""
    kept = [index for index, cls in enumerate(scores.classes) if cls != BACKGROUND]
    return scores.values[kept], tuple(scores.classes[index] for index in kept)


def min_max(maps: Maps) -> Maps:
    """N_k of equation 1: every plane from 0 to 1, (K, H, W) of the type of ``maps``; a constant plane is 0."""
    low, high = (bound(axis=(1, 2), keepdims=True) for bound in (maps.min, maps.max))
    return (maps - low) / (high - low + maps.dtype.type(1e-5))


def coefficient_of_variation(maps: Maps, *, tau: float = 0.05, strength: float = 0.3, eps: float = 1e-8) -> Maps:
    """cv_k, equation 1.

    Args:
        maps: (K, H, W) floats, N_k.
        tau: Values strictly above it are active.
        strength: lambda, the factor of the ratio.
        eps: Added to the mean.

    Returns:
        (K,) float64; 0 where no pixel is active. In half precision the variance sums in half precision and overflows
        to infinity on large objects, as in the released code.
    """
    accumulate = None if maps.dtype == np.float16 else np.float64
    values = []
    with np.errstate(over="ignore", invalid="ignore"):
        for plane in maps:
            active = plane[plane > tau]
            mean = active.mean(dtype=accumulate) if active.size else 0
            values.append(strength * (active.std(dtype=accumulate) / (mean + eps)) if active.size else 0.0)
    return np.array(values, np.float64)


def smooth(maps: Maps, variation: Maps, *, tau: float = 0.05) -> Maps:
    """s_k, equation 2.

    Args:
        maps: (K, H, W) floats.
        variation: (K,) cv_k; zeros switch the smoothing off.
        tau: Values below it become 0.

    Returns:
        (K, H, W) of the type of ``maps``.
    """
    exponent = (1 - variation).astype(maps.dtype)[:, None, None]
    with np.errstate(divide="ignore", over="ignore"):
        return np.where(maps >= tau, maps, maps.dtype.type(0)) ** exponent


def background(smoothed: Maps, alpha: float = ALPHA) -> Maps:
    """b_k = (1 - s_k)^alpha, (K, H, W) of the type of ``smoothed``."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        return (1 - smoothed) ** smoothed.dtype.type(alpha)


def neutral_alpha(threshold: float) -> float:
    """The alpha at which score and background are equal at ``threshold``; the paper's 11 belongs to 0.1556."""
    return math.log(threshold) / math.log1p(-threshold)


def even_variation(*, tau: float = 0.05, strength: float = 0.3) -> float:
    """Cv of a map whose active values are spread evenly over [tau, 1]; maps above it are peaky, maps below it flat."""
    return strength * (1 - tau) / (math.sqrt(3) * (1 + tau))


def dense_crf(
    image: npt.NDArray[np.uint8],
    pairwise: Sequence[Gaussian | Bilateral],
    device: str = "cpu",
    *,
    crf_side: float | None = None,
) -> DenseCRF:
    """The CRF of an image (H, W, 3) uint8: numba on the CPU, torch on a GPU; the marginals are equal to rounding.

    ``crf_side`` is the long side of the images for which the kernels are meant, ``None`` = of any image.
    """
    backend: Literal["numba", "torch"] = "numba" if device == "cpu" else "torch"
    scaled = kernels_for(image.shape[:2], pairwise, reference=crf_side)
    return DenseCRF(np.ascontiguousarray(image), pairwise=scaled, backend=backend, device=device)


def class_marginals(
    smoothed: Maps,
    image: npt.NDArray[np.uint8] | None,
    *,
    alpha: float = ALPHA,
    iterations: int = 10,
    device: str = "cpu",
    crf_side: float | None = None,
) -> npt.NDArray[np.float32]:
    """Probability of the foreground in the two-label problem of each class, all classes of an image at once.

    Args:
        smoothed: (K, H, W) s_k.
        image: (H, W, 3) uint8; ``None`` = no CRF, b_k and s_k are only normalised.
        alpha: Exponent of the background.
        iterations: Mean field updates.
        device: Where the CRF is computed.
        crf_side: See ``dense_crf``.

    Returns:
        (K, H, W) float32 in [0, 1].
    """
    problems = _clipped(np.stack([background(smoothed, alpha), smoothed], axis=1))
    if image is None:
        return problems[:, 1] / problems.sum(axis=1)
    return dense_crf(image, CLASS_CRF, device, crf_side=crf_side).infer_many(problems, iterations)[:, 1]


def _clipped(scores: Maps) -> npt.NDArray[np.float32]:
    """Scores in [1e-5, 1] as float32; of half-precision scores the logarithm, the CRF's energy, is rounded as well."""
    clipped = np.clip(scores, 1e-5, 1)
    if scores.dtype == np.float16:
        return np.exp(np.log(clipped).astype(np.float32))
    return clipped.astype(np.float32)


def proportions(maps: Maps, foreground: npt.NDArray[np.bool_]) -> Maps:
    """p_k, equation 4: the share that a pixel has in the mass of the foreground of a class.

    Args:
        maps: (K, H, W) floats, neither cut nor smoothed.
        foreground: (K, H, W) bool, F_k.

    Returns:
        (K, H, W) floats.
    """
    weights = foreground.astype(np.float32)  # so the mass is summed in float32 even of half-precision maps
    return np.stack([plane / (1 + (plane * weight).sum()) for plane, weight in zip(maps, weights, strict=True)])


def proportional_labels(maps: Maps, foreground: npt.NDArray[np.bool_], classes: Sequence[int]) -> Mask:
    """The mask of equation 5.

    Args:
        maps: (K, H, W) floats, neither cut nor smoothed.
        foreground: (K, H, W) bool, F_k.
        classes: Class index of each plane.

    Returns:
        (H, W) uint8 class indices without 255; a tie goes to the first class, and a pixel whose own score is not
        positive to the background, even where the CRF has grown a class over it.
    """
    if not len(classes):
        return np.full(foreground.shape[1:], BACKGROUND, np.uint8)
    share = np.where(foreground, proportions(maps, foreground), 0)
    labels = np.asarray(classes, np.uint8)[share.argmax(axis=0)]
    return np.where(share.max(axis=0) > 0, labels, np.uint8(BACKGROUND))


def joint_labels(
    smoothed: Maps,
    classes: Sequence[int],
    image: npt.NDArray[np.uint8] | None,
    *,
    alpha: float,
    iterations: int = 10,
    device: str = "cpu",
    crf_side: float | None = None,
) -> Mask:
    """The mask without PMG: strongest of the present classes and a background of (1 - max_k s_k)^alpha.

    Args:
        smoothed: (K, H, W) s_k.
        classes: Class index of each plane.
        image: (H, W, 3) uint8 for a joint CRF, ``None`` = no CRF.
        alpha: Exponent of the background.
        iterations: Mean field updates.
        device: Where the CRF is computed.
        crf_side: See ``dense_crf``.

    Returns:
        (H, W) uint8 class indices without 255; a tie goes to the background, then to the first class.
    """
    if not len(classes):
        return np.full(smoothed.shape[1:], BACKGROUND, np.uint8)
    scores = np.concatenate([background(smoothed.max(axis=0, keepdims=True), alpha), smoothed])
    if image is not None:
        scores = dense_crf(image, JOINT_CRF, device, crf_side=crf_side).infer(_clipped(scores), iterations)
    return np.array([BACKGROUND, *classes], np.uint8)[scores.argmax(axis=0)]
