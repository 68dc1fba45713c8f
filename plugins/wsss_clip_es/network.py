"""CLIP's vision transformer and text transformer (Radford et al., ICML 2021) in plain torch, for inference.

Names of parameters are those of OpenAI's state dictionary, so that it loads as it is: ``visual.*`` is the image tower,
the rest the text tower. Unusual here: the attention of every block comes out, averaged over its heads, and the last
block of the image tower is a step of its own, because Grad-CAM differentiates through that one alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

HEAD = 64
"""Channels of an attention head in all of OpenAI's transformers."""


class Attention(nn.Module):
    """Multi-head self-attention; heads of ``HEAD`` channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            x: (N, L, D).
            mask: (L, L), added to the logits.

        Returns:
            (N, L, D), and the weights averaged over heads, (N, L, L).
        """
        number, length, width = x.shape
        split = functional.linear(x, self.in_proj_weight, self.in_proj_bias)
        query, key, value = split.reshape(number, length, 3, width // HEAD, HEAD).permute(2, 0, 3, 1, 4)
        logits = (query * HEAD**-0.5) @ key.transpose(2, 3)
        weights = (logits if mask is None else logits + mask).softmax(dim=3)
        mixed = (weights @ value).transpose(1, 2).reshape(number, length, width)
        return self.out_proj(mixed), weights.mean(dim=1)


class Mlp(nn.Module):
    """Two layers with CLIP's own approximation of GELU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) to (..., D)."""
        hidden = self.c_fc(x)
        return self.c_proj(hidden * torch.sigmoid(1.702 * hidden))


class Block(nn.Module):
    """A residual block that normalises before attention and before the layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = Attention(width)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = Mlp(width)
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(N, L, D) to (N, L, D) and attention (N, L, L)."""
        return self.after_norm(x, self.ln_1(x), mask)

    def after_norm(self, x: Tensor, normalised: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The block behind its first norm, whose result Grad-CAM takes derivatives by."""
        attended, weights = self.attn(normalised, mask)
        x = x + attended
        return x + self.mlp(self.ln_2(x)), weights


class Transformer(nn.Module):
    """Blocks in a row."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width) for _ in range(layers))


class ImageTower(nn.Module):
    """CLIP's vision transformer for images whose sides are multiples of the patch.

    Args:
        width: Channels of a token.
        layers: Blocks.
        patch: Side of a patch in pixels.
        grid: Side of the grid of positions that the weights have.
        embedding: Channels of what image and text share.
    """

    def __init__(self, *, width: int, layers: int, patch: int, grid: int, embedding: int) -> None:
        super().__init__()
        self.patch, self.grid = patch, grid
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(grid * grid + 1, width))
        self.proj = nn.Parameter(torch.empty(width, embedding))
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(width, layers)
        self.ln_post = nn.LayerNorm(width)

    @property
    def last(self) -> Block:
        """The last block."""
        block = self.transformer.resblocks[-1]
        assert isinstance(block, Block)
        return block

    def before_last(self, image: Tensor, *, half_positions: bool = True) -> tuple[Tensor, list[Tensor]]:
        """All blocks but the last.

        Args:
            image: (N, 3, H, W), normalised.
            half_positions: Round positions to half precision, as the authors' code does on every device.

        Returns:
            Tokens (N, 1 + h w, D), the class token first, and the attention (N, 1 + h w, 1 + h w) of each block.
        """
        patches = self.conv1(image)
        size = (patches.shape[2], patches.shape[3])
        first = self.class_embedding.expand(len(image), 1, -1)
        x = torch.cat([first, patches.flatten(2).transpose(1, 2)], dim=1)
        x = self.ln_pre(x + self.positions(size, half=half_positions))
        attention = []
        for block in self.transformer.resblocks[:-1]:
            x, weights = block(x)
            attention.append(weights)
        return x, attention

    def positions(self, size: tuple[int, int], *, half: bool) -> Tensor:
        """(1 + h w, D) positions: those of the patches resized from the grid of the weights."""
        grid = self.positional_embedding[1:].T.reshape(1, -1, self.grid, self.grid)
        resized = functional.interpolate(grid, size, mode="bilinear", align_corners=False)
        positions = torch.cat([self.positional_embedding[:1], resized[0].flatten(1).T])
        return positions.half().to(positions.dtype) if half else positions

    def embed(self, x: Tensor) -> Tensor:
        """Tokens (N, 1 + h w, D) behind the last block to unit vectors (N, E): the mean of the patches, projected."""
        mean = self.ln_post(x)[:, 1:].mean(dim=1)
        return functional.normalize(mean @ self.proj, dim=1)


class TextTower(nn.Module):
    """CLIP's text transformer: a token sees those before it, and the last one stands for the text.

    Args:
        width: Channels of a token.
        layers: Blocks.
        length: Tokens of a text, padded.
        vocabulary: Different tokens.
        embedding: Channels of what image and text share.
    """

    def __init__(self, *, width: int, layers: int, length: int, vocabulary: int, embedding: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.empty(length, width))
        self.text_projection = nn.Parameter(torch.empty(width, embedding))
        self.transformer = Transformer(width, layers)
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.ln_final = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (N, length) int64 to unit vectors (N, E); the largest token of a text ends it."""
        length = tokens.shape[1]
        mask = torch.full((length, length), -torch.inf, device=tokens.device).triu(1)
        x = self.token_embedding(tokens) + self.positional_embedding
        for block in self.transformer.resblocks:
            x, _ = block(x, mask)
        ends = self.ln_final(x)[torch.arange(len(x)), tokens.argmax(dim=1)]
        return functional.normalize(ends @ self.text_projection, dim=1)


def blocks_of(keys: Iterator[str] | list[str], prefix: str) -> int:
    """How many blocks a state dictionary has below ``prefix``."""
    return len({key[len(prefix) :].split(".")[0] for key in keys if key.startswith(prefix)})
