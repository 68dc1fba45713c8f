"""Pseudo labels on disk: one palette PNG per image, and their soft scores in one store.

* Masks open in any image viewer with the colours that the field knows (PASCAL VOC palette).
* Ids become file names by percent-encoding, so an id may hold slashes, blanks or any letter.
* The same labels give the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, unquote

import numpy as np
from PIL import Image, UnidentifiedImageError

from harness.contract.arrays import PseudoLabel, SoftScores
from harness.contract.errors import DataError
from harness.maps.scores import INDEX, ScoreReader, ScoreWriter

if TYPE_CHECKING:
    from harness.contract.arrays import Mask

MASKS = "masks"


def voc_palette() -> bytes:
    """The 256 colours of PASCAL VOC as 768 bytes R, G, B, ...: the bits of the index, spread over the channels."""
    index = np.arange(256, dtype=np.uint8)
    colours = np.zeros((256, 3), dtype=np.uint8)
    for bit in range(8):
        for channel in range(3):
            if 3 * bit + channel < 8:
                colours[:, channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
    return colours.tobytes()


class LabelWriter:
    """Writes pseudo labels; a context manager.

    Args:
        folder: Where masks and scores go; created when it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder)
        (self._folder / MASKS).mkdir(parents=True, exist_ok=True)
        self._palette = voc_palette()
        self._written: set[str] = set()
        self._scores: ScoreWriter | None = None

    def write(self, label: PseudoLabel) -> None:
        """Store one label, with its scores when it has some.

        Raises:
            DataError: The image was already written, or mask or scores are not as ``PseudoLabel`` says.
        """
        name, mask, scores = label.image_id, label.mask, label.scores
        if name in self._written:
            raise DataError(f"pseudo label of image {name!r} was written twice")
        if mask.dtype != np.uint8 or mask.ndim != 2 or not mask.size:
            raise DataError(f"pseudo label of image {name!r} must be (H, W) uint8, got {mask.shape} {mask.dtype}")
        if scores is not None and tuple(scores.size) != mask.shape:
            raise DataError(f"soft scores of image {name!r} cover {scores.size}, its mask {mask.shape}")
        image = Image.fromarray(np.ascontiguousarray(mask))
        image.putpalette(self._palette)
        image.save(_path(self._folder, name), compress_level=4)
        if scores is not None:
            self._scores = self._scores or ScoreWriter(self._folder)
            self._scores.write(name, scores)
        self._written.add(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._scores is not None:
            self._scores.__exit__(kind, error, trace)


class LabelReader:
    """Reads what ``LabelWriter`` wrote.

    Args:
        folder: Folder of the labels.

    Attributes:
        ids: Image ids, sorted.

    Raises:
        DataError: There are no labels, or their scores are damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder)
        if not (self._folder / MASKS).is_dir():
            raise DataError(f"{self._folder}: no pseudo labels here")
        self.ids: tuple[str, ...] = tuple(sorted(unquote(path.stem) for path in (self._folder / MASKS).glob("*.png")))
        self._scores = ScoreReader(self._folder) if (self._folder / INDEX).exists() else None

    def mask(self, image_id: str) -> Mask:
        """(H, W) uint8 class indices, 255 = ignore.

        Raises:
            DataError: The image has no label, or its file is damaged.
        """
        path = _path(self._folder, image_id)
        try:
            with Image.open(path) as image:
                if image.mode not in ("P", "L"):
                    raise DataError(f"{path}: a label map has one channel of indices, this file is {image.mode}")
                return np.array(image, dtype=np.uint8)
        except FileNotFoundError:
            raise DataError(f"{path}: no pseudo label of image {image_id!r}") from None
        except (OSError, SyntaxError, UnidentifiedImageError) as error:
            raise DataError(f"{path}: damaged label map ({error})") from None

    def scores(self, image_id: str) -> SoftScores | None:
        """Soft scores of one image, or ``None`` where it has none."""
        return self._scores.get(image_id) if self._scores else None

    def label(self, image_id: str) -> PseudoLabel:
        """Mask and scores of one image."""
        return PseudoLabel(image_id, self.mask(image_id), self.scores(image_id))


def _path(folder: Path, image_id: str) -> Path:
    return folder / MASKS / f"{quote(image_id, safe='')}.png"
