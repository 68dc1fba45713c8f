"""Normalisation of activation maps, per image and class.

Both functions take ``scores (B, K, H, W) float`` and an optional ``present (B, K) bool``; classes that are not present
become zero. They work on any device and keep the gradient.
"""

from __future__ import annotations

import torch

EPS = 1e-5


def max_normalise(scores: torch.Tensor, present: torch.Tensor | None = None, *, eps: float = EPS) -> torch.Tensor:
    """ReLU, then divide by each map's maximum.

    Args:
        scores: (B, K, H, W) float, any range.
        present: (B, K) bool, ``None`` = all.
        eps: Added to the maximum; a map without a positive value stays zero.

    Returns:
        (B, K, H, W) float in [0, 1].
    """
    positive = scores.relu()
    return _only(positive / (positive.amax((-2, -1), keepdim=True) + eps), present)


def minmax_normalise(scores: torch.Tensor, present: torch.Tensor | None = None, *, eps: float = EPS) -> torch.Tensor:
    """Shift each map's minimum to zero and divide by its range.

    Args:
        scores: (B, K, H, W) float, any range.
        present: (B, K) bool, ``None`` = all.
        eps: Added to the range; a constant map becomes zero.

    Returns:
        (B, K, H, W) float in [0, 1].
    """
    shifted = scores - scores.amin((-2, -1), keepdim=True)
    return _only(shifted / (shifted.amax((-2, -1), keepdim=True) + eps), present)


def _only(maps: torch.Tensor, present: torch.Tensor | None) -> torch.Tensor:
    return maps if present is None else maps * present[..., None, None]
