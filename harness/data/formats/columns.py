"""What columns of tables and keys of JSON records are called."""

from __future__ import annotations

import re
from collections.abc import Iterable

IMAGE = ("image", "imageid", "imagename", "imagepath", "imagefile", "file", "filename", "filepath", "path", "img", "id")
NAMES = (
    "class", "classes", "classname", "classnames", "label", "labels", "labelname", "cls", "category", "categories",
    "tag", "tags", "name", "names",
)  # fmt: skip
CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
    ("left", "top", "right", "bottom"),
)
SIDES = (
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
    ("left", "top", "width", "height"),
    ("xmin", "ymin", "width", "height"),
    ("bboxx", "bboxy", "bboxwidth", "bboxheight"),
)
"""Left, top and the two sides; read where a table has no corners: ``width`` beside corners is that of the image."""


def plain(name: str) -> str:
    """A name of a column without case and punctuation: ``Image_ID`` is ``imageid``."""
    return re.sub(r"[^0-9a-z]", "", name.casefold())


def column(header: Iterable[str], known: tuple[str, ...]) -> str | None:
    """The first column of ``header`` whose name is one of ``known``, the likeliest name first."""
    by_name: dict[str, str] = {}
    for name in header:
        by_name.setdefault(plain(name), name)
    return next((by_name[name] for name in known if name in by_name), None)


def columns(header: Iterable[str], known: tuple[tuple[str, str, str, str], ...]) -> tuple[str, ...] | None:
    """The four columns of ``header`` that are called like one of the groups of ``known``."""
    names = list(header)
    for group in known:
        found = [column(names, (name,)) for name in group]
        if None not in found:
            return tuple(name for name in found if name is not None)
    return None
