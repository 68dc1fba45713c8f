"""A data set in memory, a view of it, and a stage's context without an engine: for unit tests of a component.

The view is the real one: what a test did not declare raises, and accesses are counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.common.seeds import derive_seed
from harness.contract import BOXES, MASKS, SALIENCY, TAGS, Box, DataError, Dataset, Need, PluginError, PreviousRound
from harness.data.boxes import mask_tags
from harness.data.views import DatasetView

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.contract.arrays import Image, Mask


class MemoryDataset(Dataset):
    """Training images and their annotations as arrays; there are no validation images.

    Args:
        images: Id to (H, W, 3) uint8 RGB.
        classes: Class names, the background first.
        tags: Id to foreground class indices; by default what the mask shows, where there is one.
        boxes: Id to boxes.
        masks: Id to (H, W) uint8, 255 = ignore.
        saliency: Id to (H, W) float32 in [0, 1].
        auxiliary: The auxiliary data set.
    """

    def __init__(
        self,
        images: Mapping[str, Image],
        *,
        classes: Sequence[str] = ("background", "one", "two"),
        tags: Mapping[str, Sequence[int]] | None = None,
        boxes: Mapping[str, Sequence[Box]] | None = None,
        masks: Mapping[str, Mask] | None = None,
        saliency: Mapping[str, npt.NDArray[np.float32]] | None = None,
        auxiliary: Dataset | None = None,
    ) -> None:
        self.name, self.classes = "memory", tuple(classes)
        self._images, self._boxes, self._masks, self._saliency = images, boxes, masks, saliency
        shown = {image_id: mask_tags(mask) for image_id, mask in (masks or {}).items()}
        self._tags = tags if tags is not None else shown
        self._auxiliary = auxiliary

    def ids(self, split: str) -> tuple[str, ...]:
        """The ids of ``images`` in order for ``train``, else none."""
        return tuple(self._images) if split == "train" else ()

    def image(self, image_id: str) -> Image:
        """(H, W, 3) uint8, RGB."""
        return self._images[image_id]

    def size(self, image_id: str) -> tuple[int, int]:
        """(H, W)."""
        height, width = self._images[image_id].shape[:2]
        return height, width

    def mask(self, image_id: str) -> Mask:
        """(H, W) uint8."""
        mask: Mask = self._given(self._masks, image_id, "masks")
        return mask

    def tags(self, image_id: str) -> tuple[int, ...]:
        """Ascending foreground class indices."""
        return tuple(sorted(self._given(self._tags, image_id, "tags")))

    def boxes(self, image_id: str) -> tuple[Box, ...]:
        """Boxes in the given order."""
        return tuple(self._given(self._boxes, image_id, "boxes"))

    def saliency(self, image_id: str) -> npt.NDArray[np.float32]:
        """(H, W) float32."""
        saliency: npt.NDArray[np.float32] = self._given(self._saliency, image_id, "saliency")
        return saliency

    @property
    def auxiliary(self) -> Dataset | None:
        """The auxiliary data set, or ``None``."""
        return self._auxiliary

    def digests(self, split: str) -> Mapping[str, str]:
        """A digest of the ids under every kind."""
        digest = hashlib.sha256(" ".join(self.ids(split)).encode()).hexdigest()
        return dict.fromkeys(("ids", "images", "tags", "boxes", "masks", "saliency"), digest)

    @staticmethod
    def _given(source: Mapping[str, Any] | None, image_id: str, kind: str) -> Any:
        if source is None or image_id not in source:
            raise DataError(f"data set 'memory': image {image_id!r} was made without {kind}")
        return source[image_id]


def fake_view(images: Mapping[str, Image], *, needs: Sequence[Need] | None = None, **annotations: Any) -> DatasetView:
    """A view of images in memory.

    Args:
        images: Id to (H, W, 3) uint8 RGB.
        needs: Declared supervision; by default every kind that is given.
        annotations: As for ``MemoryDataset``.

    Raises:
        TypeError: ``annotations`` holds a name that ``MemoryDataset`` does not know.
    """
    kinds = {"tags": TAGS, "boxes": BOXES, "saliency": SALIENCY, "masks": MASKS}
    given = [need for name, need in kinds.items() if annotations.get(name) is not None]
    if annotations.get("masks") is not None and TAGS not in given:
        given.append(TAGS)
    return DatasetView(MemoryDataset(images, **annotations), "train", given if needs is None else needs)


@dataclass
class FakeContext:
    """A stage's ``Context`` with folders that exist.

    Attributes:
        out: Folder of the artifact.
        work: Scratch folder.
        settings: Protocol sections by name.
        num_classes: Classes including background.
        inputs: Upstream artifacts by name.
        run_seed: The run's seed.
        round_before: The previous round, for components with ``uses_previous``.
        told: What ``progress`` was called with.
    """

    out: Path
    work: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    num_classes: int = 3
    inputs: Mapping[str, Path] = field(default_factory=dict)
    run_seed: int = 0
    device: str = "cpu"
    threads: int = 1
    round_before: PreviousRound | None = None
    told: list[tuple[int, int]] = field(default_factory=list)

    def seed(self, axis: str, /) -> int:
        """The seed that the engine would give."""
        return derive_seed(self.run_seed, axis)

    def input(self, name: str) -> Path:
        """Folder of an upstream artifact.

        Raises:
            PluginError: The test gave none of that name.
        """
        if name not in self.inputs:
            raise PluginError(f"this context has no input {name!r}; give it with inputs=")
        return self.inputs[name]

    @property
    def previous(self) -> PreviousRound:
        """The previous round.

        Raises:
            PluginError: The test gave none.
        """
        if self.round_before is None:
            raise PluginError("this context has no previous round; give it with round_before=")
        return self.round_before

    def progress(self, done: int, total: int, /) -> None:
        """Note what was told."""
        self.told.append((done, total))


def fake_context(folder: Path, **fields: Any) -> FakeContext:
    """A context with its folders below ``folder``; ``fields`` are those of ``FakeContext``."""
    for name in ("out", "work"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return FakeContext(folder / "out", folder / "work", **fields)
