"""Masks: folders of images of ids, of 0 and 255, or in colour, and outlines that are painted.

Unlike ids, two values or colours survive in any lossless file; JPEG is refused everywhere, because it changes them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.common.text import printable
from harness.contract import BACKGROUND, IGNORE, DataError
from harness.data import digests
from harness.data.formats.colours import read_colours
from harness.data.formats.source import Asked, FolderSource, Record, Source
from harness.data.images import read_plane, read_plane_size
from harness.data.mask_ids import narrowed, unknown_ids
from harness.data.picture_masks import LOSSLESS_SUFFIXES, read_picture_size, read_values
from harness.data.picture_masks import read_colours as read_colour_plane
from harness.data.rules import Rules

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.contract.arrays import Mask


class Masks(ABC):
    """Masks of many images."""

    source: Source

    @abstractmethod
    def size(self, image_id: str) -> tuple[int, int] | None:
        """(H, W) of the mask of an image without reading its pixels; ``None`` where nothing says it."""

    @abstractmethod
    def mask(self, image_id: str, size: tuple[int, int]) -> Mask:
        """(H, W) uint8 class indices, 255 = ignore; raises ``DataError``."""

    @abstractmethod
    def digest(self, image_id: str) -> str:
        """A text that changes when the mask changes; with the ``Rules`` it tells the mask."""


class MaskFolder(FolderSource, Masks):
    """A folder with one image of a mask for each photograph."""

    suffixes: tuple[str, ...] = (".png",)

    def __init__(self, asked: Asked, rules: Rules) -> None:
        super().__init__(asked)
        self.source, self.rules = self, rules

    def _record(self, image_id: str) -> Record:
        return Record(printable(self.file(image_id)))

    @abstractmethod
    def _stored_size(self, path: Path) -> tuple[int, int]:
        """(H, W) of a file from its header."""

    @abstractmethod
    def _decoded(self, path: Path) -> Mask:
        """Class indices of a file."""

    def size(self, image_id: str) -> tuple[int, int] | None:
        """(H, W) from the header of the file."""
        return None if self.silent(image_id) else self._stored_size(self.file(image_id))

    def mask(self, image_id: str, size: tuple[int, int]) -> Mask:
        """Decode the file of an image; all background where there is none and that is allowed."""
        if self.silent(image_id):
            return np.full(size, BACKGROUND, np.uint8)
        return self._decoded(self.file(image_id))

    def digest(self, image_id: str) -> str:
        """SHA-256 of the file."""
        return "" if self.silent(image_id) else digests.file_digest(self.file(image_id))


class IdMasks(MaskFolder):
    """``png``: palette or grey images of mask ids."""

    _stored_size = staticmethod(read_plane_size)

    def _decoded(self, path: Path) -> Mask:
        stored = narrowed(read_plane(path), path)
        table, unknown = self.rules.table
        if (wrong := unknown[stored]).any():
            ids = np.unique(stored[wrong])
            two = "; say format: binary where 255 is the one class" if ids.tolist() == [IGNORE] else ""
            raise DataError(f"{printable(path)}: {unknown_ids(ids)}{two}")
        mask: Mask = table[stored]
        return mask


class BinaryMasks(MaskFolder):
    """``binary``: images of two values, 0 = background, 255 (or 1) = the one class."""

    suffixes = LOSSLESS_SUFFIXES
    _stored_size = staticmethod(read_picture_size)

    def failure(self) -> str | None:
        """Says that there is no folder, or that the data set has more classes than such masks can tell apart."""
        if len(self.rules.classes) != 2:
            count = len(self.rules.classes)
            return f"{self.path}: binary masks tell two classes apart, the data set has {count}; save ids as .png"
        return super().failure()

    def _decoded(self, path: Path) -> Mask:
        stored = read_values(path)
        values = np.unique(stored)
        if not set(values.tolist()) <= {0, 255} and not set(values.tolist()) <= {0, 1}:
            shown = ", ".join(map(str, values[:8].tolist())) + (", ..." if len(values) > 8 else "")
            raise DataError(f"{printable(path)}: a binary mask holds 0 and 255, or 0 and 1, this one holds {shown}")
        return (stored > 0).astype(np.uint8)


class ColourMasks(MaskFolder):
    """``rgb``: images in colour, whose table stands in the field ``colours``."""

    suffixes = LOSSLESS_SUFFIXES
    _stored_size = staticmethod(read_picture_size)

    @cached_property
    def _table(self) -> tuple[npt.NDArray[np.int64], Mask]:
        """Colours as ascending numbers r * 65536 + g * 256 + b, and what each means."""
        stated = self.asked.params.colours
        if stated is None:
            raise DataError(
                f"{printable(self.path)}: masks in colour need a table: colours: {{name: [r, g, b]}}, or a file"
            )
        table = read_colours(stated, self.asked.root)
        numbers = {r << 16 | g << 8 | b: name for (r, g, b), name in table.items()}
        meanings = [self.rules.meaning(numbers[number], "colours") for number in sorted(numbers)]
        return np.array(sorted(numbers), np.int64), np.array(meanings, np.uint8)

    def failure(self) -> str | None:
        """Says that there is no folder, or what is wrong with the table of colours."""
        try:
            _ = self._table
        except DataError as error:
            return str(error)
        return super().failure()

    def digest(self, image_id: str) -> str:
        """SHA-256 of the file and of the table."""
        numbers, meanings = self._table
        return f"{super().digest(image_id)} {numbers.tolist()} {meanings.tolist()}"

    def _decoded(self, path: Path) -> Mask:
        pixels = read_colour_plane(path).astype(np.int64)
        numbers = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
        known, meanings = self._table
        places = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
        mask: Mask = meanings[places]
        if (wrong := known[places] != numbers).any():
            if self.rules.other == "error":
                raise DataError(f"{printable(path)}: {_unlisted(np.unique(numbers[wrong]))}")
            mask[wrong] = self.rules.rest
        return mask


def _unlisted(numbers: npt.NDArray[np.int64]) -> str:
    shown = ", ".join(str([number >> 16, number >> 8 & 255, number & 255]) for number in numbers[:4].tolist())
    more = f" and {len(numbers) - 4} more" if len(numbers) > 4 else ""
    blurred = "; so many come of smoothing or of JPEG" if len(numbers) > 32 else ""
    return f"colour {shown}{more} is not in the table, see the fields colours and other{blurred}"


class PaintedMasks(Masks):
    """Outlines of annotations, painted over the background in their order: the last is on top.

    Args:
        source: Where the outlines come from.
        rules: What their names mean.
    """

    def __init__(self, source: Source, rules: Rules) -> None:
        self.source, self.rules = source, rules

    def size(self, image_id: str) -> tuple[int, int] | None:
        """(H, W) as the source says it."""
        return self.source.read(image_id).size

    def _regions(self, image_id: str) -> list[tuple[int, int]]:
        """Class and number of each outline that is painted.

        Raises:
            DataError: An object of a class has a box and no outline.
        """
        record = self.source.read(image_id)
        for name in record.bare:
            if self.rules.meaning(name, record.where) != BACKGROUND:
                raise DataError(
                    f"{record.where}: image {image_id!r}: {printable(name)!r} has a box without outline, so no mask is "
                    "known; outline it, or leave the field masks out"
                )
        meant = enumerate(self.rules.meaning(region.name, record.where) for region in record.regions)
        left_out = BACKGROUND if self.rules.other == "background" else -1
        return [(cls, number) for number, cls in meant if cls != left_out or self._named(record, number)]

    def _named(self, record: Record, number: int) -> bool:
        return self.rules.class_of(record.regions[number].name, record.where) is not None

    def mask(self, image_id: str, size: tuple[int, int]) -> Mask:
        """Paint the outlines of an image."""
        mask: Mask = np.full(size, BACKGROUND, np.uint8)
        regions = self.source.read(image_id).regions
        for cls, number in self._regions(image_id):
            mask[regions[number].paint(size) > 0] = cls
        return mask

    def digest(self, image_id: str) -> str:
        """What is painted."""
        regions = self.source.read(image_id).regions
        return repr([(cls, regions[number].text) for cls, number in self._regions(image_id)])
