"""A generator on the protocol's backbone: for budgets at which an hourglass from random weights learns little.

Our own addition, not the paper's: a generator that begins from ImageNet weights needs hundreds of steps where the
hourglass needs 100,000. Boxes and probability enter by the first layer, as in the paper; its weights for them begin at
zero, so that the backbone begins as it came. They also join every level of the top-down path. No class index is an
input, so the network stays class-agnostic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from harness.contract import ConfigError, InputRule
from wsss_bilevel_box.method import at_cells
from wsss_bilevel_box.network import CAFFE_MEAN_BGR, STRIDE, UNIT, MaskGenerator, Residual

_WIDTH = 48
"""Channels of the top-down path, as many as the paper's stem has."""


class GuidedStem(nn.Module):
    """The first convolution of a backbone, and beside it one for the guides that begins at zero.

    Two modules instead of one wider convolution, because the guides learn at the full rate and pretrained weights at a
    tenth of it.
    """

    def __init__(self, conv: nn.Conv2d, guides: int) -> None:
        super().__init__()
        self.pixels = conv
        size: dict[str, Any] = {"stride": conv.stride, "padding": conv.padding, "dilation": conv.dilation}
        kind: Any = type(conv)  # of a kernel with paddings of its own, where the backbone has that
        self.guides = kind(guides, conv.out_channels, conv.kernel_size, **size, bias=False)
        nn.init.zeros_(self.guides.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3 + guides, H, W) -> what the convolution makes of the pixels, plus what the guides add."""
        return self.pixels(x[:, :3]) + self.guides(x[:, 3:])


class EncoderGenerator(nn.Module):
    """Backbone, lateral 1x1 convolutions that also see the guides, and a top-down path to stride 4.

    Args:
        encoder: An mmseg backbone that returns its levels, shallow to deep, with its initial weights; its first
            convolution is replaced by a ``GuidedStem``.
        levels: Their channels.
        channels: 5 with the segmenter's probability, 4 without.
        inputs: What the backbone wants to see: mean and deviation of pixels, and where its features lie.
        stride: Of the deepest level, in pixels.
        pretrained: Keep the encoder's norms as they came.

    Attributes:
        multiple: Sides of the input are ``k * multiple``, or one more with ``corners``.
        corners: Whether feature i lies on pixel i * stride, the outer ones on the corners of the input.

    Raises:
        ConfigError: No convolution of the encoder looks at three channels.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        levels: Sequence[int],
        channels: int,
        *,
        inputs: InputRule,
        stride: int,
        pretrained: bool,
    ) -> None:
        super().__init__()
        self.encoder, self.channels, self.pretrained = encoder, channels, pretrained
        self.corners, self.multiple = inputs.corners, stride if inputs.corners else inputs.multiple or stride
        mean, std, given = (torch.tensor(v).view(3, 1, 1) for v in (inputs.mean, inputs.std, CAFFE_MEAN_BGR[::-1]))
        self.register_buffer("scale", UNIT / std, persistent=False)
        self.register_buffer("shift", (given - mean) / std, persistent=False)
        guides = channels - 3
        for name, module in encoder.named_modules():
            if isinstance(module, nn.Conv2d) and module.in_channels == 3:
                parent, _, attribute = name.rpartition(".")
                setattr(encoder.get_submodule(parent), attribute, GuidedStem(module, guides))
                break
        else:
            raise ConfigError("bilevel_box: the backbone has no convolution of the picture; set network to 'small'")
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

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Those of the encoder that came with weights; none without."""
        new = {id(p) for m in self.encoder.modules() if isinstance(m, GuidedStem) for p in m.guides.parameters()}
        return [p for p in self.encoder.parameters() if id(p) not in new] if self.pretrained else []

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, 2, h, w) at stride 4, channel 1 = foreground.

        Args:
            x: (B, [p,] m, B, G, R, H, W) float32 as ``assemble`` makes it with ``unit=True``; the backbone sees R, G, B
                under its own mean and deviation.
        """
        guides, pixels = x[:, :-3], x[:, -3:].flip(1) * self.scale + self.shift
        features = list(self.encoder(torch.cat([pixels, guides], 1)))
        below: Tensor | None = None
        for level, lateral, smooth in zip(
            reversed(features), reversed(self.lateral), reversed(self.smooth), strict=True
        ):
            size = (level.shape[2], level.shape[3])
            here = lateral(torch.cat([level, at_cells(guides, size, corners=self.corners)], 1))
            if below is not None:
                here = here + self._resized(below, size)
            below = smooth(here)
        assert below is not None
        extra = int(self.corners)
        height, width = ((side - extra) // STRIDE + extra for side in x.shape[2:])
        return self.head(self._resized(below, (height, width)))

    def _resized(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        if x.shape[2:] == size:
            return x
        return functional.interpolate(x, size, mode="bilinear", align_corners=self.corners)


Network = MaskGenerator | EncoderGenerator
"""G: the paper's hourglass, or one on the protocol's backbone."""


def grown(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights without probability for a network with it; the new channel begins at zero.

    The guides are [p, m]. In the lateral convolutions they stand behind the features, so the zero column comes before
    the last one; the stem has a convolution of their own.
    """
    widened = dict(state)
    for key, value in state.items():
        if key.endswith(".guides.weight"):
            widened[key] = torch.cat([torch.zeros_like(value), value], 1)
        elif key.startswith("lateral.") and key.endswith(".0.weight"):
            widened[key] = torch.cat([value[:, :-1], torch.zeros_like(value[:, :1]), value[:, -1:]], 1)
    return widened
