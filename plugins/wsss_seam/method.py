"""Self-supervised equivariant attention (SEAM; Wang et al., CVPR 2020, arXiv 2004.04581).

A network sees an image at two scales, v = 1, 2. cam_v are its class scores, y the tags, and y_0 = 1 the background.

    (1) activations  r = relu(cam);  u = relu(r - e) / (max r + e);  u_0 = 1 - max_c u_c;  only the largest u_c stays
    (2) correlation  A = relu(cosine of the features of two cells), columns summing to 1;  rv = u A
    (3) classes      cls_v = multi-label soft margin(mean of cam_v, y)
    (4) minimum      min_v = mean of relu over the lowest quarter of max_c (rv_v y)_c
    (5) maps         n(x) = relu(relu(x) - min - e) / (max - min + e);  c_v = n(cam_v) y,  r_v = n(rv_v) y
    (6) ER           mean |c_1 - c_2| over the foreground, both on one grid;  then c_v0 = 1 - max_c c_vc
    (7) ECR          top(|T(c_2) - r_1|) + top(|T(c_1) - r_2|);  T: no gradient, only the largest foreground stays;
                     top: mean over the hardest 20 % of an image's values (online hard mining)
    (8) L            mean of cls_v + mean of min_v + ER + ECR

e = 1e-5. (2) learns its features alone: u carries no gradient, so what trains the network is cam.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

EPS = 1e-5

MATRIX = 1 << 24
"""Entries of the matrix between cells that are held at a time for an image: that of 4,096 cells, 64 MiB."""


class Maps(NamedTuple):
    """What the network says of one view, on any grid.

    Attributes:
        cam: (B, C, h, w) float, scores of the foreground classes.
        rv: (B, 1 + C, h, w) float, correlated activations, background first.
    """

    cam: Tensor
    rv: Tensor


def normalise(x: Tensor) -> Tensor:
    """(5), n: each map of (B, K, h, w) from its least to its greatest value, in [0, 1]; both carry gradient."""
    positive = x.relu()
    low, high = positive.amin((2, 3), keepdim=True), positive.amax((2, 3), keepdim=True)
    return (positive - low - EPS).relu() / (high - low + EPS)


def winners(foreground: Tensor) -> Tensor:
    """(B, C, h, w) -> the same with 0 wherever a value is not the largest of its cell."""
    return torch.where(foreground == foreground.amax(1, keepdim=True), foreground, torch.zeros_like(foreground))


def with_background(foreground: Tensor) -> Tensor:
    """(B, C, h, w) maps in [0, 1] -> (B, 1 + C, h, w), the background first: what no class claims."""
    return torch.cat([1 - foreground.amax(1, keepdim=True), foreground], 1)


@torch.no_grad()
def activations(cam: Tensor, present: Tensor | None = None) -> Tensor:
    """(1), without gradient.

    Args:
        cam: (B, C, h, w) float scores.
        present: (B, C) or (1, C) float, 1 for the classes that may win a cell; ``None`` = all. Every map is stretched
            to peak 1, so an absent class with a trace of a score takes cells from the tagged ones.

    Returns:
        (B, 1 + C, h, w) in [0, 1].
    """
    positive = cam.relu() if present is None else cam.relu() * present[..., None, None]
    unit = (positive - EPS).relu() / (positive.amax((2, 3), keepdim=True) + EPS)
    return torch.cat([1 - unit.amax(1, keepdim=True), winners(unit)], 1)


def correlate(maps: Tensor, features: Tensor) -> Tensor:
    """(2): every cell collects the scores of the cells that look like it.

    Args:
        maps: (B, K, h, w) float.
        features: (B, D, h, w) float.

    Returns:
        (B, K, h, w) float.
    """
    flat = features.flatten(2)
    flat = flat / (flat.norm(dim=1, keepdim=True) + EPS)
    columns = max(MATRIX // flat.shape[2], 1)
    found = []
    for part in flat.split(columns, dim=2):  # a column needs no other one
        affinity = (flat.transpose(1, 2) @ part).relu()
        found.append(maps.flatten(2) @ (affinity / (affinity.sum(dim=1, keepdim=True) + EPS)))
    return torch.cat(found, 2).view_as(maps)


def minimum_loss(rv: Tensor, tags: Tensor) -> Tensor:
    """(4) of one view.

    Args:
        rv: (B, C, h, w) float, the foreground of rv.
        tags: (B, C) float.
    """
    strongest = (rv * tags[..., None, None]).amax(1).flatten(1)
    lowest = strongest.topk(max(strongest.shape[1] // 4, 1), dim=1, largest=False).values
    return lowest.relu().mean()


def hardest(difference: Tensor, count: int) -> Tensor:
    """Mean of the ``count`` largest values of each image of (B, K, h, w); of all, where there are fewer."""
    flat = difference.flatten(1)
    return flat.topk(max(min(count, flat.shape[1]), 1), dim=1).values.mean()


def siamese_losses(
    first: Maps, second: Maps, tags: Tensor, *, size: tuple[int, int], hard: float = 0.2, channels: int | None = None
) -> dict[str, Tensor]:
    """(3) to (7) of a batch; their sum is (8).

    Args:
        first: Of the image.
        second: Of the same image at the other scale.
        tags: (B, C) float, 1 where a class is tagged.
        size: (h, w) of the grid on which both views are compared; the released code takes the pixels of the second.
        hard: Share of the values that count in (7).
        channels: Classes, background included, of which ``hard`` is a share; by default those that there are.

    Returns:
        ``loss_cls``, ``loss_min``, ``loss_er`` and ``loss_ecr``, scalars.
    """
    known = functional.pad(tags, (1, 0), value=1.0)[..., None, None]
    c, r = [], []
    for view in (first, second):
        c.append(_resized(normalise(view.cam), size) * known[:, 1:])
        r.append(_resized(normalise(view.rv), size) * known)
    targets = [torch.cat([1 - x.amax(1, keepdim=True), winners(x)], 1).detach() for x in c]
    count = int((channels or known.shape[1]) * size[0] * size[1] * hard)
    return {
        "loss_cls": (_classification(first.cam, tags) + _classification(second.cam, tags)) / 2,
        "loss_min": (minimum_loss(first.rv[:, 1:], tags) + minimum_loss(second.rv[:, 1:], tags)) / 2,
        "loss_er": (c[0] - c[1]).abs().mean(),
        "loss_ecr": hardest((targets[1] - r[0]).abs(), count) + hardest((targets[0] - r[1]).abs(), count),
    }


def _classification(cam: Tensor, tags: Tensor) -> Tensor:
    return functional.multilabel_soft_margin_loss(cam.mean((2, 3)), tags)


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    if maps.shape[2:] == size:
        return maps
    return functional.interpolate(maps, size, mode="bilinear", align_corners=True)
