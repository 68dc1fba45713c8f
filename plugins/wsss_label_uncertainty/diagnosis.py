"""Looks at what a trained network thinks of its box labels. For reports: nothing of the method calls it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional

from wsss_label_uncertainty.network import FLOOR


@torch.inference_mode()
def moments(model: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    """Means (B, K, H, W) and variances (B, V, H, W) of a trained segmenter, which itself predicts by the means alone.

    Args:
        model: What ``harness.modelling.load_segmenter`` returns, trained by ``label_uncertainty``.
        images: (B, H, W, 3) uint8 RGB.
    """
    head, seen = model.decode_head, []
    hook = head.conv_seg.register_forward_pre_hook(lambda conv, inputs: seen.append(inputs[0]))
    try:
        means = head(model.extract_feat(model.data_preprocessor.normalise(images)))
    finally:
        hook.remove()
    raw = head.conv_variance(seen[0])
    means, raw = (
        functional.interpolate(maps, images.shape[1:3], mode="bilinear", align_corners=head.align_corners)
        for maps in (means, raw)
    )
    return means, functional.softplus(raw) + FLOOR


def label_error_auc(statistic: npt.ArrayLike, wrong: npt.ArrayLike) -> float:
    """Probability that a wrong label has the larger ``statistic`` than a right one, ties counted half.

    Args:
        statistic: (N,) float, one value a box pixel: its variance, or minus its margin.
        wrong: (N,) bool, True where the hidden mask contradicts the box.

    Returns:
        In [0, 1]; NaN where one kind is missing.
    """
    wrong = np.asarray(wrong, bool)
    bad, good = int(wrong.sum()), int((~wrong).sum())
    if not bad or not good:
        return float("nan")
    return float((rankdata(statistic)[wrong].sum() - bad * (bad + 1) / 2) / (bad * good))
