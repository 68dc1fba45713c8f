"""The network of a row as a torch module that predicts images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from harness.contract.errors import DataError
from harness.data.images import read_image

if TYPE_CHECKING:
    from harness.contract.arrays import Image, Mask
    from harness.modelling.photographs import Predictor


class TrainedModel(nn.Module):
    """A trained segmenter in evaluation mode.

    Attributes:
        network: The mmseg model with its weights; its ``data_preprocessor`` holds mean and deviation of its input.
        classes: Names by class index.
    """

    def __init__(self, predictor: Predictor, classes: tuple[str, ...]) -> None:
        super().__init__()
        self.network = predictor.model
        self.classes = classes
        self._predictor = predictor

    def forward(self, inputs: Any) -> Any:
        """(B, 3, H, W) normalised float32 -> (B, C, h, w) logits of the decode head, at its own stride."""
        return self.network(inputs)

    def predict(self, image: Image | str | Path) -> Mask:
        """The label map of one image, as the protocol of the row predicts.

        Args:
            image: (H, W, 3) uint8 RGB of any size, or an image file.

        Returns:
            (H, W) uint8 class indices.

        Raises:
            DataError: The file cannot be read, or the array is no such image.
        """
        if isinstance(image, str | Path):
            image = read_image(Path(image))
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise DataError(f"an image is (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}")
        return self._predictor.label(image)
