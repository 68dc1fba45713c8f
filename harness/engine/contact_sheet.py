"""A contact sheet: images with the truth, what two rows made of them, and where the two differ."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from harness.contract.arrays import IGNORE
from harness.engine.stored import palette

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.contract.arrays import Image as Photograph
    from harness.contract.arrays import Mask

    RGB = npt.NDArray[np.uint8]

SIDE = 200
"""Longest side of a picture in pixels."""

BROKEN, FIXED, BOTH_WRONG, BOTH_RIGHT = (217, 95, 2), (31, 120, 180), (154, 154, 154), (244, 244, 242)
"""Only the first row right (orange), only the second (blue), neither (grey), both (white); ignored pixels are black."""

_LINE = 14
_GAP = 6


class Entry(NamedTuple):
    """One line of the sheet.

    Attributes:
        caption: Text above the pictures.
        image: (H, W, 3) uint8, RGB.
        truth: (H, W) uint8, 255 = not scored.
        before: (H, W) uint8 label map of the first row; ``after`` of the second.
    """

    caption: str
    image: Photograph
    truth: Mask
    before: Mask
    after: Mask


def contact_sheet(entries: Iterable[Entry], headers: Sequence[str]) -> bytes:
    """The sheet as a PNG.

    Args:
        entries: One line each.
        headers: What stands above the five columns: image, truth, first row, second row, change.
    """
    lines = [(entry.caption, [_fit(picture) for picture in _pictures(entry)]) for entry in entries]
    heights = [2 * _GAP + _LINE + max(picture.height for picture in pictures) for _, pictures in lines]
    sheet = Image.new("RGB", (5 * (SIDE + _GAP) + _GAP, 2 * _LINE + sum(heights)), "white")
    draw = ImageDraw.Draw(sheet)
    for column, header in enumerate(headers):
        draw.text((_GAP + column * (SIDE + _GAP), _GAP), header, fill="black")
    top = 2 * _LINE
    for (caption, pictures), height in zip(lines, heights, strict=True):
        draw.text((_GAP, top), caption, fill="black")
        for column, picture in enumerate(pictures):
            sheet.paste(picture, (_GAP + column * (SIDE + _GAP), top + _LINE))
        top += height
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def _pictures(entry: Entry) -> list[RGB]:
    colours = np.frombuffer(palette(), np.uint8).reshape(256, 3)
    return [entry.image, *(colours[mask] for mask in (entry.truth, entry.before, entry.after)), change_map(entry)]


def change_map(entry: Entry) -> RGB:
    """(H, W, 3) uint8, RGB: which of the two rows is right, pixel by pixel."""
    first, second = entry.before == entry.truth, entry.after == entry.truth
    colours = np.array([[BOTH_WRONG, FIXED], [BROKEN, BOTH_RIGHT]], np.uint8)
    found: RGB = colours[first.astype(np.intp), second.astype(np.intp)]
    found[entry.truth == IGNORE] = 0
    return found


def _fit(picture: RGB) -> Image.Image:
    """The picture at most ``SIDE`` wide and high; label colours stay what they are."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    scale = SIDE / max(image.size)
    size = tuple(max(1, round(side * scale)) for side in image.size)
    return image.resize((size[0], size[1]), Image.Resampling.NEAREST)
