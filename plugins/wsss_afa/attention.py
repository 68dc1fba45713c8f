"""Queries and keys of a Mix Transformer's last blocks, read from outside while the network runs.

What is unusual here: mmseg's attention never shows its logits, so the input of the last blocks is recorded and queries
and keys are computed from it once more. At output stride 16 the harness's Mix Transformer runs its last stage on four
interleaved maps; their cells are put back on one grid, so the affinity knows pairs of cells of different maps too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

LAST_BLOCKS = 2
"""Blocks of the last stage whose attention makes the affinity."""


def attention_layers(backbone: nn.Module) -> list[nn.MultiheadAttention] | None:
    """The attention of the last blocks of a Mix Transformer of mmseg; ``None`` of any other network."""
    stages = getattr(backbone, "layers", None)
    if not isinstance(stages, nn.ModuleList) or not isinstance(stages[-1], nn.ModuleList) or len(stages[-1]) < 2:
        return None
    blocks = stages[-1][1]
    layers = [getattr(getattr(block, "attn", None), "attn", None) for block in _last(blocks)]
    ratios = [getattr(getattr(block, "attn", None), "sr_ratio", None) for block in _last(blocks)]
    found = [layer for layer in layers if isinstance(layer, nn.MultiheadAttention)]
    return found if len(found) == LAST_BLOCKS and set(ratios) == {1} else None


def _last(blocks: Any) -> Sequence[Any]:
    return list(blocks)[-LAST_BLOCKS:] if isinstance(blocks, nn.ModuleList) else []


@contextmanager
def watched(layers: Sequence[nn.MultiheadAttention]) -> Iterator[list[list[Tensor]]]:
    """Record the input of each layer, (cells, B, C), once for each time that it runs."""
    seen: list[list[Tensor]] = [[] for _ in layers]

    def record(into: list[Tensor]) -> Any:
        return lambda layer, args, given: into.append(given["query"] if "query" in given else args[0])

    handles = [
        layer.register_forward_pre_hook(record(into), with_kwargs=True)
        for layer, into in zip(layers, seen, strict=True)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def queries_and_keys(layer: nn.MultiheadAttention, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """(B, heads, N, d) each, not scaled, of the layer's input (B, N, C)."""
    width, heads = layer.embed_dim, layer.num_heads
    weight = layer.in_proj_weight[: 2 * width]
    bias = None if layer.in_proj_bias is None else layer.in_proj_bias[: 2 * width]
    both = functional.linear(tokens, weight, bias).view(*tokens.shape[:2], 2, heads, width // heads)
    queries, keys = both.permute(2, 0, 3, 1, 4)
    return queries, keys


def on_one_grid(parts: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """The cells of a layer's runs as one grid.

    Args:
        parts: (cells, B, C) of each run: one for the whole map, or one for each map of every second row and column.
        size: (h, w) of the whole map.

    Returns:
        (B, h x w, C), row by row.
    """
    if len(parts) == 1:
        return parts[0].transpose(0, 1)
    rows, columns = size
    grid = torch.empty(
        parts[0].shape[1], rows, columns, parts[0].shape[2], device=parts[0].device, dtype=parts[0].dtype
    )
    starts = [(row, column) for row in range(min(2, rows)) for column in range(min(2, columns))]
    for (row, column), part in zip(starts, parts, strict=True):
        every_second = grid[:, row::2, column::2]
        every_second.copy_(part.transpose(0, 1).reshape(every_second.shape))
    return grid.flatten(1, 2)
