"""Supervision that a data set may bring besides tags, boxes and masks, with one reader for each kind.

A data set in VOC layout has a field with the name of the kind, a file or a folder, which ``READERS`` says how to read.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harness.common.files import folder_problem
from harness.common.text import printable
from harness.contract import Point, Supervision
from harness.data import digests
from harness.data.annotations import JsonAnnotations, pixel_point
from harness.data.files import Folder
from harness.data.images import read_fraction, read_fraction_size
from harness.data.strangers import FORM

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Images(Protocol):
    """What a reader asks of the data set whose images are marked."""

    def size(self, image_id: str) -> tuple[int, int]:
        """(H, W)."""

    def check_size(self, image_id: str, path: Path, shape: tuple[int, ...]) -> None:
        """Raise ``DataError`` where a map of ``shape`` does not cover the image."""

    def class_of(self, name: str, where: str) -> int | None:
        """Class index of an annotated name, ``None`` for one that is left out."""


class Marks(Protocol):
    """A reader of one kind; made with the path of its field and the data set."""

    def failure(self) -> str | None:
        """Why the source as a whole cannot be read, in one sentence, or ``None``."""

    def problem(self, image_id: str) -> str | None:
        """Why the source has nothing on the image, in one sentence, or ``None``; cheap."""

    def read(self, image_id: str) -> Any:
        """What ``Dataset.read`` gives; raises ``DataError``."""

    def digest(self, image_id: str) -> str:
        """A text that changes when what the source says of the image changes."""


class MarkFolder(Folder, ABC):
    """A folder with one grey .png for each image."""

    def __init__(self, path: Path, images: Images) -> None:
        super().__init__(path, (".png",))
        self._images = images

    @abstractmethod
    def stored_size(self, path: Path) -> tuple[int, int]:
        """(H, W) of a file, from its header."""

    def digest(self, image_id: str) -> str:
        """SHA-256 of the file; what its header alone shows to be wrong is refused here."""
        path = self.path(image_id)
        digest, size = digests.described(path, f"{type(self).__name__} size", lambda: self.stored_size(path))
        self._images.check_size(image_id, path, size)
        return digest


class SaliencyMaps(MarkFolder):
    """Saliency of each pixel, 255 = salient."""

    def stored_size(self, path: Path) -> tuple[int, int]:
        """(H, W) of a map."""
        return read_fraction_size(path)

    def read(self, image_id: str) -> npt.NDArray[np.float32]:
        """(H, W) float32 in [0, 1]."""
        path = self.path(image_id)
        saliency = read_fraction(path)
        self._images.check_size(image_id, path, saliency.shape)
        return saliency


class PointFile:
    """Points of all images in one JSON file."""

    def __init__(self, path: Path, images: Images) -> None:
        self._path, self._images, self._source = path, images, JsonAnnotations(path)

    def failure(self) -> str | None:
        """Says that the file is missing, damaged, of another tool, or without a single point."""
        if folder_problem(self._path) is None:
            return f"{printable(self._path)}: is a folder, but one JSON file is needed, in {FORM}"
        failure = self._source.failure()
        if failure or any(self._source.read(image_id).points for image_id in self._source.ids()):
            return failure
        return f"{printable(self._path)}: no image has points, they are needed in {FORM}"

    def problem(self, image_id: str) -> str | None:
        """Says that the file does not list the image."""
        return self._source.problem(image_id)

    def read(self, image_id: str) -> tuple[Point, ...]:
        """Points in annotation order; those of names that no class has are left out."""
        annotation = self._source.read(image_id)
        named = ((self._images.class_of(point.name, annotation.where), point) for point in annotation.points)
        size = self._images.size(image_id)
        return tuple(pixel_point(cls, point, size, annotation.where) for cls, point in named if cls is not None)

    def digest(self, image_id: str) -> str:
        """What the file says, wherever it says it."""
        return json.dumps(self.read(image_id))


READERS: Mapping[Supervision, Callable[[Path, Images], Marks]] = {
    Supervision.SALIENCY: SaliencyMaps,
    Supervision.POINTS: PointFile,
}
"""Makes the reader of a kind from the file or folder that the field of that name gives, and the data set."""


def marks_of(params: object, root: Path, images: Images) -> dict[Supervision, Marks]:
    """The readers of the kinds whose field ``params`` gives, relative to ``root``."""
    given = {kind: getattr(params, kind.value) for kind in READERS}
    return {kind: READERS[kind](root / path, images) for kind, path in given.items() if path is not None}


def field_of(kind: str) -> str:
    """What to set where a data set has nothing of ``kind``, as the end of a sentence; empty for other kinds."""
    return f"name their file or folder in its field {kind}" if kind in READERS else ""
