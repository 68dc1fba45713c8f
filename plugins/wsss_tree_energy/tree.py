"""Minimum spanning trees of grids of features, and the filter along them (arXiv 2203.10739, section 3.2).

    S_ij = product of the similarities of the edges on the path of the tree from i to j, S_ii = 1
    F(x)_i = sum_j S_ij x_j / sum_j S_ij                                                        the filter

The images of a batch are one forest. Its n cells are ordered from the roots to the leaves, and W has one number in the
row of each cell but the roots: its similarity w_i to its parent. What is unusual here:

* S = (I - W)^-1 diag(1 - w^2) (I - W)^-T: from the leaves to the roots, and back from the roots to the leaves.
* (I - W)^-1 = (I + W) (I + W^2) (I + W^4) ...: W^d has one number for each cell at least d below its root, so a pass
  is log2(depth) sparse products for all images and classes together, where a loop would visit cell after cell.
* Edges are sorted by weight and, where weights are equal, by their place in the list, so the tree is a function of the
  features. Both are one whole number: the bits of a positive float sort as the float does.
* Trees and filter are computed on the CPU. Maps on a GPU are copied there and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csgraph, csr_array
from torch import Tensor
from torch.autograd.function import once_differentiable

Ints = npt.NDArray[np.integer[Any]]
Rows = npt.NDArray[np.floating[Any]]
"""(n, C), the cells of a forest from the roots to the leaves."""

TRACE = 1e-18
"""A similarity below it is taken as 0: it is nothing beside 1, and computing with denormal numbers takes long."""

_BITS_OF_ONE = 0x3F800000
_PLACE_BITS = 23
"""Bits of a float64 that remain for the place of an edge, beside the 30 of a float32 of at least 1."""


@dataclass(frozen=True, eq=False)
class Forest:
    """One spanning tree for each image of a batch.

    Attributes:
        order: (n,) cells from the roots to the leaves, as indices of the flattened (B, h, w); the roots come first.
        edge: (n - B,) for each cell but the roots the edge to its parent, as index of the flattened (B, E).
        parent: (n - B,) for the same cells the place of their parent in ``order``; it never falls.
    """

    order: Ints
    edge: Ints
    parent: Ints

    @property
    def roots(self) -> int:
        """B."""
        return len(self.order) - len(self.edge)

    def rows(self, maps: Tensor) -> Rows:
        """(B, C, h, w) of any device -> (n, C)."""
        cells = maps.detach().permute(0, 2, 3, 1).flatten(0, 2).cpu().numpy()
        return np.take(cells, self.order, axis=0)

    def maps(self, rows: Rows, like: Tensor) -> Tensor:
        """(n, C) -> (B, C, h, w) on the device of ``like``."""
        cells = np.empty_like(rows)
        cells[self.order] = rows
        batch, classes, height, width = like.shape
        return torch.from_numpy(cells).view(batch, height, width, classes).permute(0, 3, 1, 2).to(like.device)


def grid_edges(height: int, width: int) -> Ints:
    """(E, 2) neighbouring cells of a grid: all vertical edges row by row, then all horizontal ones."""
    cell = np.arange(height * width).reshape(height, width)
    vertical = np.stack([cell[:-1].ravel(), cell[1:].ravel()], axis=1)
    horizontal = np.stack([cell[:, :-1].ravel(), cell[:, 1:].ravel()], axis=1)
    return np.concatenate([vertical, horizontal])


class _SquaredDifferences(torch.autograd.Function):
    """Written out because the gradients of slices are copies of the whole, which cost more than a tree."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        ends = ((features[:, :, 1:], features[:, :, :-1]), (features[:, :, :, 1:], features[:, :, :, :-1]))
        return torch.cat([(one - other).square().sum(1).flatten(1) for one, other in ends], dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        batch, _, height, width = features.shape
        upright = (height - 1) * width
        vertical, horizontal = gradient[:, :upright], gradient[:, upright:]
        by_features = torch.zeros_like(features)
        for axis, size, each in ((2, (height - 1, width), vertical), (3, (height, width - 1), horizontal)):
            one, other = (features.narrow(axis, first, features.shape[axis] - 1) for first in (1, 0))
            step = (one - other).mul_(2 * each.view(batch, 1, *size))
            by_features.narrow(axis, 1, features.shape[axis] - 1).add_(step)
            by_features.narrow(axis, 0, features.shape[axis] - 1).sub_(step)
        return by_features


def squared_differences(features: Tensor) -> Tensor:
    """|f_i - f_j|^2 of every edge, differentiable once: (B, C, h, w) -> (B, E) in the order of ``grid_edges``."""
    kind = torch.float64 if features.dtype == torch.float64 else torch.float32
    differences: Tensor = _SquaredDifferences.apply(features.to(kind))
    return differences


@dataclass(frozen=True, eq=False)
class _Grid:
    """The graph of a batch of grids and of a node above their centres, as rows of a sparse matrix.

    Attributes:
        indptr: Where each row begins.
        indices: The neighbour of each entry.
        edge: Number of each entry in the flattened (B, E) list, from 1 on; 0 where it leads to a root.
    """

    indptr: Ints
    indices: Ints
    edge: Ints


@lru_cache(maxsize=16)
def _grid(batch: int, height: int, width: int) -> _Grid:
    cells, edges = height * width, grid_edges(height, width)
    ends = (edges[None] + cells * np.arange(batch)[:, None, None]).reshape(-1, 2)
    roots = cells * np.arange(batch) + height // 2 * width + width // 2
    above = np.stack([np.full(batch, batch * cells), roots], axis=1)
    ends, number = np.concatenate([ends, above]), np.concatenate([np.arange(1, len(ends) + 1), np.zeros(batch, int)])
    size = batch * cells + 1
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    indptr = np.concatenate([[0], np.bincount(ends[:, 0], minlength=size).cumsum()])
    return _Grid(indptr.astype(np.int32), ends[order, 1].astype(np.int32), number[order])


def minimum_spanning_forest(distances: Tensor, height: int, width: int) -> Forest:
    """The minimum spanning tree of each image, rooted at its centre.

    Args:
        distances: (B, E) of any device, at least 0, in the order of ``grid_edges``. As in the released code the weight
            of an edge is its distance + 1 in float32, and of equal weights the edge that is listed first counts.
        height: Rows of the grid.
        width: Columns of the grid.
    """
    batch, count = distances.shape
    grid, size = _grid(batch, height, width), batch * height * width
    weights = (distances.detach().float() + 1).cpu().numpy()
    keys = (weights.view(np.int32).astype(np.int64) - _BITS_OF_ONE << _PLACE_BITS) + np.arange(1, count + 1)
    entries = np.concatenate([[1], keys.ravel()])[grid.edge]
    graph = csr_array((entries.astype(np.float64), grid.indices, grid.indptr), shape=(size + 1, size + 1))
    tree = csgraph.minimum_spanning_tree(graph)
    found, above = csgraph.breadth_first_order(tree, size, directed=False)
    order, place = found[1:], np.empty(size + 1, np.int32)
    place[found] = np.arange(-1, size)
    cells = order[batch:]
    return Forest(order, _edges_between(cells, above[cells], height, width), place[above[cells]])


def _edges_between(cells: Ints, others: Ints, height: int, width: int) -> Ints:
    """The edge of each cell and its neighbour, both as indices of the flattened (B, h, w)."""
    image, first = np.divmod(np.minimum(cells, others), height * width)
    row, column = np.divmod(first, width)
    vertical, horizontal = (height - 1) * width, height * (width - 1)
    edge = np.where(np.abs(cells - others) == width, first, vertical + row * (width - 1) + column)
    return edge + image * (vertical + horizontal)


class _Passes:
    """The two passes of a forest with the similarity of each cell but the roots to its parent, (n - B,)."""

    def __init__(self, forest: Forest, similarity: Rows) -> None:
        self.similarity, self._roots = similarity[:, None], forest.roots
        self._factors = []
        ancestor, size = forest.parent, len(forest.order)
        while len(ancestor):
            first, stop = size - len(ancestor), int(ancestor[-1]) + 1
            rows = np.arange(len(ancestor) + 1, dtype=np.int32)
            factor = csr_array((similarity, ancestor, rows), shape=(len(ancestor), stop))
            self._factors.append((first, stop, factor, factor.T))
            deeper = np.searchsorted(ancestor, first)
            above = ancestor[deeper:] - first
            ancestor, similarity = ancestor[above], similarity[deeper:] * similarity[above]
            similarity[similarity < TRACE] = 0

    def up(self, x: Rows) -> Rows:
        """(I - W)^-T x: to each cell what reaches it from the leaves."""
        x = x.copy()
        for first, stop, _, factor in self._factors:
            x[:stop] += factor @ x[first:]
        return x

    def down(self, x: Rows) -> Rows:
        """(I - W)^-1 diag(1 - w^2) x: to each cell what reaches it from everywhere, of what came up."""
        x = x.copy()
        x[self._roots :] *= 1 - self.similarity**2
        for first, stop, factor, _ in self._factors:
            x[first:] += factor @ x[:stop]
        return x


class _TreeFilter(torch.autograd.Function):
    """F with gradients by the maps and by the similarities.

    S is symmetric, so the gradient by x is the same two passes over the gradient by y. Beside the maps runs a plane of
    ones, whose result is the sum of S by which is divided.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, similarity: Tensor, forest: Forest) -> Tensor:
        to_parent = similarity.detach().flatten().cpu().numpy()[forest.edge]
        rows, passes = forest.rows(x), _Passes(forest, to_parent)
        up = passes.up(np.concatenate([rows, np.ones_like(rows[:, :1])], axis=1))
        down = passes.down(up)
        y = down[:, :-1] / down[:, -1:]
        ctx.forest, ctx.passes, ctx.up, ctx.down, ctx.y, ctx.edges = forest, passes, up, down, y, similarity.shape
        return forest.maps(y, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None]:
        forest, passes, up, down = ctx.forest, ctx.passes, ctx.up, ctx.down
        rows = forest.rows(gradient) / down[:, -1:]
        back_up = passes.up(np.concatenate([rows, -(rows * ctx.y).sum(1, keepdims=True)], axis=1))
        back_down = passes.down(back_up)
        by_x = forest.maps(back_down[:, :-1], gradient)
        if not ctx.needs_input_grad[1]:
            return by_x, None, None
        own_up, own_back = up[forest.roots :], back_up[forest.roots :]
        each = own_back * down[forest.parent] + own_up * back_down[forest.parent]
        each -= 2 * passes.similarity * own_back * own_up
        by_edge = np.zeros(ctx.edges, each.dtype)
        by_edge.ravel()[forest.edge] = each.sum(1)
        return by_x, torch.from_numpy(by_edge).to(gradient.device), None


def tree_filter(x: Tensor, similarity: Tensor, forest: Forest) -> Tensor:
    """F(x) along the trees of a batch, differentiable once by both tensors.

    Args:
        x: (B, C, h, w); float64 stays so, anything else is filtered as float32.
        similarity: (B, E) in [0, 1], of every edge of the grid in the order of ``grid_edges``.
        forest: The trees.

    Returns:
        (B, C, h, w) on the device of ``x``.
    """
    kind = torch.float64 if x.dtype == torch.float64 else torch.float32
    filtered: Tensor = _TreeFilter.apply(x.to(kind), similarity.to(kind), forest)
    return filtered
