"""A data set around another one: whoever changes something overrides one method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.contract import Dataset, Supervision
from harness.data.reads import NamedReads

if TYPE_CHECKING:
    from harness.contract.arrays import Image


class WrappedDataset(NamedReads, Dataset):
    """Hands everything of ``dataset`` on; all supervision goes through ``read``. Picklable where the data set is."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.name, self.classes, self.show_images = dataset.name, dataset.classes, dataset.show_images

    def ids(self, split: str) -> tuple[str, ...]:
        """The original's."""
        return self._dataset.ids(split)

    def image(self, image_id: str) -> Image:
        """The original's: (H, W, 3) uint8, RGB."""
        return self._dataset.image(image_id)

    def size(self, image_id: str) -> tuple[int, int]:
        """The original's: (H, W)."""
        return self._dataset.size(image_id)

    def read(self, kind: Supervision, image_id: str) -> Any:
        """The original's labels of any kind."""
        return self._dataset.read(kind, image_id)

    @property
    def boxes_from_masks(self) -> tuple[str, ...]:
        """The original's."""
        return self._dataset.boxes_from_masks

    @property
    def made_from_masks(self) -> tuple[Supervision, ...]:
        """The original's."""
        return self._dataset.made_from_masks

    @property
    def unmasked(self) -> tuple[str, ...]:
        """The original's."""
        return self._dataset.unmasked

    def carrying(self, split: str, kind: Supervision) -> tuple[str, ...]:
        """The original's."""
        return self._dataset.carrying(split, kind)

    @property
    def auxiliary(self) -> Dataset | None:
        """The original's auxiliary data set."""
        return self._dataset.auxiliary

    def digests(self, split: str) -> Mapping[str, str]:
        """The original's."""
        return self._dataset.digests(split)

    @property
    def class_ids(self) -> tuple[int, ...]:
        """The original's."""
        return self._dataset.class_ids

    def lacking(self, split: str, kind: str) -> str:
        """The original's."""
        return self._dataset.lacking(split, kind)
