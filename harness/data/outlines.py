"""Outlines of COCO annotations: polygons and run lengths, checked before anything is painted.

Unusual here: run lengths are unpacked in this file, and pycocotools only ever sees polygons that lie in the image. It
trusts what it is given: of run lengths that are too short it leaves the rest of a mask uninitialised, and coordinates
far outside the image end the process.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.common.text import printable
from harness.contract import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.contract.arrays import Mask

TOLERANCE = 1.0
"""Pixels by which coordinates may lie outside the image, because tools round; what is outside is cut off."""

_LONGEST_RUN = 7
"""Characters of one run length: 5 bits each, 32 bits in all."""


def shown(value: object) -> str:
    """``repr(value)`` for a sentence: on one line, and cut where it is long."""
    text = printable(repr(value))
    return text if len(text) <= 60 else f"{text[:60]}..."


def read_polygon(listed: Any, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """One polygon, (2 * n,) float64, n of 3 or more.

    Args:
        listed: x, y, x, y, ... as a file has them.
        size: (H, W) of the image.

    Raises:
        ValueError: It is no list of numbers, has an odd number of them or under three points, or leaves the image.
    """
    if not isinstance(listed, list) or not set(map(type, listed)) <= {int, float}:
        raise ValueError(f"a polygon is a list of numbers x, y, x, y, ..., got {shown(listed)}")
    if len(listed) < 6 or len(listed) % 2:
        raise ValueError(f"a polygon has three or more points x, y, got {len(listed)} numbers")
    polygon = np.array(listed, np.float64)
    for values, end in ((polygon[1::2], size[0]), (polygon[0::2], size[1])):
        low, high = values.min(), values.max()
        if not (low >= -TOLERANCE and high <= end + TOLERANCE):  # nor where one is no number
            wrong = float(high if low >= -TOLERANCE else low)
            raise ValueError(f"coordinate {wrong} lies outside the {size[1]}x{size[0]} image")
    return polygon


def read_polygons(outline: list[Any], size: tuple[int, int]) -> tuple[npt.NDArray[np.float64], ...]:
    """Polygons of an annotation.

    Args:
        outline: Lists x, y, x, y, ... as the file has them.
        size: (H, W) of the image.

    Returns:
        Each (2 * n,) float64, n of 3 or more.

    Raises:
        ValueError: One is no list of numbers, has an odd number of them or under three points, or leaves the image.
    """
    polygons = []
    for number, listed in enumerate(outline):
        try:
            polygons.append(read_polygon(listed, size))
        except ValueError as error:
            raise ValueError(f"segmentation.{number}: {error}") from None
    return tuple(polygons)


def read_runs(outline: Mapping[str, Any], size: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Run lengths of an annotation, of pixels outside and inside in turn, down the columns.

    Args:
        outline: ``size`` and ``counts``, a list or a compressed string, as the file has them.
        size: (H, W) of the image.

    Returns:
        (n,) int64 that add up to H * W.

    Raises:
        ValueError: ``size`` is another than the image's, or ``counts`` are malformed or do not fill the image.
    """
    if outline.get("size") != list(size):
        raise ValueError(f"segmentation.size: {shown(outline.get('size'))}, but the image has {list(size)}")
    counts, pixels = outline.get("counts"), size[0] * size[1]
    if isinstance(counts, str):
        runs = _unpacked(counts)
    elif isinstance(counts, list) and set(map(type, counts)) <= {int} and min(counts, default=0) >= 0:
        runs = np.array([min(count, pixels + 1) for count in counts], np.int64)
    else:
        raise ValueError(f"segmentation.counts: whole numbers from 0, or their string, are needed, got {shown(counts)}")
    if (runs < 0).any() or runs.sum() != pixels:
        raise ValueError(f"segmentation.counts: the run lengths must add up to the {pixels} pixels of the image")
    return runs


def _unpacked(text: str) -> npt.NDArray[np.int64]:
    """(n,) int64 run lengths of a compressed string: 5 bits a character, from the third on as differences."""
    codes = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64) - 48
    ends = (codes & 32) == 0
    if not text or codes.min() < 0 or codes.max() > 63 or not ends[-1]:
        raise ValueError(f"segmentation.counts: no string of run lengths, got {shown(text)}")
    last = np.flatnonzero(ends)
    lengths = np.diff(last, prepend=-1)
    if lengths.max() > _LONGEST_RUN:
        raise ValueError(f"segmentation.counts: a run length of over 32 bits in {shown(text)}")
    first = last - lengths + 1
    places = np.arange(len(codes)) - np.repeat(first, lengths)
    runs: npt.NDArray[np.int64] = np.add.reduceat((codes & 31) << (5 * places), first)
    runs -= np.where(codes[last] & 16, 1 << (5 * lengths), 0)  # the highest bit is the sign
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def paint_runs(runs: npt.NDArray[np.int64], size: tuple[int, int]) -> Mask:
    """(H, W) uint8, 1 inside, of run lengths that add up to H * W."""
    inside = (np.arange(len(runs)) % 2).astype(np.uint8)
    region: Mask = np.repeat(inside, runs).reshape(size[1], size[0]).T
    return region


def paint_polygons(polygons: tuple[npt.NDArray[np.float64], ...], size: tuple[int, int]) -> Mask:
    """(H, W) uint8, 1 inside one of the polygons or more, as pycocotools rounds.

    Raises:
        ConfigError: pycocotools is not installed.
    """
    try:
        from pycocotools import mask
    except ImportError as error:
        text = f"outlines need pycocotools, which cannot be imported ({error}); install wsss-harness[coco]"
        raise ConfigError(text) from None
    encoded = mask.merge(mask.frPyObjects([polygon.tolist() for polygon in polygons], *size))
    with warnings.catch_warnings():  # numpy 2 deprecates an array conversion inside pycocotools
        warnings.simplefilter("ignore", DeprecationWarning)
        region: Mask = mask.decode(encoded)
    return region
