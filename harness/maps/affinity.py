"""Random walk on a feature map: cells pass their scores on to near cells with similar features.

Cells less than R apart have the affinity ``exp(beta (cos - 1) / tau)``, with the cosine of their features; a step of
the walk takes the affinity-weighted mean. No matrix over all pairs of cells exists:

* The affinity is symmetric, so only half a disc of offsets is stored, one plane per offset.
* Rows are padded with R - 1 empty cells. Every offset is then a shift of the flattened map, and a step needs two fused
  multiply-adds on contiguous memory per offset.
* The cosines come from products of whole rows of cells with one another, from which diagonals are read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Affinity:
    """Symmetric affinities of near cells of B feature maps.

    Attributes:
        size: (h, w) of the map.
        pad: Empty cells at the end of each row.
        shifts: Offset of each plane in the flattened, padded map; positive.
        planes: (B, K, h * (w + pad)) float >= 0; entry u of plane k joins cells u and u + shifts[k].
    """

    size: tuple[int, int]
    pad: int
    shifts: tuple[int, ...]
    planes: Tensor

    def degree(self) -> Tensor:
        """(B, 1, h, w) sum of the affinities of each cell, 1 for itself included."""
        return self._unpadded(self._degree())

    def walk(self, maps: Tensor, steps: int) -> Tensor:
        """``P^steps maps`` with P = D^-1 A.

        Args:
            maps: (B, C, h, w) float; detached.
            steps: Number of steps; after many of them every map is constant.

        Returns:
            (B, C, h, w) float within the range of each map.
        """
        with torch.no_grad(), torch.autocast(maps.device.type, enabled=False):
            now = self._padded(maps.detach().to(self.planes.dtype)).clone()  # written to; without padding it is a view
            after = torch.empty_like(now)
            inverse = self._degree().reciprocal_()
            plans = [self._plan(now, after), self._plan(after, now)]
            for step in range(steps):
                after.copy_(now)
                for target, weight, source in plans[step % 2]:
                    target.addcmul_(weight, source)
                now, after = after.mul_(inverse), now
            return self._unpadded(now).to(maps.dtype)

    def energy(self, maps: Tensor) -> Tensor:
        """``1/2 sum_ij a_ij (m_i - m_j)^2`` of each map, differentiable with respect to the maps.

        Args:
            maps: (B, C, h, w) float.

        Returns:
            (B, C) float >= 0.
        """
        m = self._padded(maps.to(self.planes.dtype))
        total = m.new_zeros(m.shape[:2])
        for k, shift in enumerate(self.shifts):
            total = total + (self.planes[:, k : k + 1, :-shift] * (m[..., :-shift] - m[..., shift:]) ** 2).sum(-1)
        return total

    def _plan(self, source: Tensor, target: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """(target, weight, source) views of one step: each edge is used in both directions."""
        plan = []
        for k, shift in enumerate(self.shifts):
            weight = self.planes[:, k : k + 1, :-shift]
            plan.append((target[..., :-shift], weight, source[..., shift:]))
            plan.append((target[..., shift:], weight, source[..., :-shift]))
        return plan

    def _degree(self) -> Tensor:
        """(B, 1, L)."""
        degree = self.planes.new_ones(len(self.planes), 1, self.planes.shape[-1])
        for k, shift in enumerate(self.shifts):
            weight = self.planes[:, k : k + 1, :-shift]
            degree[..., :-shift] += weight
            degree[..., shift:] += weight
        return degree

    def _padded(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, L)."""
        return functional.pad(maps, (0, self.pad)).flatten(-2)

    def _unpadded(self, flat: Tensor) -> Tensor:
        height, width = self.size
        return flat.view(*flat.shape[:-1], height, width + self.pad)[..., :width]


def feature_affinity(
    levels: Sequence[Tensor], *, radius: float = 5, tau: float = 0.1, beta: float = 1.0, valid: Tensor | None = None
) -> Affinity:
    """Affinities ``exp(beta (cos_ij - 1) / tau)`` of cells with ``0 < |i - j| < radius``; nothing is differentiated.

    Args:
        levels: Feature maps (B, D_l, h_l, w_l) float; smaller ones are resized to the largest, each is brought to unit
            length, and the cosine is the mean of the levels' cosines.
        radius: R in cells; with 1 or less no cell has an edge.
        tau: Temperature: smaller values tell features apart more strictly.
        beta: Exponent.
        valid: (B, h, w) bool; cells where it is False have no edges. ``None`` = all.

    Returns:
        The affinities on the grid of the largest level.
    """
    with torch.no_grad(), torch.autocast(levels[0].device.type, enabled=False):
        cells = unit_features(levels).permute(0, 2, 3, 1).contiguous()
        batch, height, width, _ = cells.shape
        offsets = [(dy, dx) for dy, dx in half_disc(radius) if dy < height and abs(dx) < width]
        pad = max((abs(dx) for _, dx in offsets), default=0)
        planes = cells.new_zeros(batch, len(offsets), height, width + pad)
        rows, computed = -1, cells
        for k, (dy, dx) in enumerate(offsets):  # dy ascends, so each product of rows is computed once
            if dy != rows:
                rows, computed = dy, cells[:, : height - dy] @ cells[:, dy:].mT
            first = max(-dx, 0)
            edges = computed.diagonal(dx, -2, -1).sub(1).mul_(beta / tau).exp_()
            planes[:, k, : height - dy, first : first + width - abs(dx)] = edges
        shifts = tuple(dy * (width + pad) + dx for dy, dx in offsets)
        planes = planes.flatten(-2)
        if valid is not None:
            present = functional.pad(valid, (0, pad)).flatten(-2).to(planes.dtype)
            for k, shift in enumerate(shifts):
                planes[:, k, :-shift] *= present[:, :-shift] * present[:, shift:]
        return Affinity((height, width), pad, shifts, planes)


def cosine_step(features: Tensor, maps: Tensor) -> Tensor:
    """One step of the walk whose affinity is the cosine of *any* two cells, ``D^-1 F^T (F maps)``.

    The product of all pairs of cells is never formed: the cost is that of cells times features times maps.

    Args:
        features: (B, D, h, w) float >= 0, for example behind a ReLU; brought to unit length here.
        maps: (B, C, h, w) float.

    Returns:
        (B, C, h, w) float.
    """
    flat = functional.normalize(features, dim=1).flatten(2)
    degree = flat.mT @ flat.sum(-1, keepdim=True)
    spread = (maps.flatten(2) @ flat.mT) @ flat
    return (spread / degree.mT.clamp_min(1e-12)).view_as(maps)


def unit_features(levels: Sequence[Tensor]) -> Tensor:
    """(B, sum D_l, h, w) features of length 1: each level at unit length, resized to the largest, joined."""
    size = max((level.shape[-2:] for level in levels), key=lambda shape: shape[0] * shape[1])
    joined = []
    for level in levels:
        features = level.detach() if level.dtype == torch.float64 else level.detach().float()
        if level.shape[-2:] != size:
            features = functional.interpolate(features, size, mode="bilinear", align_corners=True)
        joined.append(functional.normalize(features, dim=1))
    return torch.cat(joined, 1) / math.sqrt(len(levels))


def half_disc(radius: float) -> list[tuple[int, int]]:
    """Offsets (dy, dx) with ``0 < dy^2 + dx^2 < radius^2``, one of each opposite pair, by ascending dy."""
    reach = int(radius)
    return [
        (dy, dx)
        for dy in range(reach + 1)
        for dx in range(-reach, reach + 1)
        if 0 < dy * dy + dx * dx < radius * radius and (dy > 0 or dx > 0)
    ]
