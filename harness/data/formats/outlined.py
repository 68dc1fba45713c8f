"""Outlines of annotation tools as regions and boxes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

from harness.data.annotations import NamedBox
from harness.data.formats.source import Region
from harness.data.outlines import paint_polygons, read_polygon


def polygon(name: str, numbers: Sequence[float], size: tuple[int, int]) -> tuple[Region, NamedBox]:
    """A polygon and its extent.

    Args:
        name: Of its class.
        numbers: x, y, x, y, ... in pixels.
        size: (H, W) of the image.

    Raises:
        ValueError: It has under three points or leaves the image.
    """
    points = read_polygon(list(numbers), size)
    x, y = points[0::2], points[1::2]
    box = NamedBox(name, float(x.min()), float(y.min()), float(x.max()), float(y.max()))
    return Region(name, partial(paint_polygons, (points,)), json.dumps(list(numbers))), box
