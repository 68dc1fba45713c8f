"""A file of scribbles of one image: a picture of mask ids, or strokes in XML.

ScribbleSup (Lin et al., CVPR 2016) publishes strokes: ``<annotation>`` with ``<size>`` and one ``<polygon>`` for each
stroke, which has a ``<tag>`` and ``<point>``s with ``<X>`` and ``<Y>``. They are drawn 3 pixels wide, later ones over
earlier ones; coordinates count from 0, and what leaves the image is cut off.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from harness.common.files import read_bytes
from harness.common.text import parse_xml, printable
from harness.contract import IGNORE, DataError
from harness.data.images import read_plane, read_plane_size
from harness.data.mask_ids import narrowed, unknown_ids
from harness.data.sparse import drawn_line

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.contract.arrays import Mask
    from harness.data.rules import Rules

_MOST = 100_000
"""Coordinates beyond this are no pixels."""


class ScribbleFile:
    """One file, .png or .xml.

    Args:
        path: The file.
        rules: What its ids or names mean.
    """

    def __init__(self, path: Path, rules: Rules) -> None:
        self._path, self._rules = path, rules
        self._drawn = path.suffix.lower() == ".xml"

    def size(self) -> tuple[int, int]:
        """(H, W) from the header of a picture, or as the XML says it; raises ``DataError``."""
        return self._stated_size() if self._drawn else read_plane_size(self._path)

    def read(self) -> Mask:
        """(H, W) uint8 class indices, 255 = no scribble.

        Raises:
            DataError: The file is damaged, has an id or a name of no class, leaves no pixel without a scribble, or
                draws a stroke outside the image.
        """
        return self._strokes() if self._drawn else self._picture()

    def _picture(self) -> Mask:
        stored = narrowed(read_plane(self._path), self._path)
        if (stored != IGNORE).all():
            raise DataError(
                f"{printable(self._path)}: every pixel has an id; scribbles are 255 where nobody drew, and the id of "
                "the background where somebody drew background"
            )
        table, unknown = self._rules.table
        if (wrong := unknown[stored] & (stored != IGNORE)).any():
            raise DataError(f"{printable(self._path)}: {unknown_ids(np.unique(stored[wrong]))}")
        scribbles: Mask = np.where(stored == IGNORE, np.uint8(IGNORE), table[stored])
        return scribbles

    @cached_property
    def _root(self) -> ElementTree.Element:
        root = parse_xml(read_bytes(self._path, error=DataError), where=str(self._path), error=DataError)
        if root.tag != "annotation":
            top = printable(root.tag)
            raise DataError(f"{printable(self._path)}: the top element is {top!r}, XML of scribbles has 'annotation'")
        return root

    def _stated_size(self) -> tuple[int, int]:
        height, width = (_whole(self._root.findtext(f"size/{side}")) for side in ("height", "width"))
        if not height or not width or min(height, width) < 0:
            raise DataError(f"{printable(self._path)}: size needs the whole numbers width and height")
        return height, width

    def _strokes(self) -> Mask:
        size = self._stated_size()
        scribbles: Mask = np.full(size, IGNORE, np.uint8)
        for number, item in enumerate(self._root.findall("polygon"), start=1):
            where = f"{printable(self._path)}: polygon {number}"
            name = (item.findtext("tag") or "").strip()
            if not name:
                raise DataError(f"{where}: has no tag")
            line = drawn_line(size, _pixels(item, where))
            if not line.any():
                raise DataError(f"{where}: the stroke {printable(name)!r} lies outside the {size[1]}x{size[0]} image")
            scribbles[line] = self._rules.meaning(name, where)
        return scribbles


def _pixels(item: ElementTree.Element, where: str) -> npt.NDArray[np.int64]:
    """(n, 2) int64 rows and columns of a stroke."""
    places = [[_whole(point.findtext(axis)) for axis in ("Y", "X")] for point in item.findall("point")]
    if not places:
        raise DataError(f"{where}: has no point")
    rows = [[row, column] for row, column in places if row is not None and column is not None]
    if len(rows) < len(places):
        raise DataError(f"{where}: a point needs the whole numbers X and Y")
    return np.array(rows, np.int64)


def _whole(text: str | None) -> int | None:
    """The number that a text says, ``None`` where it says none that could count pixels."""
    try:
        number = int(text or "")
    except ValueError:
        return None
    return number if abs(number) <= _MOST else None
