"""Decode heads that mmseg does not have: those of DeepLab v1 and v2, and a light one that sees the whole image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.modelling.mm import MODELS, ConvModule, decode_head


@MODELS.register_module(force=True)
class LinearHead(decode_head.BaseDecodeHead):
    """One 1x1 convolution, as behind VGG16-LargeFOV (arXiv 1412.7062)."""

    def __init__(self, *, in_channels: int, **kwargs: Any) -> None:
        super().__init__(in_channels=in_channels, channels=in_channels, **kwargs)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Levels of the backbone -> logits (B, C, h, w)."""
        logits: Tensor = self.cls_seg(self._transform_inputs(inputs))
        return logits


@MODELS.register_module(force=True)
class SummedAtrousHead(LinearHead):
    """The sum of 3x3 convolutions with several dilations, the ASPP of DeepLab v2 (arXiv 1606.00915).

    Args:
        in_channels: Channels of the level of the backbone that it reads.
        dilations: The dilation of each convolution.
        **kwargs: Arguments that all heads of mmseg take.
    """

    def __init__(self, *, in_channels: int, dilations: Sequence[int] = (6, 12, 18, 24), **kwargs: Any) -> None:
        super().__init__(in_channels=in_channels, **kwargs)
        self.conv_seg = _Summed(in_channels, self.out_channels, dilations)


@MODELS.register_module(force=True)
class ContextHead(decode_head.BaseDecodeHead):
    """Levels joined at the size of the first, with what the whole image shows added to every cell.

    A 1x1 convolution brings the joined levels to ``channels``, the mean of the deepest level over the image is
    projected and added (image-level features, arXiv 1506.04579), and behind a ReLU each cell is classified.

    Args:
        in_channels: Channels of each level.
        channels: Width of the head.
        **kwargs: Of mmseg's heads.
    """

    def __init__(self, *, in_channels: Sequence[int], channels: int = 128, **kwargs: Any) -> None:
        super().__init__(in_channels=in_channels, channels=channels, input_transform="multiple_select", **kwargs)
        self.join = ConvModule(
            sum(in_channels), channels, 1, conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg, act_cfg=None
        )
        self.context = nn.Linear(in_channels[-1], channels)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Levels of the backbone, shallow to deep -> logits (B, C, h, w) at the size of the first that is selected."""
        levels = self._transform_inputs(inputs)
        size = levels[0].shape[2:]
        corners = self.align_corners
        resized = [functional.interpolate(x, size, mode="bilinear", align_corners=corners) for x in levels]
        joined = self.join(torch.cat(resized, dim=1))
        context = self.context(levels[-1].mean(dim=(2, 3)))
        logits: Tensor = self.cls_seg(functional.relu(joined + context[:, :, None, None]))
        return logits


class _Summed(nn.Module):
    def __init__(self, inputs: int, outputs: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(inputs, outputs, 3, 1, d, d) for d in dilations)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([branch(x) for branch in self.branches]).sum(dim=0)
