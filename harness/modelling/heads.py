"""Decode heads of DeepLab v1 and v2, which mmseg does not have: class scores straight from the backbone's features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.modelling.mm import MODELS, decode_head


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


class _Summed(nn.Module):
    def __init__(self, inputs: int, outputs: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(inputs, outputs, 3, 1, d, d) for d in dilations)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([branch(x) for branch in self.branches]).sum(dim=0)
