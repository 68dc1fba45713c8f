"""An mmseg model that needs no training."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModel
from mmseg.registry import MODELS


@MODELS.register_module()
class ConstantSegmentor(BaseModel):
    """Answers background with certainty, at the size of its input."""

    def __init__(self, num_classes: int, data_preprocessor: Any = None, test_cfg: Any = None) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.num_classes = num_classes

    def encode_decode(self, inputs: torch.Tensor, batch_img_metas: Any = None) -> torch.Tensor:
        """Logits (B, C, H, W) float32 of images (B, 3, H, W): 1 for background, 0 for the rest."""
        logits = inputs.new_zeros((inputs.shape[0], self.num_classes, *inputs.shape[2:]))
        logits[:, 0] = 1.0
        return logits

    def forward(self, inputs: torch.Tensor, data_samples: Any = None, mode: str = "tensor") -> torch.Tensor:
        """Logits in every mode; there is no loss because there is nothing to train."""
        return self.encode_decode(inputs)
