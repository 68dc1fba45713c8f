"""labelme: one .json for each image, with rectangles and polygons."""

from __future__ import annotations

from typing import Any

from harness.common.files import read_json
from harness.common.text import printable
from harness.contract import DataError
from harness.data.annotations import NamedBox
from harness.data.formats.outlined import polygon
from harness.data.formats.source import FolderSource, Record, Region, objects


class Labelme(FolderSource):
    """A folder of labelme's files, perhaps beside the images."""

    suffixes = (".json",)

    def _record(self, image_id: str) -> Record:
        path = self.file(image_id)
        where, value = printable(path), read_json(path, error=DataError)
        shapes = value.get("shapes") if isinstance(value, dict) else None
        if not isinstance(shapes, list):
            raise DataError(f"{where}: a file of labelme has the list 'shapes'")
        size = _size(value)
        boxes: list[NamedBox] = []
        regions: dict[int, Region] = {}
        for number, shape in enumerate(shapes):
            try:
                region, box = _object(shape, size or self.asked.size(image_id))
            except ValueError as error:
                raise DataError(f"{where}: shapes.{number}: {error}") from None
            if region is not None:
                regions[len(boxes)] = region
            boxes.append(box)
        return objects(where, boxes, regions, size=size, tags=_flags(value))


def _size(value: dict[str, Any]) -> tuple[int, int] | None:
    sides = value.get("imageHeight"), value.get("imageWidth")
    return (sides[0], sides[1]) if type(sides[0]) is int and type(sides[1]) is int else None


def _flags(value: dict[str, Any]) -> list[str]:
    """Names that are set for the image as a whole."""
    flags = value.get("flags")
    return [name for name, on in flags.items() if on is True] if isinstance(flags, dict) else []


def _object(shape: Any, size: tuple[int, int]) -> tuple[Region | None, NamedBox]:
    name = shape.get("label") if isinstance(shape, dict) else None
    if not isinstance(name, str) or not name.strip():
        raise ValueError("a shape needs a label")
    points = shape.get("points")
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise ValueError("points: a list of [x, y] is needed")
    numbers = [number for point in points for number in point]
    if not all(type(number) in (int, float) for number in numbers):
        raise ValueError("points: x and y are numbers")
    kind = shape.get("shape_type") or "polygon"
    if kind == "polygon":
        return polygon(name, numbers, size)
    if kind != "rectangle":
        raise ValueError(f"shape_type {printable(kind)!r} is not read, only rectangle and polygon are")
    x, y = numbers[0::2], numbers[1::2]
    if len(x) not in (2, 4):
        raise ValueError(f"points: a rectangle has two opposite corners, got {len(x)} points")
    return None, NamedBox(name, float(min(x)), float(min(y)), float(max(x)), float(max(y)))
