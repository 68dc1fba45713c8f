"""The mathematics of IRN (Ahn, Cho and Kwak, CVPR 2019), of its semantic branch: arrays in, arrays out.

A *pair* is two cells of the boundary map less than R apart; its *path* are the cells under the line between them. The
numbers of the equations are those of the paper:

    a_ij = 1 - max over the path of b                 (4)  affinity of a pair
    L_D  = L1 of displacement differences             (1), (2)
    L_B  = -ln a of equal, -ln(1 - a) of unequal pairs (5)
    T    = D^-1 A with A = a^beta                     (6)
    w    = T^t (m * (1 - b))                          (7)

What is unusual here: the largest b of a path is found without gradients and then read once per pair, which costs the
gradient one scatter in place of one per cell of the path. The walk goes through ``harness.maps.Affinity``, one plane
of cells for each offset of a pair, and no matrix over all pairs of cells exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from harness.contract import BACKGROUND, IGNORE, Mask
from harness.maps import Affinity, half_disc

EPSILON = 1e-5
"""Of every logarithm and of every denominator, as in the released code."""

Offset = tuple[int, int]
"""(dy, dx) from the first to the second cell of a pair."""


class Area(NamedTuple):
    """The first cells of pairs: rows ``top <= y < bottom``, columns ``left <= x < right``."""

    top: int
    bottom: int
    left: int
    right: int

    def seen(self, maps: Tensor, offset: Offset) -> Tensor:
        """(..., H, W) -> (..., h, w), a view: the values at ``offset`` from each first cell."""
        dy, dx = offset
        return maps[..., self.top + dy : self.bottom + dy, self.left + dx : self.right + dx]


class Pairs(NamedTuple):
    """What labels say of pairs, (B, K, h, w) bool each; a pair with an ignored cell is in none.

    Attributes:
        background: Both cells are background.
        foreground: Both cells are of one class of objects.
        different: The cells are of different classes.
    """

    background: Tensor
    foreground: Tensor
    different: Tensor


def path(offset: Offset) -> list[Offset]:
    """The cells under the line from (0, 0) to ``offset``: nearer to it than one cell, both ends included."""
    dy, dx = offset
    rows, columns = (range(min(side, 0), max(side, 0) + 1) for side in (dy, dx))
    return [(y, x) for y in rows for x in columns if (dy * x - dx * y) ** 2 < dy * dy + dx * dx]


def inner_area(size: tuple[int, int], radius: int) -> Area:
    """The cells of which every offset lies on the map, so that each takes part in as many pairs.

    Args:
        size: (H, W) of the map.
        radius: R in cells.

    Returns:
        The area; it is empty where the map is smaller than the reach.
    """
    height, width = size
    reach = radius - 1
    return Area(0, max(height - reach, 0), reach, max(width - reach, reach))


def pair_affinities(boundary: Tensor, radius: int) -> Tensor:
    """Equation (4) of the pairs of ``inner_area``, differentiable.

    Args:
        boundary: (B, H, W) float in [0, 1].
        radius: R in cells.

    Returns:
        (B, K, h, w) float, one plane for each offset of ``half_disc(radius)``.
    """
    height, width = boundary.shape[-2:]
    area = inner_area((height, width), radius)
    cells = torch.arange(height * width, device=boundary.device).view(height, width)
    first = area.seen(cells, (0, 0))
    with torch.no_grad():
        strongest = []
        for offset in half_disc(radius):
            steps = path(offset)
            which = torch.stack([area.seen(boundary, step) for step in steps]).argmax(0)
            away = torch.tensor([dy * width + dx for dy, dx in steps], device=boundary.device)
            strongest.append(first + away[which])
    found = torch.stack(strongest, 1)
    return 1 - boundary.flatten(1).gather(1, found.flatten(1)).view(found.shape)


def label_pairs(labels: Tensor, radius: int) -> Pairs:
    """What (B, H, W) labels, 255 = ignore, say of the pairs of ``pair_affinities``."""
    height, width = labels.shape[-2:]
    area = inner_area((height, width), radius)
    one = area.seen(labels, (0, 0))[:, None]
    other = torch.stack([area.seen(labels, offset) for offset in half_disc(radius)], 1)
    known = (one != IGNORE) & (other != IGNORE)
    equal = known & (one == other)
    return Pairs(equal & (one == BACKGROUND), equal & (one != BACKGROUND), known & (one != other))


def boundary_losses(affinities: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """The terms of equation (5), each a mean over the pairs of the batch.

    Args:
        affinities: (B, K, h, w) float in [0, 1].
        pairs: What the labels say of them.

    Returns:
        The loss of equal pairs, background and objects alike in weight, and that of different pairs; scalars.
    """
    equal = -torch.log(affinities + EPSILON)
    different = -torch.log(1 + EPSILON - affinities)
    same = _mean(equal, pairs.background) / 2 + _mean(equal, pairs.foreground) / 2
    return same, _mean(different, pairs.different)


def displacement_losses(displacement: Tensor, pairs: Pairs, radius: int) -> tuple[Tensor, Tensor]:
    """Equations (1) and (2): displacements of one object differ as its cells do, those of the background do not.

    Args:
        displacement: (B, 2, H, W) float, dy and dx of each cell to the centre of its object.
        pairs: What the labels say.
        radius: R in cells.

    Returns:
        The loss of pairs of objects and that of pairs of the background; scalars.
    """
    height, width = displacement.shape[-2:]
    area, offsets = inner_area((height, width), radius), half_disc(radius)
    one = area.seen(displacement, (0, 0))[:, :, None]
    difference = one - torch.stack([area.seen(displacement, offset) for offset in offsets], 2)
    wanted = torch.tensor(offsets, dtype=difference.dtype, device=difference.device).T[:, :, None, None]
    foreground = (difference - wanted).abs().mean(1)
    return _mean(foreground, pairs.foreground), _mean(difference.abs().mean(1), pairs.background)


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """The mean of (B, K, h, w) values over chosen pairs, 0 where there is none."""
    return (values * chosen).sum() / (chosen.sum() + EPSILON)


def walk_affinity(boundary: Tensor, radius: int, beta: float) -> Affinity:
    """``a^beta`` of all pairs of a map (equation 6), plane by plane; nothing is differentiated.

    The memory is that of the planes, one for each offset: 4 (H W) K bytes for each image.

    Args:
        boundary: (B, H, W) float in [0, 1].
        radius: R in cells.
        beta: Exponent; larger values keep the walk from crossing weak boundaries.
    """
    batch, height, width = boundary.shape
    offsets = [(dy, dx) for dy, dx in half_disc(radius) if dy < height and abs(dx) < width]
    pad = max((abs(dx) for _, dx in offsets), default=0)
    planes = boundary.new_zeros(batch, len(offsets), height, width + pad)
    with torch.no_grad():
        for k, (dy, dx) in enumerate(offsets):
            area = Area(0, height - dy, max(-dx, 0), width - max(dx, 0))
            strongest = torch.zeros_like(area.seen(boundary, (0, 0)))
            for step in path((dy, dx)):
                torch.maximum(strongest, area.seen(boundary, step), out=strongest)
            area.seen(planes, (0, 0))[:, k] = (1 - strongest).pow_(beta)
    shifts = tuple(dy * (width + pad) + dx for dy, dx in offsets)
    return Affinity((height, width), pad, shifts, planes.flatten(-2))


def walk(maps: Tensor, boundary: Tensor, *, radius: int, beta: float, steps: int) -> Tensor:
    """Equation (7): scores off the boundaries, spread by ``steps`` steps of the walk.

    Args:
        maps: (B, C, H, W) float >= 0.
        boundary: (B, H, W) float in [0, 1].
        radius: R in cells.
        beta: Exponent of the affinity.
        steps: Steps of the walk.

    Returns:
        (B, C, H, W) float.
    """
    return walk_affinity(boundary, radius, beta).walk(maps * (1 - boundary[:, None]), steps)


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, h, w) to (B, C, *size): bilinear, corners on corners, for a feature lies on pixel i * stride."""
    return functional.interpolate(maps, (size[0], size[1]), mode="bilinear", align_corners=True)


