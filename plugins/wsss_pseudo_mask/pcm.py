"""Pixel correlation of CAMs (SEAM, Wang et al., CVPR 2020, arXiv 2004.04581), the maps that the paper starts from.

    A = relu( f^T f )^sharpness, columns summing to 1;  refined maps = maps A

SEAM trains 1x1 convolutions for f. Here f are the deepest two levels of the shared classifier as they are, which is
why the cosines are sharpened. What is unusual: a refined map keeps the histogram of the map that it came from. Only the
order of its pixels changes, so every fixed threshold means what it meant before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from harness.contract import BACKGROUND, IMAGENET, Context, InputRule, SoftScores, View
from harness.modelling import load_classifier
from wsss_pseudo_mask.method import foreground_planes

SHARPNESS = 4.0
"""Exponent of the cosines of untrained features, chosen among four variants on photographs that are never scored."""
SIDE = 449
"""Largest side of the network input; images are squeezed into a square, so that all share a batch."""

_BATCH = 16

Item = tuple[str, SoftScores | None]


def correlate(maps: Tensor, features: Tensor, sharpness: float = 1.0) -> Tensor:
    """Every cell collects the scores of the cells that look like it.

    Args:
        maps: (B, K, h, w) float.
        features: (B, D, h, w) float.
        sharpness: Exponent of the cosines; 1 is SEAM's.

    Returns:
        (B, K, h, w) float.
    """
    flat = features.flatten(2)
    flat = flat / (flat.norm(dim=1, keepdim=True) + 1e-5)
    affinity = (flat.transpose(1, 2) @ flat).relu() ** sharpness
    affinity = affinity / (affinity.sum(dim=1, keepdim=True) + 1e-5)
    return (maps.flatten(2) @ affinity).view_as(maps)


def with_histogram_of(maps: Tensor, source: Tensor) -> Tensor:
    """``maps (K, h, w)`` in their own order of pixels with the values of ``source (K, h, w)``."""
    order = maps.flatten(1).argsort(dim=1, stable=True)
    values = source.flatten(1).sort(dim=1).values
    return torch.empty_like(values).scatter_(1, order, values).view_as(maps)


def input_side(crop: int, inputs: InputRule = IMAGENET) -> int:
    """Twice the side that the classifier was trained at, as the network likes it, but no more than ``SIDE``."""
    return min(SIDE, inputs.side(2 * crop))


def correlated(items: Iterable[Item], view: View, ctx: Context) -> Iterator[Item]:
    """Refine soft scores, in order; a background plane is left out, and those without another pass as they are."""
    model = load_classifier(Path(ctx.input("classifier")), ctx.device)
    side = input_side(ctx.settings["classifier"].augment.crop, model.inputs)
    source = iter(items)
    while batch := list(islice(source, _BATCH)):
        busy = [image_id for image_id, scores in batch if scores is not None and set(scores.classes) - {BACKGROUND}]
        features = dict(zip(busy, _features(model, busy, view, side), strict=True)) if busy else {}
        for image_id, scores in batch:
            if scores is None or image_id not in features:
                yield image_id, scores
                continue
            cells = features[image_id]
            planes, classes = foreground_planes(scores)
            stored = torch.from_numpy(planes.astype(np.float32)).to(cells.device)
            coarse = functional.interpolate(stored[None], cells.shape[1:], mode="area")
            refined = correlate(coarse, cells[None], SHARPNESS)
            fine = functional.interpolate(refined, stored.shape[1:], mode="bilinear", align_corners=False)[0]
            values = with_histogram_of(fine, stored).half().cpu().numpy()
            yield image_id, SoftScores(classes, values, scores.size)


@torch.inference_mode()
def _features(model: Any, ids: Iterable[str], view: View, side: int) -> Tensor:
    """(B, D, h, w) float32: the two deepest levels, each of unit length in every cell."""
    pixels = [model.data_preprocessor.normalise(torch.from_numpy(np.array(view.image(name)))[None]) for name in ids]
    size = (side, side)
    inputs = [functional.interpolate(image, size, mode="bilinear", align_corners=False) for image in pixels]
    levels = model.features(torch.cat(inputs))[-2:]
    size = levels[-1].shape[2:]
    resized = [functional.interpolate(level.float(), size, mode="bilinear", align_corners=False) for level in levels]
    return torch.cat([functional.normalize(level, dim=1) for level in resized], dim=1)
