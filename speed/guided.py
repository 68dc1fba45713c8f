"""Compares the guided filter and the affinity walk with their plain forms: times and largest differences.

The guided filter has radius 8 on 321 x 321 pixels; its plain form takes the means by two-dimensional average pooling.
The walk has 32 steps on 41 x 41 cells; its plain form builds the matrix over all pairs of cells. Run
``python -m speed.guided``. The smallest processor time of the repeats counts, because the machine may be busy.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional

from harness.maps import apply_guided_filter, feature_affinity

SIDE, RADIUS, EPS = 321, 8, 1e-3
GRID, CHANNELS, STEPS, REACH, TAU = 41, 4, 32, 5, 0.1


def photograph(batch: int) -> Tensor:
    """(B, 3, 321, 321) float32 in [0, 1]: blurred blocks with noise."""
    blocks = torch.rand(batch, 3, 12, 12)
    smooth = functional.interpolate(blocks, (SIDE, SIDE), mode="bicubic", align_corners=False)
    return (smooth + 0.02 * torch.randn(smooth.shape)).clamp(0, 1)


def plain_guided_filter(guide: Tensor, maps: Tensor) -> Tensor:
    """The same filter, but its means are two-dimensional average poolings in the usual layout."""

    def pooled(x: Tensor, r: int) -> Tensor:
        return functional.avg_pool2d(x.contiguous(), 2 * r + 1, 1, r, count_include_pad=False)

    with patch("harness.maps.guided_filter.box_mean", pooled):
        return guided_filter(guide, maps)


def guided_filter(guide: Tensor, maps: Tensor) -> Tensor:
    return apply_guided_filter(guide, maps, radius=RADIUS, eps=EPS)


def plain_walk(features: Tensor, maps: Tensor) -> Tensor:
    """Dense transition matrix, then ``STEPS`` products with the maps."""
    matrix = transition(features)
    now = maps.flatten(2).mT
    for _ in range(STEPS):
        now = matrix @ now
    return now.mT.view_as(maps)


def squared_walk(features: Tensor, maps: Tensor) -> Tensor:
    """Dense transition matrix, squared until it is its 32nd power."""
    matrix = transition(features)
    for _ in range(STEPS.bit_length() - 1):
        matrix = matrix @ matrix
    return (matrix @ maps.flatten(2).mT).mT.view_as(maps)


def transition(features: Tensor) -> Tensor:
    """The matrix of the walk over all N cells: (B, N, N), each row sums to 1."""
    cells = functional.normalize(features, dim=1).flatten(2)
    rows, columns = torch.meshgrid(torch.arange(GRID), torch.arange(GRID), indexing="ij")
    place = torch.stack([rows.flatten(), columns.flatten()], 1).float()
    near = torch.cdist(place, place) < REACH
    weights = ((cells.mT @ cells - 1) / TAU).exp() * near
    weights.diagonal(dim1=1, dim2=2).fill_(1)
    return weights / weights.sum(2, keepdim=True)


def walk(features: Tensor, maps: Tensor) -> Tensor:
    return feature_affinity([features], radius=REACH, tau=TAU).walk(maps, STEPS)


def fastest(solve: Callable[[Tensor, Tensor], Tensor], repeats: int, *arguments: Tensor) -> tuple[Tensor, float]:
    """The result, and the smallest processor seconds."""
    result = solve(*arguments)
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        solve(*arguments)
        spent.append(time.process_time() - start)
    return result, min(spent)


def report(
    name: str,
    plain: Callable[[Tensor, Tensor], Tensor],
    ours: Callable[[Tensor, Tensor], Tensor],
    repeats: int,
    *arguments: Tensor,
) -> None:
    expected, slow = fastest(plain, repeats, *arguments)
    result, fast = fastest(ours, repeats, *arguments)
    difference = (result - expected).abs().max().item()
    print(f"{name:44} {1e3 * slow:12.2f} {1e3 * fast:12.2f} {slow / fast:8.1f} {difference:10.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5, help="the fastest of these counts")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(f"{'problem':44} {'plain CPU ms':>12} {'ours CPU ms':>12} {'faster':>8} {'max |d|':>10}")
    for batch, maps in ((1, 3), (4, 3), (1, 21)):
        scores = functional.interpolate(torch.rand(batch, maps, 41, 41), (SIDE, SIDE), mode="bilinear")
        title = f"guided filter, {batch} x {maps} maps, r={RADIUS}, {SIDE}x{SIDE}"
        report(title, plain_guided_filter, guided_filter, options.repeats, photograph(batch), scores)
    for depth in (48, 512):
        arguments = torch.randn(1, depth, GRID, GRID).relu(), torch.rand(1, CHANNELS, GRID, GRID)
        for name, plain in (("matrix times map", plain_walk), ("matrix squared", squared_walk)):
            title = f"walk t={STEPS}, {GRID}x{GRID}x{CHANNELS}, D={depth}, {name}"
            report(title, plain, walk, options.repeats, *arguments)


if __name__ == "__main__":
    main()
