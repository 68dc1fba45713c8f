"""What an exported network has besides its own parts: the resize of the protocol, and the door for ONNX.

The classes here are written into exported folders, so they use mmseg and torch alone.
"""

from __future__ import annotations

from typing import Any

import torch
from mmseg.models.data_preprocessor import SegDataPreProcessor
from torch import Tensor, nn
from torch.nn import functional


class BaseSizePreprocessor(SegDataPreProcessor):
    """mmseg's own, which also brings images to predict to a long side; predictions have the size of the image.

    Args:
        base: Long side in pixels.
        **kwargs: Arguments of ``SegDataPreProcessor``.
    """

    def __init__(self, base: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.base = base

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """As ``SegDataPreProcessor``; ``inputs`` become (N, 3, h, w) with ``max(h, w) == base`` unless training."""
        prepared: dict[str, Any] = super().forward(data, training)
        if not training:
            height, width = prepared["inputs"].shape[2:]
            factor = self.base / max(height, width)
            size = (max(round(height * factor), 1), max(round(width * factor), 1))
            prepared["inputs"] = functional.interpolate(prepared["inputs"], size, mode="bilinear", align_corners=False)
        return prepared


class OnnxLabels(nn.Module):
    """From an image as it is stored to its label map; what becomes a graph of ONNX.

    Args:
        model: An mmseg encoder-decoder in evaluation mode.
        mean: R, G, B, 0-255.
        std: R, G, B.
        base: Long side at which the network sees the image, ``None`` = its own size.
    """

    def __init__(self, model: Any, *, mean: Any, std: Any, base: int | None) -> None:
        super().__init__()
        self.model, self.base = model, base
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """(1, H, W, 3) uint8 RGB -> (1, H, W) uint8 class indices."""
        height, width = image.shape[1:3]
        x = (image.permute(0, 3, 1, 2).float() - self.mean) / self.std
        if self.base is not None:
            sides = torch.stack([torch.as_tensor(height), torch.as_tensor(width)]).float()
            size = (sides * (self.base / sides.max())).round().clamp(min=1).long()
            x = functional.interpolate(x, (size[0], size[1]), mode="bilinear", align_corners=False)  # type: ignore[arg-type]
        logits = self.model.decode_head(self.model.extract_feat(x))
        corners = self.model.decode_head.align_corners
        logits = functional.interpolate(logits, (height, width), mode="bilinear", align_corners=corners)
        return logits.argmax(1).to(torch.uint8)
