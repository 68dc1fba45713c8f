"""Named readers for classes that read every kind of supervision in one place."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from harness.contract import Supervision

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.contract.arrays import Box, Mask


class NamedReads:
    """The named readers of ``Dataset`` and ``View`` as shortcuts of ``read``; stands before either among the bases."""

    @abstractmethod
    def read(self, kind: Supervision, image_id: str) -> Any:
        """The labels of ``kind`` of one image."""

    def tags(self, image_id: str) -> tuple[int, ...]:
        """Ascending foreground class indices."""
        tags: tuple[int, ...] = self.read(Supervision.TAGS, image_id)
        return tags

    def boxes(self, image_id: str) -> tuple[Box, ...]:
        """Boxes in annotation order."""
        boxes: tuple[Box, ...] = self.read(Supervision.BOXES, image_id)
        return boxes

    def saliency(self, image_id: str) -> npt.NDArray[np.float32]:
        """(H, W) float32 in [0, 1]."""
        saliency: npt.NDArray[np.float32] = self.read(Supervision.SALIENCY, image_id)
        return saliency

    def mask(self, image_id: str) -> Mask:
        """(H, W) uint8 class indices, 255 = ignore."""
        mask: Mask = self.read(Supervision.MASKS, image_id)
        return mask
