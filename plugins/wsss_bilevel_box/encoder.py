"""A generator on the protocol's backbone: for budgets at which an hourglass from random weights learns little.

Our own addition, not the paper's. Backbone features see the picture alone; boxes and probability join every level
beside them, so the network stays class-agnostic, and a generator that begins from ImageNet weights needs hundreds of
steps where the hourglass needs 100,000.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from wsss_bilevel_box.network import STRIDE, MaskGenerator, Residual

_WIDTH = 48
"""Channels of the top-down path, as many as the paper's stem has."""


class EncoderGenerator(nn.Module):
    """Backbone, lateral 1x1 convolutions that also see the masks, and a top-down path to stride 4.

    Args:
        encoder: An mmseg backbone that returns its levels, shallow to deep.
        levels: Their channels.
        channels: 5 with the segmenter's probability, 4 without.
        pretrained: Keep the encoder's norms as they came.
    """

    multiple = 32

    def __init__(self, encoder: nn.Module, levels: Sequence[int], channels: int, *, pretrained: bool) -> None:
        super().__init__()
        self.encoder, self.channels, self.pretrained = encoder, channels, pretrained
        guides = channels - 3
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c + guides, _WIDTH, 1, bias=False), nn.BatchNorm2d(_WIDTH), nn.ReLU(inplace=True))
            for c in levels
        )
        self.smooth = nn.ModuleList(Residual(_WIDTH, _WIDTH) for _ in levels)
        self.head = nn.Sequential(nn.Conv2d(_WIDTH, _WIDTH, 3, 1, 1), nn.ReLU(inplace=True), nn.Conv2d(_WIDTH, 2, 1))

    def train(self, mode: bool = True) -> EncoderGenerator:
        """Training mode, but for the norms of a pretrained encoder."""
        super().train(mode)
        if self.pretrained:
            for module in self.encoder.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def encode(self, pixels: Tensor) -> list[Tensor]:
        """(N, 3, H, W) float32 BGR -> features, shallow to deep; they do not depend on boxes or class."""
        return list(self.encoder(pixels.flip(1)))

    def decode(self, features: Sequence[Tensor], guides: Tensor) -> Tensor:
        """Features of P pairs and their guides (P, 1 or 2, H, W) -> logits (P, 2, H / 4, W / 4)."""
        below: Tensor | None = None
        for level, lateral, smooth in zip(
            reversed(list(features)), reversed(self.lateral), reversed(self.smooth), strict=True
        ):
            size = (level.shape[2], level.shape[3])
            here = lateral(torch.cat([level, functional.adaptive_avg_pool2d(guides, size)], 1))
            if below is not None:
                here = here + _resized(below, size)
            below = smooth(here)
        assert below is not None
        return self.head(_resized(below, (guides.shape[2] // STRIDE, guides.shape[3] // STRIDE)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, [p,] m, B, G, R, H, W) float32 -> logits (B, 2, H / 4, W / 4); channel 1 = foreground."""
        return self.decode(self.encode(x[:, -3:]), x[:, :-3])


Network = MaskGenerator | EncoderGenerator
"""G: the paper's hourglass, or one on the protocol's backbone."""


def _resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    if x.shape[2:] == size:
        return x
    return functional.interpolate(x, size, mode="bilinear", align_corners=False)


def grown(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights without probability for a network with it; the new channel begins at zero.

    The guides [p, m] stand behind the features, so the zero column comes before the last one.
    """
    widened = dict(state)
    for key, value in state.items():
        if key.startswith("lateral.") and key.endswith(".0.weight"):
            widened[key] = torch.cat([value[:, :-1], torch.zeros_like(value[:, :1]), value[:, -1:]], 1)
    return widened
