"""Res2Net (Gao et al., arXiv 1904.01169), the variant "v1b": deep stem, and average pools in front of shortcuts.

mmseg has no Res2Net. What differs from its ResNet is the 3x3 convolution of a bottleneck, which here is a chain of
narrow ones. Names follow mmdetection, whose converted ImageNet weights ``open-mmlab://res2net101_v1d_26w_4s`` fit.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from harness.modelling.mm import BaseModule, ResNet, build_norm_layer

_BASE_WIDTH = 26
_SCALES = 4


class Bottle2neck(BaseModule):
    """A bottleneck whose channels are split into groups; each group is convolved after adding the result of the last.

    The first unit of a stage has groups that do not see each other, and pools the last group, which no unit convolves.

    Args:
        inplanes: Input channels.
        planes: A quarter of the output channels.
        stride: Stride of the 3x3 convolutions.
        dilation: Dilation of the 3x3 convolutions.
        downsample: The shortcut; the first unit of a stage has one.
        norm_cfg: Norm layers.
        with_cp: Compute activations again in the backward pass.
        init_cfg: As mmengine takes it.
        **unused: What else mmseg hands to a block; style, plugins and deformable convolutions are not offered.
    """

    expansion = 4

    def __init__(
        self,
        *,
        inplanes: int,
        planes: int,
        norm_cfg: dict[str, Any],
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        with_cp: bool = False,
        init_cfg: dict[str, Any] | None = None,
        **unused: Any,
    ) -> None:
        super().__init__(init_cfg)
        self.width = planes * _BASE_WIDTH // 64
        self.with_cp = with_cp
        inner, outputs = self.width * _SCALES, planes * self.expansion
        self.conv1 = nn.Conv2d(inplanes, inner, 1, bias=False)
        self.bn1 = build_norm_layer(norm_cfg, inner)[1]
        self.convs = nn.ModuleList(
            nn.Conv2d(self.width, self.width, 3, stride, dilation, dilation, bias=False) for _ in range(_SCALES - 1)
        )
        self.bns = nn.ModuleList(build_norm_layer(norm_cfg, self.width)[1] for _ in range(_SCALES - 1))
        self.pool = nn.AvgPool2d(3, stride, 1) if downsample is not None else nn.Identity()
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = build_norm_layer(norm_cfg, outputs)[1]
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """(B, inplanes, h, w) -> (B, 4 planes, h / stride, w / stride)."""
        if self.with_cp and x.requires_grad:
            branch: Tensor = checkpoint(self._branch, x, use_reentrant=False)
        else:
            branch = self._branch(x)
        return (branch + (x if self.downsample is None else self.downsample(x))).relu()

    def _branch(self, x: Tensor) -> Tensor:
        *groups, last = self.bn1(self.conv1(x)).relu().split(self.width, dim=1)
        outputs: list[Tensor] = []
        for group, conv, norm in zip(groups, self.convs, self.bns, strict=True):
            chained = group + outputs[-1] if outputs and self.downsample is None else group
            outputs.append(norm(conv(chained)).relu())
        joined: Tensor = self.bn3(self.conv3(torch.cat([*outputs, self.pool(last)], dim=1)))
        return joined


class Res2Net(ResNet):
    """Res2Net-50 and -101 with four groups of 26 channels each; arguments are those of mmseg's ResNet."""

    arch_settings = {50: (Bottle2neck, (3, 4, 6, 3)), 101: (Bottle2neck, (3, 4, 23, 3))}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(deep_stem=True, avg_down=True, **kwargs)
