"""From a batch of uint8 arrays to what an mmseg model takes, on the device of the model.

Unlike mmseg's preprocessor the batch travels as one uint8 array (a quarter of the bytes of float32) and is normalised
once, in channels-last layout, which is the layout that the decoded images already have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from harness.contract.inputs import IMAGENET_MEAN, IMAGENET_STD, InputRule
from harness.modelling.mm import MODELS, BaseDataPreprocessor, PixelData, SegDataSample


@MODELS.register_module(force=True)
class Uint8Preprocessor(BaseDataPreprocessor):
    """Normalise images and wrap labels as mmseg data samples."""

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> None:
        super().__init__(non_blocking=True)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", 1.0 / torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        """(B, h, w, 3) uint8 RGB to (B, 3, h, w) float32, zero mean and unit variance, channels last in memory."""
        x = images.to(self.mean.device, non_blocking=True).permute(0, 3, 1, 2).float()
        return x.sub_(self.mean).mul_(self.scale)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """``inputs`` (B, h, w, 3) uint8, and ``tags`` (B, C) float32, ``labels`` (B, 1+T, h, w) uint8 or both.

        Tags alone are the ``data_samples``; with labels each sample brings its own as ``tags`` (C,).
        """
        inputs = self.normalise(data["inputs"])
        tags = data["tags"].to(inputs.device, non_blocking=True) if "tags" in data else None
        if "labels" not in data:
            return {"inputs": inputs, "data_samples": tags}
        labels = data["labels"].to(inputs.device, non_blocking=True)
        truth = labels[:, :1].long()
        samples = []
        for i, image_id in enumerate(data["ids"]):
            shape = tuple(inputs.shape[2:])
            sample = SegDataSample(
                metainfo={"img_id": image_id, "img_shape": shape, "ori_shape": shape, "pad_shape": shape}
            )
            sample.gt_sem_seg = PixelData(data=truth[i])
            for k, name in enumerate(data["extra"], start=1):
                sample.set_field(PixelData(data=labels[i, k : k + 1]), name)
            if tags is not None:
                sample.set_field(tags[i], "tags")
            samples.append(sample)
        return {"inputs": inputs, "data_samples": samples}


def preprocessor(inputs: InputRule) -> dict[str, Any]:
    """The configuration of the preprocessor that brings images to a network as it wants them."""
    return {"type": Uint8Preprocessor.__name__, "mean": list(inputs.mean), "std": list(inputs.std)}
