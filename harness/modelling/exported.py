"""What an exported network has besides its own parts, and mmseg's own functions that load it and predict with it.

``ProtocolPreprocessor`` is written into exported folders, so it uses mmseg and torch alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.modelling import mm

with mm.quiet():
    from mmseg.models.data_preprocessor import SegDataPreProcessor

if TYPE_CHECKING:
    from harness.contract.arrays import Image, Mask


class ProtocolPreprocessor(SegDataPreProcessor):
    """mmseg's own for training; images to predict are brought to the network as the harness does, to the bit.

    mmseg divides by the deviation where the harness multiplies by its inverse, and has another memory layout. Both move
    the last bit of the scores, and so the label of a pixel on the border of two classes now and then.

    Args:
        base: Long side in pixels at which the network sees an image, ``None`` = its own size.
        **kwargs: Arguments of ``SegDataPreProcessor``; ``mean`` and ``std`` are needed.
    """

    def __init__(self, base: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.base = base

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """``inputs``, (3, H, W) uint8 BGR each, become (N, 3, h, w) float32; predictions have the size of the image."""
        if training:
            prepared: dict[str, Any] = super().forward(data, training)
            return prepared
        data = self.cast_data(data)
        images = torch.stack(list(data["inputs"]))[:, [2, 1, 0]].contiguous(memory_format=torch.channels_last)
        x = images.float().sub_(self.mean).mul_(1.0 / self.std)
        if self.base is not None:
            height, width = x.shape[2:]
            factor = self.base / max(height, width)
            size = (max(round(height * factor), 1), max(round(width * factor), 1))
            if size != (height, width):
                x = functional.interpolate(x, size, mode="bilinear", align_corners=False)
        return {"inputs": x, "data_samples": data.get("data_samples")}


def mmseg_model(config: Path, checkpoint: Path | None) -> nn.Module:
    """What mmseg itself makes of a configuration and a checkpoint, on the CPU."""
    from mmseg.apis import init_model

    mm.enter_scope()
    with mm.quiet():
        model: nn.Module = init_model(str(config), checkpoint and str(checkpoint), device="cpu")
    return model


def mmseg_labels(model: nn.Module, image: Image) -> Mask:
    """(H, W) labels that mmseg predicts for an image, (H, W, 3) uint8 RGB."""
    from mmseg.apis import inference_model

    with mm.quiet():
        result = inference_model(model, np.ascontiguousarray(image[..., ::-1]))
    labels: Mask = result.pred_sem_seg.data[0].numpy()
    return labels


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
