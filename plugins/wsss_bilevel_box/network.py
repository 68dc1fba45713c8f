"""The class-agnostic mask generator G_w: one stacked hourglass, stride 4 (specification section 3.4).

The channels are [p_c, m_c, B, G, R], or [m_c, B, G, R] for a generator that sees no segmenter. The class index is never
an input: whatever G knows of a class it reads from the picture, the boxes and the probability.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDE = 4
"""Input pixels for one output cell, on each side."""


@dataclass(frozen=True)
class Shape:
    """Width and depth of a generator.

    Attributes:
        stem: Channels of the first convolution.
        dims: D_0 .. D_L, channels of each level.
        counts: N_0 .. N_L, residual blocks of each level.
        features: Channels between hourglass and head.
        head: Channels inside the head.
    """

    stem: int
    dims: tuple[int, ...]
    counts: tuple[int, ...]
    features: int
    head: int

    @property
    def multiple(self) -> int:
        """Sides of the input must be multiples of this."""
        return STRIDE * 2 ** (len(self.dims) - 1)


HOURGLASS = Shape(48, (96, 96, 128, 128, 128, 192), (2, 2, 2, 2, 2, 4), 256, 96)
"""The paper's: 12.1 M parameters, 44 GFLOP at 512 x 512."""
SMALL = Shape(16, (32, 48, 64, 96), (1, 1, 1, 2), 48, 32)
"""The same design for a CPU: 0.7 M parameters."""
SHAPES = {"hourglass": HOURGLASS, "small": SMALL}


class Residual(nn.Module):
    """relu(BN conv3x3 relu BN conv3x3/s + skip); the skip is a 1x1 convolution where shapes differ."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        same = stride == 1 and inputs == outputs
        self.skip = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, i, h, w) -> (B, o, h / s, w / s)."""
        return functional.relu(self.body(x) + self.skip(x))


def _blocks(count: int, inputs: int, outputs: int | None = None, *, stride: int = 1) -> list[nn.Module]:
    """``count`` residual blocks; the first one changes channels and stride."""
    outputs = inputs if outputs is None else outputs
    return [Residual(inputs, outputs, stride), *(Residual(outputs, outputs) for _ in range(count - 1))]


class Hourglass(nn.Module):
    """HG(l): a + up(d), where d has seen the levels below."""

    def __init__(self, dims: tuple[int, ...], counts: tuple[int, ...]) -> None:
        super().__init__()
        here, below, count = dims[0], dims[1], counts[0]
        self.up1 = nn.Sequential(*_blocks(count, here))
        self.low1 = nn.Sequential(*_blocks(count, here, below, stride=2))
        deeper = len(dims) > 2
        self.low2 = Hourglass(dims[1:], counts[1:]) if deeper else nn.Sequential(*_blocks(counts[1], below))
        self.low3 = nn.Sequential(*(Residual(below, below) for _ in range(count - 1)), Residual(below, here))

    def forward(self, x: Tensor) -> Tensor:
        """(B, D_l, h, w) -> the same shape; h and w must divide by two at every level."""
        low = self.low3(self.low2(self.low1(x)))
        return self.up1(x) + functional.interpolate(low, scale_factor=2.0, mode="nearest")


class MaskGenerator(nn.Module):
    """G_w.

    Args:
        channels: 5 with the segmenter's probability, 4 without.
        shape: Width and depth.
    """

    corners = False

    def __init__(self, channels: int, shape: Shape = HOURGLASS) -> None:
        super().__init__()
        self.channels, self.shape, self.multiple = channels, shape, shape.multiple
        self.pre = nn.Sequential(
            nn.Conv2d(channels, shape.stem, 7, 2, 3, bias=False),
            nn.BatchNorm2d(shape.stem),
            nn.ReLU(inplace=True),
            Residual(shape.stem, shape.dims[0], 2),
        )
        self.hourglass = Hourglass(shape.dims, shape.counts)
        self.cnv = nn.Sequential(
            nn.Conv2d(shape.dims[0], shape.features, 3, 1, 1, bias=False),
            nn.BatchNorm2d(shape.features),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Sequential(
            nn.Conv2d(shape.features, shape.head, 3, 1, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(shape.head, 2, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) float32 -> logits (B, 2, H / 4, W / 4); channel 1 = foreground.

        Raises:
            ValueError: A side is no multiple of ``shape.multiple``.
        """
        if x.shape[2] % self.multiple or x.shape[3] % self.multiple:
            raise ValueError(f"sides must be multiples of {self.multiple}, got {tuple(x.shape[2:])}")
        return self.head(self.cnv(self.hourglass(self.pre(x))))


CAFFE_MEAN_BGR = (104.008, 116.669, 122.675)
UNIT = 57.0
"""Standard deviation of photographs: brings pixels to the range of mask and probability."""


def assemble(images: Tensor, masks: Tensor, probabilities: Tensor | None, *, unit: bool) -> Tensor:
    """What the generator sees.

    Args:
        images: (P, H, W, 3) uint8 RGB, one for each (image, class) pair.
        masks: (P, H, W) of 0 and 1, the filled boxes of the pair's class.
        probabilities: (P, H, W) float32 in [0, 1], or ``None`` for a generator without segmenter.
        unit: Pixels around Caffe's mean are divided by their standard deviation, instead of Caffe's -125..150.

    Returns:
        (P, 5 or 4, H, W) float32: [p_c, m_c, B, G, R].
    """
    pixels = images.flip(-1).float().sub_(torch.tensor(CAFFE_MEAN_BGR, device=images.device))
    if unit:
        pixels.div_(UNIT)
    guides = [masks.float()] if probabilities is None else [probabilities, masks.float()]
    x = torch.cat([torch.stack(guides, 1), pixels.permute(0, 3, 1, 2)], 1)
    return x.contiguous(memory_format=torch.channels_last)


def with_probability(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a four-channel generator for five channels; the new first channel begins at zero."""
    key = "pre.0.weight"
    return {**state, key: functional.pad(state[key], (0, 0, 0, 0, 1, 0))}
