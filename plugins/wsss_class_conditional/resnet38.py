"""WideResNet-38 (Wu et al., arXiv 1611.10080) as the CAM network of PSA and InferCam, written as an mmseg backbone.

Pre-activation residual units; the shortcut's projection sees the activated input. The last two stages are bottlenecks
with dropout, and stages 5 to 7 are dilated: output stride 8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

STAGES: tuple[tuple[int, tuple[int, ...], int, int, int], ...] = (
    (3, (128, 128), 2, 1, 1),
    (3, (256, 256), 2, 1, 1),
    (6, (512, 512), 2, 1, 1),
    (3, (512, 1024), 1, 1, 2),
    (1, (512, 1024, 2048), 1, 4, 4),
    (1, (1024, 2048, 4096), 1, 4, 4),
)
"""Units, channels of a unit's convolutions, stride, dilation of the first unit's first 3x3, dilation of the rest."""
DROPOUT = (0.0, 0.0, 0.0, 0.0, 0.3, 0.5)

_PUBLISHED = re.compile(r"b(?P<stage>[2-7])(?:_(?P<unit>\d))?\.(?P<kind>conv|bn)_branch(?P<branch>1|2a|2b1|2b2)")
"""A layer of a unit, as PSA and all that followed it name it."""
_PLACES = {"2a": 0, "2b1": 1, "2b2": 2}


class Unit(nn.Module):
    """BatchNorm, ReLU, convolution, two or three times, around a shortcut.

    Args:
        inputs: Input channels.
        channels: Output channels of each convolution: 3x3, 3x3, or 1x1, 3x3, 1x1.
        stride: Of the first convolution.
        dilations: Of each convolution.
        dropout: Before the second and third convolution of a bottleneck.
    """

    def __init__(
        self, inputs: int, channels: tuple[int, ...], *, stride: int, dilations: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        sides = (3, 3) if len(channels) == 2 else (1, 3, 1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in (inputs, *channels[:-1]))
        self.convs = nn.ModuleList(
            nn.Conv2d(
                before,
                after,
                side,
                stride=stride if k == 0 else 1,
                padding=dilation * (side // 2),
                dilation=dilation if side > 1 else 1,
                bias=False,
            )
            for k, (before, after, side, dilation) in enumerate(
                zip((inputs, *channels), channels, sides, dilations, strict=False)
            )
        )
        same = inputs == channels[-1] and stride == 1
        self.shortcut = None if same else nn.Conv2d(inputs, channels[-1], 1, stride=stride, bias=False)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, channels[-1], h / stride, w / stride)."""
        active = self.norms[0](x).relu()
        shortcut = x if self.shortcut is None else self.shortcut(active)
        branch = self.convs[0](active)
        for norm, conv in zip(self.norms[1:], self.convs[1:], strict=True):
            branch = conv(self.dropout(norm(branch).relu()))
        return branch + shortcut


class WideResNet38(BaseModule):
    """Returns the six stages, shallow to deep; the last after its own BatchNorm and ReLU."""

    def __init__(self, init_cfg: dict[str, Any] | None = None) -> None:
        super().__init__(init_cfg)
        self.stem = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        stages, inputs = [], 64
        for (units, channels, stride, first, rest), dropout in zip(STAGES, DROPOUT, strict=True):
            built = []
            for k in range(units):
                dilations = (first if k == 0 else rest, *[rest] * (len(channels) - 1))
                built.append(
                    Unit(inputs, channels, stride=stride if k == 0 else 1, dilations=dilations, dropout=dropout)
                )
                inputs = channels[-1]
            stages.append(nn.Sequential(*built))
        self.stages = nn.ModuleList(stages)
        self.norm = nn.BatchNorm2d(inputs)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, h, w) -> maps at output strides 2, 4, 8, 8, 8, 8."""
        x = self.stem(x)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return (*levels[:-1], self.norm(x).relu())

    @staticmethod
    def convert_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights under the names of PSA (``b2_1.conv_branch2a.weight``) as those of this network, others as is."""
        if "conv1a.weight" not in state:
            return dict(state)
        return {_harness_name(key): value for key, value in state.items() if not key.startswith(("fc", "linear"))}


def _harness_name(key: str) -> str:
    for theirs, ours in (("conv1a.", "stem."), ("bn7.", "norm.")):
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    match = _PUBLISHED.match(key)
    if match is None:
        return key
    unit = f"stages.{int(match['stage']) - 2}.{match['unit'] or 0}"
    kind = {"conv": "convs", "bn": "norms"}[match["kind"]]
    layer = "shortcut" if match["branch"] == "1" else f"{kind}.{_PLACES[match['branch']]}"
    return f"{unit}.{layer}{key[match.end() :]}"


def resnet38(output_stride: int) -> dict[str, Any]:
    """The mmseg ``backbone`` dictionary; there is one output stride, 8."""
    return {"type": f"{__name__}.{WideResNet38.__name__}"}  # dotted, so that a fresh process finds it
