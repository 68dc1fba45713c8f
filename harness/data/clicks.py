"""Files of clicks, apart from our own form: one point in each row or entry.

* ``{image: [{"cls": 15, "x": 200, "y": 96, "rank": 1}]}``, as *What's the Point* publishes (Bearman et al., ECCV 2016).
  Points with a rank are put in its order, those of one rank as they stand.
* A list of ``{"image": ..., "cls": ..., "x": ..., "y": ...}``.
* A table (.csv, .tsv) with the columns image, cls, x and y.

``cls`` is the name of a class or one of its mask ids; x is the column and y the row of a pixel, both from 0.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from harness.common.files import file_problem, read_bytes, read_text
from harness.common.text import parse_json, printable
from harness.contract import DataError
from harness.data.annotations import Annotation, NamedPoint
from harness.data.files import same_name
from harness.data.images import IMAGE_SUFFIXES

TABLES = (".csv", ".tsv")

_IMAGE = ("image", "id", "filename", "file_name")
_CLASS = ("cls", "class", "label")
_DIGITS = 9


def is_of_clicks(path: Path) -> bool:
    """Whether a file holds clicks in one of these forms; whatever cannot be read is left to who reads our own form."""
    if path.suffix.lower() in TABLES:
        return True
    if file_problem(path):
        return False
    try:
        value = parse_json(read_bytes(path, error=DataError), where=str(path), error=DataError)
    except DataError:
        return False
    if isinstance(value, dict):
        return bool(value) and all(isinstance(clicks, list) for clicks in value.values()) and "images" not in value
    return isinstance(value, list)


class Clicks:
    """One file of clicks."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def failure(self) -> str | None:
        """Says that the file is missing or damaged, with the row or entry."""
        try:
            _ = self._images
        except DataError as error:
            return str(error)
        return None

    def problem(self, image_id: str) -> str | None:
        """Says that the file has no click on the image."""
        return None if image_id in self._images else f"{printable(self._path)}: no point of image {image_id!r}"

    def read(self, image_id: str) -> Annotation:
        """The points of one image."""
        if missing := self.problem(image_id):
            raise DataError(missing)
        where = f"{printable(self._path)}: image {printable(image_id)!r}"
        return Annotation((), (), where, tuple(point for _, point in self._images[image_id]))

    def ids(self) -> tuple[str, ...]:
        """Ids of the images with points."""
        return tuple(self._images)

    @cached_property
    def _images(self) -> dict[str, list[tuple[int, NamedPoint]]]:
        """Id of an image -> its points with their ranks; the file is read when it is first needed."""
        images: dict[str, list[tuple[int, NamedPoint]]] = {}
        for image, place, click in self._entries():
            points = images.setdefault(_id(image), [])
            if click is not None:
                points.append(_ranked(click, f"{printable(self._path)}: {place}"))
        for points in images.values():
            points.sort(key=lambda ranked: ranked[0])
        return images

    def _entries(self) -> Iterator[tuple[str, str, Any]]:
        """Name of the image, place in the file, and click; ``None`` for an image without one."""
        if self._path.suffix.lower() in TABLES:
            yield from self._rows()
            return
        value = parse_json(read_bytes(self._path, error=DataError), where=str(self._path), error=DataError)
        if isinstance(value, dict):
            for image, clicks in value.items():
                yield image, "", None
                for number, click in enumerate(clicks):
                    yield image, f"image {printable(image)!r}: point {number}", click
            return
        for number, click in enumerate(value):
            place = f"entry {number}"
            yield _field(click, _IMAGE, f"{printable(self._path)}: {place}"), place, click

    def _rows(self) -> Iterator[tuple[str, str, Mapping[str, str]]]:
        lines = read_text(self._path, error=DataError).splitlines()
        delimiter = max(",;\t", key=(lines or [""])[0].count)
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
            for row in filter(None, reader):
                place = f"line {reader.line_num}"
                if len(row) != len(header):
                    raise csv.Error(f"has {len(row)} cells, the header has {len(header)}")
                click = dict(zip(header, map(str.strip, row), strict=True))
                yield _field(click, _IMAGE, f"{printable(self._path)}: {place}"), place, click
        except csv.Error as error:
            raise DataError(f"{printable(self._path)}: line {reader.line_num}: {error}") from None


def _id(name: str) -> str:
    """The id of an image that is named with or without the suffix of its file."""
    path = PurePosixPath(same_name(name))
    return str(path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path)


def _ranked(click: Any, where: str) -> tuple[int, NamedPoint]:
    """The rank of a click, 0 where it has none, and its point."""
    name = _field(click, _CLASS, where)
    x, y = (_number(_field(click, (axis,), where), axis, where) for axis in "xy")
    rank = str(click.get("rank", 0))
    if not rank.isdecimal() or len(rank) > _DIGITS:
        raise DataError(f"{where}: rank: a whole number from 0 is needed, got {_shown(rank)}")
    return int(rank), NamedPoint(name, x, y)


def _field(click: Any, names: Sequence[str], where: str) -> str:
    """The text or number under the first of ``names`` that an entry has."""
    if not isinstance(click, dict):
        raise DataError(f"{where}: a point is a mapping with cls, x and y, got {_shown(click)}")
    found = next((click[name] for name in names if name in click), None)
    if found == "" or type(found) not in (str, int, float):
        raise DataError(f"{where}: {names[0]}: a text or a number is needed, got {_shown(found)}")
    return str(found)


def _number(text: str, field: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{where}: {field}: a number is needed, got {_shown(text)}") from None


def _shown(value: object) -> str:
    text = printable(repr(value))
    return text if len(text) <= 60 else f"{text[:60]}..."
