"""Tags and boxes from annotation files: PASCAL VOC XML, or one JSON file for the whole data set."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from harness.contract import DataError


class NamedBox(NamedTuple):
    """A box as annotated: real coordinates, half-open, 0-based."""

    name: str
    x0: float
    y0: float
    x1: float
    y1: float


class Annotation(NamedTuple):
    """What a file says about one image; ``where`` is the place to name in messages."""

    tags: tuple[str, ...]
    boxes: tuple[NamedBox, ...]
    where: str


class Annotations(Protocol):
    """A source of annotations."""

    def problem(self, image_id: str) -> str | None:
        """Why the source has nothing on the image, in one sentence, or ``None``; cheap."""

    def read(self, image_id: str) -> Annotation:
        """The annotation of one image; raises ``DataError``."""


class XmlAnnotations:
    """PASCAL VOC ``Annotations/ID.xml``: 1-based inclusive corners, every object counts, parts do not."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, image_id: str) -> Path:
        return self._folder / f"{image_id}.xml"

    def problem(self, image_id: str) -> str | None:
        """Says that the file does not exist, where it does not."""
        path = self._path(image_id)
        return None if path.is_file() else f"{path}: no such file"

    def read(self, image_id: str) -> Annotation:
        """Parse the file of one image."""
        path = self._path(image_id)
        try:
            objects = ElementTree.parse(path).getroot().findall("object")
        except FileNotFoundError:
            raise DataError(f"{path}: no such file") from None
        except (OSError, ElementTree.ParseError) as error:
            raise DataError(f"{path}: no valid XML: {error}") from None
        boxes = tuple(self._box(item, path) for item in objects)
        return Annotation(tuple(dict.fromkeys(box.name for box in boxes)), boxes, str(path))

    @staticmethod
    def _box(item: ElementTree.Element, path: Path) -> NamedBox:
        name = (item.findtext("name") or "").strip()
        try:
            x0, y0, x1, y1 = (float(item.findtext(f"bndbox/{key}") or "") for key in ("xmin", "ymin", "xmax", "ymax"))
        except ValueError:
            raise DataError(f"{path}: object {name!r}: bndbox needs the numbers xmin, ymin, xmax, ymax") from None
        return NamedBox(name, x0 - 1, y0 - 1, x1, y1)


class JsonAnnotations:
    """``{"images": [{"id": ..., "tags": [names], "boxes": [{"cls": name, "bbox_xyxy": [x0, y0, x1, y1]}]}]}``.

    Coordinates are 0-based and half-open; further keys are of no interest. Read when it is first asked.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._images: dict[str, Annotation] | None = None

    def problem(self, image_id: str) -> str | None:
        """Says that the file is damaged or does not list the image."""
        try:
            self.read(image_id)
        except DataError as error:
            return str(error)
        return None

    def read(self, image_id: str) -> Annotation:
        """The entry of one image."""
        images = self._load()
        if image_id not in images:
            raise DataError(f"{self._path}: no entry with id {image_id!r}")
        return images[image_id]

    def _load(self) -> dict[str, Annotation]:
        if self._images is None:
            try:
                entries = json.loads(self._path.read_bytes())["images"]
            except FileNotFoundError:
                raise DataError(f"{self._path}: no such file") from None
            except (OSError, ValueError) as error:
                raise DataError(f"{self._path}: no valid JSON: {error}") from None
            except (KeyError, TypeError):
                raise DataError(f"{self._path}: the top level needs the key 'images'") from None
            if not isinstance(entries, list):
                raise DataError(f"{self._path}: images: a list is needed")
            self._images = dict(self._entry(number, entry) for number, entry in enumerate(entries))
        return self._images

    def _entry(self, number: int, entry: Any) -> tuple[str, Annotation]:
        try:
            image_id = str(entry["id"])
            boxes = tuple(self._box(box) for box in entry.get("boxes", ()))
            tags = tuple(str(name) for name in entry.get("tags", ()))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{self._path}: images.{number}: wrong or missing field: {error}") from None
        return image_id, Annotation(tags, boxes, f"{self._path}: image {image_id!r}")

    @staticmethod
    def _box(box: dict[str, Any]) -> NamedBox:
        x0, y0, x1, y1 = map(float, box["bbox_xyxy"])
        return NamedBox(str(box["cls"]), x0, y0, x1, y1)