def nearest(labels: Tensor, size: Sequence[int]) -> Tensor:
    """(B, H, W) to (B, *size): the pixel on which each cell lies, corners on corners."""
    rows, columns = (
        torch.linspace(0, old - 1, new, device=labels.device).round().long()
        for old, new in zip(labels.shape[-2:], size, strict=True)
    )
    return labels[:, rows[:, None], columns]


def nearest_label(label: Mask, size: Sequence[int]) -> Mask:
    """(H, W) to (h, w) uint8: the pixel in which the centre of each new one lies."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for old, new in zip(label.shape, size, strict=True)
    )
    return label[rows[:, None], columns]


def hard_probabilities(label: Mask, index: Mask, certainty: float) -> npt.NDArray[np.float32]:
    """(L, H, W) float32: the labelled one of L classes has ``certainty``, the others share the rest.

    Args:
        label: (H, W) uint8 class indices out of ``index``.
        index: (L,) uint8, L >= 2; also classes that the label does not show.
        certainty: In (0, 1).
    """
    rest = np.float32((1 - certainty) / (len(index) - 1))
    return np.where(label == index[:, None, None], np.float32(certainty), rest)


def confident_labels(strict: Mask, loose: Mask) -> Mask:
    """Seeds of two labels: the class of the strict one, background where the loose one has no object either, else 255.

    Args:
        strict: (H, W) uint8, of a high background score.
        loose: (H, W) uint8, of a low background score.
    """
    return np.where(strict != BACKGROUND, strict, np.where(loose == BACKGROUND, BACKGROUND, IGNORE)).astype(np.uint8)


def joint_normalise(planes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(K, H, W) over the largest value of all classes, so that a weak class stays weak; zeros stay zeros."""
    largest = planes.max(initial=0.0)
    return planes / largest if largest > 0 else planes
