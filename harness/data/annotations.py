"""Tags and boxes from annotation files: PASCAL VOC XML, or one JSON file for the whole data set."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from xml.etree import ElementTree

from harness.common.files import folder_problem, read_bytes
from harness.common.text import parse_json, parse_xml, printable
from harness.contract import Box, DataError, Point
from harness.data.files import Folder, OutsideImage, same_name
from harness.data.strangers import folder_in_place_of_file, stranger_folder, stranger_text, stranger_value

_ROUNDING = 1.0
"""Pixels by which a corner may lie outside the image: tools round, and count from 0 or from 1."""


class NamedBox(NamedTuple):
    """A box as annotated: real coordinates, half-open, 0-based."""

    name: str
    x0: float
    y0: float
    x1: float
    y1: float


def pixel_box(cls: int, box: NamedBox, size: tuple[int, int], where: str) -> Box:
    """The pixels that an annotated box touches, as a box of class ``cls``.

    Args:
        cls: Class index.
        box: As annotated. A corner may lie ``_ROUNDING`` pixels outside.
        size: (H, W) of the image.
        where: Place of the box, for messages.

    Raises:
        DataError: The box is empty or inverted, has a corner that is no finite number, or reaches out of the image.
    """
    height, width = size
    described = f"{where}: box {printable(box.name)} {list(box[1:])}"
    if not all(map(math.isfinite, box[1:])):
        raise DataError(f"{described} needs four finite numbers")
    if min(box.x0, box.y0) < -_ROUNDING or box.x1 > width + _ROUNDING or box.y1 > height + _ROUNDING:
        raise OutsideImage(f"{described} reaches out of the {width}x{height} image", box[1:])
    x0, y0 = max(math.floor(box.x0), 0), max(math.floor(box.y0), 0)
    x1, y1 = min(math.ceil(box.x1), width), min(math.ceil(box.y1), height)
    if box.x0 >= box.x1 or box.y0 >= box.y1 or x0 >= x1 or y0 >= y1:
        raise DataError(
            f"{described} covers no pixel of the {width}x{height} image; corners are left, top, right, bottom"
        )
    return Box(cls, x0, y0, x1, y1)


class NamedPoint(NamedTuple):
    """A point as annotated: real coordinates, 0-based."""

    name: str
    x: float
    y: float


def pixel_point(cls: int, point: NamedPoint, size: tuple[int, int], where: str) -> Point:
    """The pixel that an annotated point lies in, as a point of class ``cls``.

    Raises:
        DataError: It lies in none of the image of ``size`` (H, W); ``where`` is the place to name.
    """
    height, width = size
    if not (0 <= point.x < width and 0 <= point.y < height):
        raise OutsideImage(
            f"{where}: point {printable(point.name)} {list(point[1:])} lies outside the {width}x{height} image; "
            "x is the column and y the row, both from 0",
            (point.x, point.y, point.x, point.y),
        )
    return Point(cls, int(point.x), int(point.y))


class Annotation(NamedTuple):
    """What a file says about one image; ``where`` is the place to name in messages."""

    tags: tuple[str, ...]
    boxes: tuple[NamedBox, ...]
    where: str
    points: tuple[NamedPoint, ...] = ()


class Annotations(Protocol):
    """A source of annotations."""

    def failure(self) -> str | None:
        """Why the source as a whole cannot be read, in one sentence, or ``None``."""

    def problem(self, image_id: str) -> str | None:
        """Why the source has nothing on the image, in one sentence, or ``None``; cheap."""

    def read(self, image_id: str) -> Annotation:
        """The annotation of one image; raises ``DataError``."""


class XmlAnnotations:
    """PASCAL VOC ``Annotations/ID.xml``: 1-based inclusive corners, every object counts, parts do not."""

    def __init__(self, folder: Path) -> None:
        self._folder = Folder(folder, (".xml",))

    def failure(self) -> str | None:
        """Says that there is no folder, or that it holds the files of another tool."""
        stranger = stranger_folder(self._folder.root)
        return self._folder.failure() or (stranger and f"{printable(self._folder.root)}: {stranger}")

    def problem(self, image_id: str) -> str | None:
        """Says that the file does not exist, where it does not."""
        return self._folder.problem(image_id)

    def read(self, image_id: str) -> Annotation:
        """Parse the file of one image."""
        if missing := self._folder.problem(image_id):
            raise DataError(missing)
        path = self._folder.path(image_id)
        root = parse_xml(read_bytes(path, error=DataError), where=str(path), error=DataError)
        if root.tag != "annotation":
            raise DataError(f"{path}: the top element is {printable(root.tag)!r}, VOC XML has 'annotation'")
        boxes = tuple(self._box(number, item, path) for number, item in enumerate(root.findall("object"), start=1))
        return Annotation(tuple(dict.fromkeys(box.name for box in boxes)), boxes, str(path))

    @staticmethod
    def _box(number: int, item: ElementTree.Element, path: Path) -> NamedBox:
        name = (item.findtext("name") or "").strip()
        if not name:
            raise DataError(f"{path}: object {number} has no name")
        try:
            x0, y0, x1, y1 = (float(item.findtext(f"bndbox/{key}") or "") for key in ("xmin", "ymin", "xmax", "ymax"))
        except ValueError:
            raise DataError(f"{path}: object {name!r}: bndbox needs the numbers xmin, ymin, xmax, ymax") from None
        return NamedBox(name, x0 - 1, y0 - 1, x1, y1)


class JsonAnnotations:
    """``{"images": [{"id": ..., "tags": [names], "boxes": [...], "points": [...]}]}``.

    A box is ``{"cls": name, "bbox_xyxy": [x0, y0, x1, y1]}``, a point ``{"cls": name, "x": column, "y": row}``.
    Coordinates are 0-based, those of boxes half-open; further keys are ignored.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def failure(self) -> str | None:
        """Says that the file is missing, damaged or of another tool."""
        try:
            _ = self._images
        except DataError as error:
            return str(error)
        return None

    def problem(self, image_id: str) -> str | None:
        """Says that the file does not list the image."""
        return None if image_id in self._images else f"{self._path}: no entry with id {image_id!r}"

    def read(self, image_id: str) -> Annotation:
        """The entry of one image."""
        if missing := self.problem(image_id):
            raise DataError(missing)
        return self._images[image_id]

    def ids(self) -> tuple[str, ...]:
        """Ids of the entries."""
        return tuple(self._images)

    @cached_property
    def _images(self) -> dict[str, Annotation]:
        """Id of an image -> its entry; the file is read when it is first needed."""
        path = self._path
        if folder_problem(path) is None:
            raise DataError(f"{path}: {folder_in_place_of_file(path)}")
        data = read_bytes(path, error=DataError)
        if data.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] not in (b"{", b"[", b""):
            raise DataError(f"{path}: {stranger_text(path, data[:1000].decode('utf-8', 'replace'))}")
        value = parse_json(data, where=str(path), error=DataError)
        if stranger := stranger_value(value):
            raise DataError(f"{path}: {stranger}")
        if not isinstance(value, dict) or "images" not in value:
            raise DataError(f"{path}: the top level needs the key 'images'")
        if not isinstance(value["images"], list):
            raise DataError(f"{path}: images: a list is needed")
        images: dict[str, Annotation] = {}
        for number, entry in enumerate(value["images"]):
            try:
                image_id = same_name(str(_typed(entry, "the entry", dict)["id"]))
                boxes = tuple(self._box(box) for box in _typed(entry.get("boxes", []), "boxes", list))
                tags = tuple(_typed(name, "a tag", str) for name in _typed(entry.get("tags", []), "tags", list))
                points = tuple(self._point(point) for point in _typed(entry.get("points", []), "points", list))
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{path}: images.{number}: wrong or missing field: {error}") from None
            if image_id in images:
                raise DataError(f"{path}: images.{number}: id {image_id!r} is repeated")
            images[image_id] = Annotation(tags, boxes, f"{path}: image {image_id!r}", points)
        return images

    @staticmethod
    def _box(box: Any) -> NamedBox:
        corners = _typed(_typed(box, "a box", dict)["bbox_xyxy"], "bbox_xyxy", list)
        if len(corners) != 4 or not all(type(corner) in (int, float) for corner in corners):
            raise ValueError(f"bbox_xyxy needs four numbers, got {corners}")
        x0, y0, x1, y1 = map(float, corners)
        return NamedBox(_typed(box["cls"], "cls", str), x0, y0, x1, y1)

    @staticmethod
    def _point(point: Any) -> NamedPoint:
        x, y = (_typed(point, "a point", dict)[axis] for axis in "xy")
        if type(x) not in (int, float) or type(y) not in (int, float):
            raise ValueError(f"x and y of a point must be numbers, got {printable(repr((x, y)))[:60]}")
        return NamedPoint(_typed(point["cls"], "cls", str), float(x), float(y))


def _typed(value: Any, field: str, kind: type) -> Any:
    """``value`` when it is of ``kind``; a string in place of a list would be taken letter by letter."""
    if not isinstance(value, kind):
        names = {"dict": "a mapping", "list": "a list", "str": "text"}
        raise TypeError(f"{field} must be {names[kind.__name__]}, got {printable(repr(value))[:60]}")
    return value
