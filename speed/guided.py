"""Guided filter at r = 8 on 321 x 321, and the affinity walk of 32 steps on 41 x 41, each against the plain way.

Run ``python -m speed.guided``. The plain guided filter is the same filter with its means by two-dimensional
average pooling; the plain walk builds the matrix over all pairs of cells. The results are compared. The machine may be
busy: what counts is processor time, the smallest of the repeats.
"""

from __future__ import annotations

import argparse
import time
from unittest.mock import patch

import torch
from torch.nn import functional

from harness.maps import apply_guided_filter, feature_affinity

SIDE, RADIUS, EPS = 321, 8, 1e-3
GRID, CHANNELS, STEPS, REACH, TAU = 41, 4, 32, 5, 0.1


def photograph(batch):
    """(B, 3, 321, 321) float32 in [0, 1]: blurred blocks with noise."""
    blocks = torch.rand(batch, 3, 12, 12)
    smooth = functional.interpolate(blocks, (SIDE, SIDE), mode="bicubic", align_corners=False)
    return (smooth + 0.02 * torch.randn(smooth.shape)).clamp(0, 1)


def plain_guided_filter(guide, maps, radius, eps):
    """The same filter, only its means by two-dimensional average pooling in the usual layout."""

    def pooled(x, r):
        return functional.avg_pool2d(x.contiguous(), 2 * r + 1, 1, r, count_include_pad=False)

    with patch("harness.maps.guided_filter.box_mean", pooled):
        return apply_guided_filter(guide, maps, radius=radius, eps=eps)


def plain_walk(features, maps):
    """Dense transition matrix, then ``STEPS`` products with the maps."""
    matrix = transition(features)
    now = maps.flatten(2).mT
    for _ in range(STEPS):
        now = matrix @ now
    return now.mT.unflatten(2, (GRID, GRID))


def squared_walk(features, maps):
    """Dense transition matrix, squared until it is its 32nd power."""
    matrix = transition(features)
    for _ in range(STEPS.bit_length() - 1):
        matrix = matrix @ matrix
    return (matrix @ maps.flatten(2).mT).mT.unflatten(2, (GRID, GRID))


def transition(features):
    """(B, N, N) row-stochastic."""
    cells = functional.normalize(features, dim=1).flatten(2)
    rows, columns = torch.meshgrid(torch.arange(GRID), torch.arange(GRID), indexing="ij")
    place = torch.stack([rows.flatten(), columns.flatten()], 1).float()
    near = torch.cdist(place, place) < REACH
    weights = ((cells.mT @ cells - 1) / TAU).exp() * near
    weights.diagonal(dim1=1, dim2=2).fill_(1)
    return weights / weights.sum(2, keepdim=True)


def walk(features, maps):
    return feature_affinity([features], radius=REACH, tau=TAU).walk(maps, STEPS)


def fastest(solve, repeats, *arguments):
    """Result, and the smallest processor seconds."""
    solve(*arguments)
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        found = solve(*arguments)
        spent.append(time.process_time() - start)
    return found, min(spent)


def report(name, plain, ours, repeats, *arguments):
    expected, slow = fastest(plain, repeats, *arguments)
    found, fast = fastest(ours, repeats, *arguments)
    difference = (found - expected).abs().max().item()
    print(f"{name:44} {1e3 * slow:12.2f} {1e3 * fast:12.2f} {slow / fast:8.1f} {difference:10.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5, help="the fastest of these counts")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(f"{'problem':44} {'plain CPU ms':>12} {'ours CPU ms':>12} {'faster':>8} {'max |d|':>10}")
    for batch, maps in ((1, 3), (4, 3), (1, 21)):
        scores = functional.interpolate(torch.rand(batch, maps, 41, 41), (SIDE, SIDE), mode="bilinear")
        arguments = photograph(batch), scores
        report(
            f"guided filter, {batch} x {maps} maps, r={RADIUS}, {SIDE}x{SIDE}",
            lambda guide, p: plain_guided_filter(guide, p, RADIUS, EPS),
            lambda guide, p: apply_guided_filter(guide, p, radius=RADIUS, eps=EPS),
            options.repeats,
            *arguments,
        )
    for depth in (48, 512):
        arguments = torch.randn(1, depth, GRID, GRID).relu(), torch.rand(1, CHANNELS, GRID, GRID)
        for name, plain in (("matrix times map", plain_walk), ("matrix squared", squared_walk)):
            title = f"walk t={STEPS}, {GRID}x{GRID}x{CHANNELS}, D={depth}, {name}"
            report(title, plain, walk, options.repeats, *arguments)


if __name__ == "__main__":
    main()
