"""Supervision that a data set may bring besides tags, boxes and masks, with one reader for each kind.

A data set in VOC layout or in folders has a field with the name of the kind, a file or a folder, which ``READERS`` says
how to read. Points and scribbles may also say ``masks``: then a rule makes those of training images.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harness.common.files import folder_problem
from harness.common.text import printable
from harness.contract import Point, Supervision
from harness.data import digests
from harness.data.annotations import JsonAnnotations, NamedPoint, pixel_point
from harness.data.clicks import Clicks, is_of_clicks
from harness.data.files import Folder
from harness.data.images import read_fraction, read_fraction_size
from harness.data.scribble_files import ScribbleFile
from harness.data.sparse import RULE, mask_points, mask_scribbles
from harness.data.strangers import FORM

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.contract.arrays import Mask
    from harness.data.rules import Rules

_ID = re.compile(r"\d{1,3}")

FROM_MASKS = "masks"
"""What a field says of labels that a rule is to make from masks."""


class Images(Protocol):
    """What a reader asks of the data set whose images are marked."""

    rules: Rules

    def size(self, image_id: str) -> tuple[int, int]:
        """(H, W)."""

    def check_size(self, image_id: str, path: Path, shape: tuple[int, ...]) -> None:
        """Raise ``DataError`` where a map of ``shape`` does not cover the image."""

    def mask(self, image_id: str) -> Mask:
        """(H, W) uint8 class indices, 255 = ignore; raises ``DataError``."""

    def mask_text(self, image_id: str) -> str:
        """A text that changes when the mask changes; raises ``DataError``."""


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
    """A folder with one file for each image."""

    suffixes: tuple[str, ...] = (".png",)

    def __init__(self, path: Path, images: Images) -> None:
        super().__init__(path, self.suffixes)
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


class ScribbleFolder(MarkFolder):
    """Scribbles: .png of mask ids with 255 where nobody drew, or .xml of strokes as ScribbleSup publishes them."""

    suffixes = (".png", ".xml")

    def stored_size(self, path: Path) -> tuple[int, int]:
        """(H, W) that a file says."""
        return ScribbleFile(path, self._images.rules).size()

    def read(self, image_id: str) -> Mask:
        """(H, W) uint8 class indices, 255 = no scribble."""
        path = self.path(image_id)
        file = ScribbleFile(path, self._images.rules)
        self._images.check_size(image_id, path, file.size())
        return file.read()

    def digest(self, image_id: str) -> str:
        """SHA-256 of the file, and what its ids and names mean."""
        return f"{super().digest(image_id)} {self._images.rules.text()}"


class PointFile:
    """Points of all images in one file: JSON of ours or of What's the Point, or a table."""

    def __init__(self, path: Path, images: Images) -> None:
        self._path, self._images = path, images
        self._source: Clicks | JsonAnnotations = Clicks(path) if is_of_clicks(path) else JsonAnnotations(path)

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
        """Points in annotation order; those of names and ids that no class has are left out."""
        annotation = self._source.read(image_id)
        named = ((self._class(point, annotation.where), point) for point in annotation.points)
        size = self._images.size(image_id)
        return tuple(pixel_point(cls, point, size, annotation.where) for cls, point in named if cls is not None)

    def _class(self, point: NamedPoint, where: str) -> int | None:
        """Class index of a point by its name; a number that is no name of a class is an id."""
        rules = self._images.rules
        if _ID.fullmatch(point.name) and point.name not in (*rules.classes, *rules.names):
            return rules.class_of_id(int(point.name), where)
        return rules.class_of(point.name, where)

    def digest(self, image_id: str) -> str:
        """What the file says, wherever it says it."""
        return json.dumps(self.read(image_id))


class MadeMarks:
    """Labels that the rule of ``harness.data.sparse`` makes from the masks of training images."""

    def __init__(self, make: Callable[[Mask, int], Any], images: Images, min_pixels: int) -> None:
        self._make, self._images, self._min_pixels = make, images, min_pixels

    def failure(self) -> str | None:
        """Nothing: there is no source."""
        return None

    def problem(self, image_id: str) -> str | None:
        """Nothing: a missing mask is told anyway."""
        return None

    def read(self, image_id: str) -> Any:
        """What the rule makes of the mask."""
        return self._make(self._images.mask(image_id), self._min_pixels)

    def digest(self, image_id: str) -> str:
        """What the rule makes it of."""
        return f"rule {RULE} {self._min_pixels} {self._images.mask_text(image_id)}"


READERS: Mapping[Supervision, Callable[[Path, Images], Marks]] = {
    Supervision.SALIENCY: SaliencyMaps,
    Supervision.POINTS: PointFile,
    Supervision.SCRIBBLES: ScribbleFolder,
}
"""Makes the reader of a kind from the file or folder that the field of that name gives, and the data set."""

MAKERS: Mapping[Supervision, Callable[[Mask, int], Any]] = {
    Supervision.POINTS: mask_points,
    Supervision.SCRIBBLES: mask_scribbles,
}
"""Makes labels of a kind from a mask, where the field of that name says ``masks``."""


def made_kinds(params: object) -> tuple[Supervision, ...]:
    """The kinds whose field of ``params`` says ``masks``."""
    return tuple(kind for kind in MAKERS if getattr(params, kind.value) == FROM_MASKS)


def marks_of(params: Any, root: Path, images: Images) -> dict[Supervision, Marks]:
    """The readers of the kinds whose field ``params`` gives, relative to ``root``."""
    given = {kind: getattr(params, kind.value) for kind in READERS}
    made: dict[Supervision, Marks] = {
        kind: MadeMarks(MAKERS[kind], images, params.min_box_pixels) for kind in made_kinds(params)
    }
    return {kind: made.get(kind) or READERS[kind](root / path, images) for kind, path in given.items() if path}


def marks_of_split(marks: Mapping[Supervision, Marks], split: str, ids: Iterable[str]) -> dict[Supervision, Marks]:
    """Those that the images ``ids`` of ``split`` need: all in training; in validation what knows one of the images.

    People click and draw on training images. A file that has nothing of any validation image is complete without them,
    and a rule makes nothing for these.
    """
    ids = tuple(ids)

    def knows(source: Marks) -> bool:
        if isinstance(source, MadeMarks) or source.failure():
            return False
        return any(source.problem(image_id) is None for image_id in ids)

    return {kind: source for kind, source in marks.items() if split == "train" or knows(source)}


def field_of(kind: str) -> str:
    """What to set where a data set has nothing of ``kind``, as the end of a sentence; empty for other kinds."""
    made = " or say 'masks'" if kind in MAKERS else ""
    return f"name their file or folder in its field {kind}{made}" if kind in READERS else ""
