"""A contact sheet: images with the truth, what two rows made of them, and where the two differ."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from harness.common.text import one_line
from harness.contract.arrays import IGNORE
from harness.maps.labels import voc_palette

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.contract.arrays import Image as Photograph
    from harness.contract.arrays import Mask

    RGB = npt.NDArray[np.uint8]

SIDE = 200
"""Longest side of a picture in pixels."""

BROKEN, FIXED, BOTH_WRONG, BOTH_RIGHT = (217, 95, 2), (31, 120, 180), (154, 154, 154), (244, 244, 242)
"""Only the first row right (orange), only the second (blue), neither (grey), both (white); ignored pixels are black."""

Colour = tuple[int, int, int]

_PALETTE = np.frombuffer(voc_palette(), np.uint8).reshape(256, 3)
CLASS_COLOURS: list[Colour] = [(red, green, blue) for red, green, blue in _PALETTE.tolist()]
"""By index the colours that the field knows (PASCAL VOC), those of the stored label maps."""

_MARKS: Sequence[tuple[str, Colour]] = (
    ("only A right", BROKEN),
    ("only B right", FIXED),
    ("both wrong", BOTH_WRONG),
    ("both right", BOTH_RIGHT),
    ("not scored", (0, 0, 0)),
)

_LINE = 14
_GAP = 6
_WIDTH = 5 * (SIDE + _GAP) + _GAP


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


def contact_sheet(entries: Iterable[Entry], headers: Sequence[str], classes: Sequence[str]) -> bytes:
    """The sheet as a PNG, with a legend of its colours at the bottom.

    Args:
        entries: One for each line of the sheet.
        headers: What stands above the five columns: image, truth, first row, second row, change.
        classes: Names of the classes in index order; the legend shows those that a picture of the sheet holds.
    """
    entries = list(entries)
    legend = _legend(entries, classes)
    lines = []
    for entry in entries:
        maps = [_PALETTE[mask] for mask in (entry.truth, entry.before, entry.after)]
        pictures = [_fit(picture) for picture in (entry.image, *maps, change_map(entry))]
        lines.append((entry.caption, pictures))
    heights = [2 * _GAP + _LINE + max(picture.height for picture in pictures) for _, pictures in lines]
    sheet = Image.new("RGB", (_WIDTH, 2 * _LINE + sum(heights) + legend.height), "white")
    draw = ImageDraw.Draw(sheet)
    for column, header in enumerate(headers):
        draw.text((_GAP + column * (SIDE + _GAP), _GAP), _cut(draw, header, SIDE), fill="black")
    top = 2 * _LINE
    for (caption, pictures), height in zip(lines, heights, strict=True):
        draw.text((_GAP, top), _cut(draw, caption, _WIDTH - 2 * _GAP), fill="black")
        for column, picture in enumerate(pictures):
            sheet.paste(picture, (_GAP + column * (SIDE + _GAP), top + _LINE))
        top += height
    sheet.paste(legend, (0, top))
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def colours_of(entries: Iterable[Entry], classes: Sequence[str]) -> list[tuple[str, Colour]]:
    """Name and colour of every class that a picture holds, in index order, then of the pixels that are not scored."""
    held: set[int] = set()
    for entry in entries:
        for mask in (entry.truth, entry.before, entry.after):
            held.update(np.unique(mask).tolist())
    names = [*enumerate(classes), (IGNORE, "ignored (255)")]
    return [(name, CLASS_COLOURS[index]) for index, name in names if index in held]


def _legend(entries: Sequence[Entry], classes: Sequence[str]) -> Image.Image:
    """Swatches with names: the classes, then what the last column shows; as many lines as they need."""
    lines = [*_lines("classes:", colours_of(entries, classes)), *_lines("change:", _MARKS)]
    legend = Image.new("RGB", (_WIDTH, _GAP + len(lines) * (_LINE + _GAP)), "white")
    draw = ImageDraw.Draw(legend)
    for number, (title, swatches) in enumerate(lines):
        top = _GAP + number * (_LINE + _GAP)
        draw.text((_GAP, top), title, fill="black")
        for left, name, colour in swatches:
            draw.rectangle((left, top, left + _LINE - 2, top + _LINE - 2), fill=colour, outline="black")
            draw.text((left + _LINE + _GAP, top), name, fill="black")
    return legend


def _lines(title: str, swatches: Iterable[tuple[str, Colour]]) -> list[tuple[str, list[tuple[int, str, Colour]]]]:
    """Title, and left edge, name and colour of each swatch, by line of the width of the sheet."""
    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    start = left = _GAP + 60
    lines: list[tuple[str, list[tuple[int, str, Colour]]]] = [(title, [])]
    for name, colour in swatches:
        text = _cut(ruler, name, SIDE)
        width = _LINE + 3 * _GAP + math.ceil(ruler.textlength(text))
        if left > start and left + width > _WIDTH:
            left = start
            lines.append(("", []))
        lines[-1][1].append((left, text, colour))
        left += width
    return lines


def _cut(draw: ImageDraw.ImageDraw, text: str, width: int) -> str:
    """The text on one line, and no longer than ``width`` pixels."""
    text = one_line(text)
    if draw.textlength(text) <= width:
        return text
    while text and draw.textlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."


def change_map(entry: Entry) -> RGB:
    """(H, W, 3) uint8, RGB: which of the two rows is right, pixel by pixel."""
    first, second = entry.before == entry.truth, entry.after == entry.truth
    colours = np.array([[BOTH_WRONG, FIXED], [BROKEN, BOTH_RIGHT]], np.uint8)
    change: RGB = colours[first.astype(np.intp), second.astype(np.intp)]
    change[entry.truth == IGNORE] = 0
    return change


def _fit(picture: RGB) -> Image.Image:
    """The picture at most ``SIDE`` wide and high; label colours stay what they are."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    scale = SIDE / max(image.size)
    size = tuple(max(1, round(side * scale)) for side in image.size)
    return image.resize((size[0], size[1]), Image.Resampling.NEAREST)
