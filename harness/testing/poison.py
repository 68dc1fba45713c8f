"""A data set whose hidden masks are noise: what a method makes of it must not change by one byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from harness.contract import IGNORE, Box, Dataset, Need, Supervision, union
from harness.data.views import choose_fraction

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.contract.arrays import Image, Mask


class PoisonedDataset(Dataset):
    """``dataset`` with noise in place of every mask that ``needs`` does not declare, and of every validation mask.

    Images, tags, boxes, saliency and all digests stay those of the original, so stage keys stay too. Picklable where
    the data set is.

    Args:
        dataset: The original.
        needs: What a method declared.
        seed: Other noise for another seed.
    """

    def __init__(self, dataset: Dataset, needs: Iterable[Need], *, seed: int = 0) -> None:
        needs = union(needs)
        self.name = dataset.name
        self.classes = dataset.classes
        self.show_images = dataset.show_images
        self._dataset = dataset
        self._seed = seed
        self._clean = _declared_masks(dataset, [need for need in needs if not need.auxiliary])
        auxiliary = [Need(need.kind, need.fraction) for need in needs if need.auxiliary]
        self._auxiliary = (
            None if dataset.auxiliary is None else PoisonedDataset(dataset.auxiliary, auxiliary, seed=seed)
        )

    def ids(self, split: str) -> tuple[str, ...]:
        """The original's."""
        return self._dataset.ids(split)

    def image(self, image_id: str) -> Image:
        """The original's: (H, W, 3) uint8, RGB."""
        return self._dataset.image(image_id)

    def size(self, image_id: str) -> tuple[int, int]:
        """The original's: (H, W)."""
        return self._dataset.size(image_id)

    def mask(self, image_id: str) -> Mask:
        """(H, W) uint8: the original where declared, else class indices and 255 at random."""
        if image_id in self._clean:
            return self._dataset.mask(image_id)
        digest = hashlib.sha256(f"poison:{self._seed}:{image_id}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:16], "big"))
        values = np.array([*range(len(self.classes)), IGNORE], dtype=np.uint8)
        return rng.choice(values, self.size(image_id))

    def tags(self, image_id: str) -> tuple[int, ...]:
        """The original's, even where they are derived from a mask that is noise here."""
        return self._dataset.tags(image_id)

    def boxes(self, image_id: str) -> tuple[Box, ...]:
        """The original's, even where they are derived from a mask that is noise here."""
        return self._dataset.boxes(image_id)

    def saliency(self, image_id: str) -> npt.NDArray[np.float32]:
        """The original's: (H, W) float32 in [0, 1]."""
        return self._dataset.saliency(image_id)

    @property
    def auxiliary(self) -> PoisonedDataset | None:
        """The auxiliary data set, poisoned alike."""
        return self._auxiliary

    def digests(self, split: str) -> Mapping[str, str]:
        """The original's."""
        return self._dataset.digests(split)


def _declared_masks(dataset: Dataset, needs: Iterable[Need]) -> frozenset[str]:
    ids = dataset.ids("train")
    declared = (choose_fraction(ids, need.fraction) for need in needs if need.kind == Supervision.MASKS)
    return next(declared, frozenset())
