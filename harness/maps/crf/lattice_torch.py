"""The permutohedral lattice of ``lattice`` in torch: the same vertices and weights, on any device.

What is unusual here: a vertex is one 64-bit integer as there, so sorting numbers the vertices and binary search finds
their neighbours, without a hash table.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.maps.crf.lattice import neighbour_steps, packing, scales


class TorchLattice:
    """Normalised Gaussian filter with unit standard deviation over N points in d dimensions.

    Args:
        features: (d, N) float32 positions, already divided by the standard deviations.

    Attributes:
        vertices: How many vertices the points touch.

    Raises:
        ConfigError: The positions spread so far that vertices cannot be numbered in 63 bits.
    """

    def __init__(self, features: Tensor) -> None:
        dimensions = len(features)
        extremes = (features.amin(dim=1).cpu().numpy(), features.amax(dim=1).cpu().numpy())
        low, strides = (torch.from_numpy(part).to(features.device) for part in packing(*extremes))
        keys, self._weights = _embed(features, low, strides)
        vertices, self._ids = torch.unique(keys, return_inverse=True)
        self._neighbours = _neighbours(vertices, torch.from_numpy(neighbour_steps(strides.cpu().numpy())))
        self.vertices = len(vertices)
        self._slice_scale = 1 / (1 + 2.0**-dimensions)
        norm = self.filter(features.new_ones(features.shape[1], 1))
        self._weights = self._weights * (norm[:, 0] + 1e-20).rsqrt()

    def filter(self, values: Tensor) -> Tensor:
        """(N, C) float32 -> (N, C) float32, filtered."""
        grid = values.new_zeros(self.vertices + 1, values.shape[1])
        for ids, weights in zip(self._ids, self._weights, strict=True):
            grid.index_add_(0, ids, values * weights[:, None])
        for before, after in self._neighbours:
            blurred = grid.clone()
            blurred[:-1] += 0.5 * (grid[before] + grid[after])
            grid = blurred
        total = torch.zeros_like(values)
        for ids, weights in zip(self._ids, self._weights, strict=True):
            total.addcmul_(grid[ids], weights[:, None])
        return total * self._slice_scale


def _embed(features: Tensor, low: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Keys (d + 1, N) int64 of the enclosing simplex' vertices and barycentric weights (d + 1, N) float32.

    The steps are those of ``lattice._embed`` for all points at once (Adams et al., pages 5, 6 and 10).
    """
    size = len(features) + 1
    scale = scales(size - 1)
    total = torch.zeros_like(features[0])
    coordinates = [total] * size  # on the hyperplane whose coordinates sum to zero
    for axis in range(size - 1, 0, -1):
        scaled = features[axis - 1] * float(scale[axis - 1])
        coordinates[axis] = total - axis * scaled
        total = total + scaled
    coordinates[0] = total
    elevated = torch.stack(coordinates)

    # Quotients of the nearest remainder-0 vertex, and the order of the differences to it.
    floor = (elevated * (1 / size)).round().long()
    order = (elevated - size * floor).sort(dim=0, descending=True, stable=True).indices
    places = torch.arange(size, device=elevated.device)[:, None].expand_as(order)
    rank = torch.empty_like(order).scatter_(0, order, places) + floor.sum(dim=0)
    wrap = (rank < 0).long() - (rank >= size).long()
    floor, rank = floor + wrap, rank + size * wrap

    key = ((floor - low[:, None]) * strides[:, None]).sum(dim=0)
    stride_of_rank = torch.empty_like(rank).scatter_(0, rank, strides[:, None].expand_as(rank))
    climbed = (1 - stride_of_rank.flip(0)).cumsum(dim=0)
    keys = torch.cat([key[None], key + climbed[:-1]])
    part = (elevated - size * floor) * (1 / size)
    descending = torch.empty_like(part).scatter_(0, rank, part).flip(0)
    weights = descending - descending.roll(1, dims=0)
    weights[0] += 1
    return keys, weights


def _neighbours(vertices: Tensor, steps: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Vertex numbers on both sides along each of the d + 1 axes; M stands for a vertex that no point touches."""
    steps = steps.to(vertices.device)
    remainder = vertices % len(steps)

    def find(keys: Tensor) -> Tensor:
        places = torch.searchsorted(vertices, keys).clamp_(max=len(vertices) - 1)
        return torch.where(vertices[places] == keys, places, len(vertices))

    return [(find(vertices + before[remainder]), find(vertices + after[remainder])) for before, after in steps]
