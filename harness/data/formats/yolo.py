"""YOLO: one .txt for each image, a line for each object: its class number, then fractions of width and height.

Four fractions are a box (centre x, centre y, width, height); six or more are a polygon (x, y, x, y, ...). The names
behind the numbers stand in ``classes.txt`` or ``data.yaml``, see ``harness.data.formats.names``.
"""

from __future__ import annotations

import math
from functools import cached_property

from harness.common.files import read_text
from harness.common.text import printable
from harness.contract import DataError
from harness.data.annotations import NamedBox
from harness.data.formats.names import numbered_names
from harness.data.formats.outlined import polygon
from harness.data.formats.source import FolderSource, Record, Region, objects

_TOLERANCE = 1e-3
"""By which a fraction may leave 0..1: files have six digits or fewer."""


class Yolo(FolderSource):
    """A folder of ``labels``."""

    suffixes = (".txt",)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return numbered_names(self.asked)

    def failure(self) -> str | None:
        """Says that there is no folder, or that a file of names cannot be read."""
        if failure := super().failure():
            return failure
        try:
            _ = self._names
        except DataError as error:
            return str(error)
        return None

    def _record(self, image_id: str) -> Record:
        path = self.file(image_id)
        size = self.asked.size(image_id)
        boxes: list[NamedBox] = []
        regions: dict[int, Region] = {}
        for number, line in enumerate(read_text(path, error=DataError).splitlines(), start=1):
            if not line.strip():
                continue
            try:
                region, box = self._object(line.split(), size)
            except ValueError as error:
                raise DataError(f"{printable(path)}: line {number}: {error}") from None
            if region is not None:
                regions[len(boxes)] = region
            boxes.append(box)
        return objects(printable(path), boxes, regions)

    def _object(self, words: list[str], size: tuple[int, int]) -> tuple[Region | None, NamedBox]:
        try:
            numbers = [float(word) for word in words]
        except ValueError:
            raise ValueError(f"numbers are needed, got {printable(' '.join(words))[:60]!r}") from None
        cls, fractions = numbers[0], numbers[1:]
        if not all(map(math.isfinite, numbers)) or not cls.is_integer() or not 0 <= cls < len(self._names):
            raise ValueError(f"class {words[0]} is none of the {len(self._names)} names {_listed(self._names)}")
        if not all(-_TOLERANCE <= fraction <= 1 + _TOLERANCE for fraction in fractions):
            raise ValueError("coordinates are fractions of the image, from 0 to 1")
        name, (height, width) = self._names[int(cls)], size
        if len(fractions) == 4:
            x, y, w, h = fractions
            edges = (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height
            return None, NamedBox(name, *(_near(edge) for edge in edges))
        if len(fractions) < 6 or len(fractions) % 2:
            raise ValueError(f"a class and 4 numbers, or 3 points or more, are needed, got {len(numbers)} numbers")
        scaled = [value * (height if index % 2 else width) for index, value in enumerate(fractions)]
        return polygon(name, scaled, size)


def _near(edge: float) -> float:
    """An edge in pixels; what six digits of a fraction leave of a whole number of pixels is rounded away."""
    return float(round(edge)) if abs(edge - round(edge)) < 0.02 else edge


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(printable, names[:8])) + (", ..." if len(names) > 8 else "")
