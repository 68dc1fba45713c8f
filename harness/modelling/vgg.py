"""VGG-16 as DeepLab uses it: "LargeFOV", output stride 8 (Chen et al., arXiv 1412.7062).

Differences to the classifier (arXiv 1409.1556): pools are 3x3 and the last two do not stride, stage 5 is dilated, and
the two fully connected layers became convolutions of 1,024 channels, the first with dilation 12. Convolutions have the
names that torchvision gives them, so its ImageNet weights fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from harness.modelling.mm import BaseModule

_STAGES = ((2, 64, 2, 1), (2, 128, 2, 1), (3, 256, 2, 1), (3, 512, 1, 1), (3, 512, 1, 2))
"""Convolutions, channels, stride of the pool behind them, dilation."""
_LEVELS = (15, 22, 29)
"""Layers of ``features`` whose output is a level: conv3_3, conv4_3, conv5_3 after ReLU."""
_FC6, _FC7 = (4096, 512 * 7 * 7), (4096, 4096)
"""Shapes of the weights of the classifier's two fully connected layers."""


class Vgg16LargeFov(BaseModule):
    """Returns conv3_3 at stride 4 and conv4_3, conv5_3, fc7 at stride 8."""

    def __init__(self, init_cfg: dict[str, Any] | None = None) -> None:
        super().__init__(init_cfg or {"type": "Kaiming", "layer": "Conv2d"})
        layers: list[nn.Module] = []
        inputs = 3
        for count, channels, stride, dilation in _STAGES:
            for _ in range(count):
                layers += [nn.Conv2d(inputs, channels, 3, 1, dilation, dilation), nn.ReLU(inplace=True)]
                inputs = channels
            layers.append(nn.MaxPool2d(3, stride, 1))
        self.features = nn.Sequential(*layers)
        self.smooth = nn.AvgPool2d(3, 1, 1)
        self.fc6 = nn.Conv2d(inputs, 1024, 3, 1, 12, 12)
        self.fc7 = nn.Conv2d(1024, 1024, 1)
        self.dropout = nn.Dropout2d(0.5)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, h, w) -> (B, 256, h/4, w/4), then 512, 512 and 1,024 channels at h/8, w/8; sides are rounded up."""
        levels = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in _LEVELS:
                levels.append(x)
        for layer in (self.fc6, self.fc7):
            x = self.dropout(layer(self.smooth(x) if layer is self.fc6 else x).relu())
        return (*levels, x)

    @staticmethod
    def convert_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A classifier in torchvision's layout as weights of this network; any other state as it is.

        This is the customary sub-sampling of DeepLab-LargeFOV. Of fc6, a 7x7 filter bank, every fourth filter and the
        taps 0, 3, 6 of each side are kept; of fc7 every fourth filter and every fourth input.
        """
        fc6, fc7 = (state.get(f"classifier.{index}.weight") for index in (0, 3))
        if fc6 is None or fc7 is None or (fc6.shape, fc7.shape) != (_FC6, _FC7):
            return dict(state)
        return {
            **{key: value for key, value in state.items() if not key.startswith("classifier.")},
            "fc6.weight": fc6.view(4096, 512, 7, 7)[::4, :, ::3, ::3].clone(),
            "fc6.bias": state["classifier.0.bias"][::4].clone(),
            "fc7.weight": fc7[::4, ::4, None, None].clone(),
            "fc7.bias": state["classifier.3.bias"][::4].clone(),
        }
