"""Class-conditional response maps and mask refinement (Sun, Zhang, Barnes, WACV 2022, arXiv 2110.14309).

Inference: a frozen classifier looks at overlapping corner patches of the image ("separately"), and again and again
after what it has found was erased ("iteratively").

    R_c = acc_c / (max acc_c + eps)                response of a patch, acc = sum of CAMs over its views      (1)
    A   <- max(A, R), erased where max_c A_c >= t  iteratively                                               (2)
    M   = max of A over the patches                separately: patches reach a little over the centres       (3)

Training, a RECONSTRUCTION. Code of the loss is not public; certain is that it acts while the segmenter trains, consumes
off-the-shelf saliency maps S, and does not suppress objects that are not salient. The form follows the label completion
of the authors' next paper (GETAM, arXiv 2112.02841):

    s   = [S > theta]                              salient                                                   (4)
    t_c = order statistic of rank floor(q N_c) of the N_c positive values of M_c                             (5)
    a_c = (1 - s) [M_c > t_c]                      not salient, but strongly activated                       (6)
    f   = s or (sum_c a_c = 1);  w = 0 where sum_c a_c > 1, else 1                                           (7)
    L   = - sum w [f log(1 - p_0) + (1 - f) log p_0] / sum w,  p_0 the probability of the background         (8)

The algorithm that calls the classifier is in ``inference.py`` and ``responses.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from harness.contract import IGNORE, Mask

EPS = 1e-5
"""Added to a map's maximum before dividing by it."""

Box = tuple[int, int, int, int]
"""Rows and columns of a patch, half-open: (top, bottom, left, right)."""


def normalised(sums: Tensor, peak: Tensor | None = None, *, at_least: Tensor | None = None) -> Tensor:
    """R_c, equation 1.

    Args:
        sums: (n, h, w) float >= 0.
        peak: (n,) float, divided by in place of the patch's own maximum; values above 1 are cut.
        at_least: (n,) float, the divisor where it is larger than the patch's own maximum.

    Returns:
        (n, h, w) float in [0, 1].
    """
    if peak is not None:
        return (sums / (peak[:, None, None] + EPS)).clamp_(max=1.0)
    divisor = sums.amax((-2, -1))
    if at_least is not None:
        divisor = torch.maximum(divisor, at_least)
    return sums / (divisor[:, None, None] + EPS)


def view_masks(keep: Tensor, sizes: Iterable[tuple[int, int]], *, chain: bool) -> list[Tensor]:
    """``keep`` (h, w) bool at the size of each view, nearest neighbour; with ``chain`` from the view before it (D1)."""
    masks: list[Tensor] = []
    for size in sizes:
        source = masks[-1] if chain and masks else keep
        masks.append(functional.interpolate(source[None, None].float(), size, mode="nearest")[0, 0].bool())
    return masks


def fill_erased(batch: Tensor, kept: Tensor) -> Tensor:
    """Replace erased pixels by the mean of each image and channel, taken before anything was erased.

    Args:
        batch: (B, 3, h, w) float, unmasked.
        kept: (B, h, w) bool, False = erased.

    Returns:
        (B, 3, h, w) float.
    """
    return torch.where(kept[:, None], batch, batch.mean((2, 3), keepdim=True))


def centre_of_mass(response: npt.NDArray[np.float32], *, fallback: bool = False) -> tuple[int, int]:
    """Truncated centre of mass of a map over all pixels; the image's centre for a map that is zero.

    Args:
        response: (H, W) float32 >= 0.
        fallback: Also a map that is not finite gets the image's centre (released code, D9).

    Raises:
        ValueError: The map is not finite.
    """
    height, width = response.shape
    rows, columns = response.sum(1, dtype=np.float64), response.sum(0, dtype=np.float64)
    total = rows.sum()
    if total == 0 or (fallback and not math.isfinite(total)):
        return height // 2, width // 2
    return int(rows @ np.arange(height) / total), int(columns @ np.arange(width) / total)


def split_boxes(
    centres: Sequence[tuple[int, int]], size: tuple[int, int], *, buffer: tuple[int, int] = (10, 20), clamp: bool = True
) -> list[Box]:
    """Four corner patches around the centres of mass of the present classes, over which equation 3 takes the maximum.

    Args:
        centres: (row, column) of each class, one or more.
        size: (H, W) of the image.
        buffer: Pixels b that the patches reach beyond the centres, with one class and with two.
        clamp: False: a start below zero counts from the end, as in a Python slice (released code, D5).

    Returns:
        q1 top left, q2 top right, q3 bottom left, q4 bottom right. With three or more classes all are the image.
    """
    height, width = size
    if len(centres) > 2:
        return [(0, height, 0, width)] * 4
    b = buffer[len(centres) - 1]
    rows, columns = zip(*centres, strict=True)
    ends = min(max(rows) + b, height), min(max(columns) + b, width)
    starts = tuple(
        max(start if start >= 0 or clamp else side + start, 0)
        for start, side in ((min(rows) - b, height), (min(columns) - b, width))
    )
    vertical, horizontal = ((0, ends[0]), (starts[0], height)), ((0, ends[1]), (starts[1], width))
    return [(*v, *h) for v in vertical for h in horizontal]


def rank_threshold(values: npt.NDArray[np.float32], rank: float) -> float:
    """t_c, equation 5: the value at rank floor(q N), from zero, of the N positive ``values``; infinite without any."""
    positive = values[values > 0]
    if not positive.size:
        return float("inf")
    at = int(rank * positive.size)
    return float(np.partition(positive, at)[at])


def refined_target(
    saliency: npt.NDArray[np.float32],
    maps: npt.NDArray[np.float32],
    *,
    theta: float = 0.5,
    rank: float = 0.9,
) -> Mask:
    """Both f and w in one map, equations 4 to 7: saliency, completed by strong activations that are not salient.

    It does not depend on the network, so it is made once for each image.

    Args:
        saliency: (H, W) float32 in [0, 1].
        maps: (n, H, W) float32 >= 0, one plane for each present class; n = 0 leaves the saliency as it is.
        theta: Salient is what lies above.
        rank: q, rank of a class's positive values that strong activations exceed.

    Returns:
        (H, W) uint8: 1 foreground, 0 background, 255 where two classes claim a pixel that is not salient.
    """
    salient = saliency > theta
    claims = np.zeros(saliency.shape, np.int64)
    for plane in maps:
        claims += plane > rank_threshold(plane, rank)
    target = (salient | (claims == 1)).astype(np.uint8)
    target[~salient & (claims > 1)] = IGNORE
    return target


def refinement_loss(logits: Tensor, target: Tensor, *, ignore_index: int = 255) -> Tensor:
    """L, equation 8.

    Args:
        logits: Z, (B, C, H, W) float, channel 0 = background.
        target: f, (B, H, W) integer: 1 foreground, 0 background, ``ignore_index`` = weight 0.
        ignore_index: Value of pixels that do not count.

    Returns:
        Scalar; 0 where no pixel counts.
    """
    total = logits.logsumexp(1)
    background = logits[:, 0] - total  # log p0
    foreground = logits[:, 1:].logsumexp(1) - total  # log(1 - p0), exact also where p0 is near 1
    counted = target != ignore_index
    log_likelihood = torch.where(target == 1, foreground, background)
    return -(log_likelihood * counted).sum() / counted.sum().clamp(min=1)
