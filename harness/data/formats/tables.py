"""Tables (.csv, .tsv): a header, then rows of tags or boxes.

A table has one of these shapes, which its header tells:

* boxes: an image, a class, and four columns of corners (``xmin, ymin, xmax, ymax``) or of a corner and sides
  (``x, y, width, height``); coordinates from 0, half-open. A row without class and coordinates is an image without
  objects.
* tags: an image and a class; a row may hold several classes (``cat;dog``), and an image may have several rows.
* tags: an image, and a column of 0 and 1 for each class.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator

from harness.common.files import read_text
from harness.common.text import printable
from harness.contract import DataError
from harness.data.annotations import NamedBox
from harness.data.formats.columns import CORNERS, IMAGE, NAMES, SIDES, column, columns
from harness.data.formats.source import Entries, FileSource

_SEPARATORS = (";", "|", ",", " ")
_YES, _NO = ("1", "1.0", "true", "yes"), ("", "0", "0.0", "-1", "false", "no")

Row = dict[str, str]


class Table(FileSource):
    """One table."""

    def _parse(self, entries: Entries) -> None:
        text = read_text(self.path, error=DataError)
        lines = text.splitlines()
        header_line = next((line for line in lines if line.strip()), "")
        delimiter = max(",;\t", key=header_line.count)
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
        try:
            self._read(reader, entries)
        except csv.Error as error:
            raise DataError(f"{self.path}: line {reader.line_num}: no valid table: {error}") from None

    def _read(self, reader: Iterator[list[str]], entries: Entries) -> None:
        header = [name.strip() for name in next((row for row in reader if any(row)), [])]
        take = self._shape(header)
        for row in reader:
            place = f"line {reader.line_num}"  # type: ignore[attr-defined]  # of csv.reader
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(header):
                entries.fault(place, f"has {len(row)} cells, the header has {len(header)}")
                continue
            take(dict(zip(header, map(str.strip, row), strict=True)), place, entries)

    def _shape(self, header: list[str]) -> Callable[[Row, str, Entries], None]:
        """What takes a row of a table with this header."""
        where = f"{printable(self.path)}: line 1"
        shown = printable(", ".join(header[:12]))
        twice = next((name for name in header if name and header.count(name) > 1), None)
        if twice is not None:
            raise DataError(f"{where}: column {printable(twice)!r} occurs twice")
        image = column(header, IMAGE)
        if image is None:
            raise DataError(f"{where}: the header needs a column image, filename, path or id, got {shown or 'nothing'}")
        rest = [name for name in header if name != image]
        names = column(rest, NAMES)
        corners, sides = columns(rest, CORNERS), columns(rest, SIDES)
        if names is not None and (corners or sides):
            return _Boxes(self, image, names, corners or sides or (), sides=not corners)
        if names is not None and not self._is_class(names):
            return _Names(self, image, names)
        ours = [name for name in rest if self._is_class(name)]
        if ours:
            return _Flags(image, [name for name in rest if name])
        raise DataError(
            f"{where}: the header needs a column class (or label, tags), or one column for each class, got {shown}"
        )

    def _is_class(self, name: str) -> bool:
        return name in self.asked.classes or name in self.asked.known

    def scaled(self, box: NamedBox, image_id: str) -> NamedBox:
        """A box in pixels, whatever the unit of the table."""
        if self.asked.params.units == "pixels":
            return box
        height, width = self.asked.size(image_id)
        return NamedBox(box.name, box.x0 * width, box.y0 * height, box.x1 * width, box.y1 * height)


class _Boxes:
    """Takes rows with one box each."""

    def __init__(self, table: Table, image: str, name: str, corners: tuple[str, ...], *, sides: bool) -> None:
        self._table, self._image, self._name, self._corners, self._sides = table, image, name, corners, sides

    def __call__(self, row: Row, place: str, entries: Entries) -> None:
        image_id = entries.image(row[self._image], place, once=False)
        cells = [row[name] for name in self._corners]
        if image_id is None:
            return
        if not any((row[self._name], *cells)):
            entries.add(image_id, place)
            return
        if not row[self._name]:
            entries.fault(place, f"column {printable(self._name)}: no class", image_id)
            return
        try:
            a, b, c, d = map(float, cells)
            if not all(map(math.isfinite, (a, b, c, d))):
                raise ValueError
        except ValueError:
            columns = ", ".join(self._corners)
            entries.fault(place, f"columns {columns}: four numbers are needed, got {printable(cells)}", image_id)
            return
        box = NamedBox(row[self._name], a, b, a + c if self._sides else c, b + d if self._sides else d)
        fractions = max(map(abs, box[1:])) <= 1
        if fractions and self._table.asked.params.units == "pixels":
            text = f"box {printable(list(box[1:]))} looks like fractions of the image; say units: fraction"
            entries.fault(place, text, image_id)
            return
        entries.add(image_id, place, boxes=[self._table.scaled(box, image_id)])


class _Names:
    """Takes rows with a class, or several."""

    def __init__(self, table: Table, image: str, name: str) -> None:
        self._table, self._image, self._name = table, image, name

    def __call__(self, row: Row, place: str, entries: Entries) -> None:
        image_id = entries.image(row[self._image], place, once=False)
        if image_id is not None:
            entries.add(image_id, place, tags=self._split(row[self._name]))

    def _split(self, cell: str) -> list[str]:
        """The names of a cell; a name that is known as it stands is not taken apart.

        The table's own separator stands in a cell only where somebody quoted it.
        """
        known = {*self._table.asked.classes, *self._table.asked.known}
        cell = cell.strip("[](){} ")
        for separator in _SEPARATORS if known else _SEPARATORS[:-1]:  # an unknown name may hold blanks
            if cell not in known and separator in cell:
                return [part for part in (piece.strip(" '\"") for piece in cell.split(separator)) if part]
        return [cell.strip("'\"")] if cell else []


class _Flags:
    """Takes rows with 0 or 1 for each class."""

    def __init__(self, image: str, names: list[str]) -> None:
        self._image, self._names = image, names

    def __call__(self, row: Row, place: str, entries: Entries) -> None:
        image_id = entries.image(row[self._image], place)
        if image_id is None:
            return
        wrong = next((name for name in self._names if row[name].lower() not in (*_YES, *_NO)), None)
        if wrong is not None:
            text = f"column {printable(wrong)}: a class needs 0 or 1, got {printable(row[wrong])!r}"
            entries.fault(place, text, image_id)
            return
        entries.add(image_id, place, tags=[name for name in self._names if row[name].lower() in _YES])
