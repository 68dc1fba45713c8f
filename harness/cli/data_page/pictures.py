"""A photograph of a data set with its labels drawn over it, as layers that a page can show and hide."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image
from scipy.ndimage import minimum_filter

from harness.cli.contact_sheet import CLASS_COLOURS, Colour
from harness.cli.data_page.salvage import named_picture, salvage
from harness.contract import IGNORE, Box, DataError, Dataset, Supervision
from harness.data.files import Defect

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.contract.arrays import Mask

T = TypeVar("T")

SIDE = 320
"""Longest side of a picture in pixels."""

_CANVAS = 4.0
"""A region outside the image is drawn up to this many sides away, so that the image itself stays visible."""

_IGNORED: Colour = (224, 224, 192)
_OPAQUE, _COVER = 150, 215
"""Opacity of classes and of ignored pixels over the photograph, of 255."""


@dataclass(frozen=True)
class Frame:
    """A box on a picture, in its pixels: left, top, width, height, and the name of its class."""

    name: str
    colour: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Dot:
    """A point on a picture, in its pixels."""

    name: str
    colour: str
    x: float
    y: float


@dataclass(frozen=True)
class Picture:
    """One picture; ``view`` is the part of the plane that is shown: left, top, width, height.

    Attributes:
        caption: Text below it.
        width: Of the photograph, in pixels of the page.
        height: Likewise.
        view: As ``viewBox`` of SVG.
        image: Photograph as a data URL.
        mask: Transparent mask of the same size, as a data URL, or ``None``.
        scribbles: Transparent scribbles of the same size, as a data URL, or ``None``.
        frames: Boxes.
        dots: Points.
        wrong: A box or point outside the image.
    """

    caption: str
    width: float
    height: float
    view: tuple[float, float, float, float]
    image: str
    mask: str | None = None
    scribbles: str | None = None
    frames: tuple[Frame, ...] = ()
    dots: tuple[Dot, ...] = ()
    wrong: Frame | None = None


def hexadecimal(colour: Colour) -> str:
    """The colour as HTML writes it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def colours_of(classes: Sequence[str]) -> list[tuple[str, str]]:
    """Name and colour of each class but the background, then of ignored pixels."""
    named = list(zip(classes, CLASS_COLOURS, strict=False))[1:]
    return [(name, hexadecimal(colour)) for name, colour in [*named, ("ignored", _IGNORED)]]


def photograph(dataset: Dataset, image_id: str) -> Picture | None:
    """An image with all labels that can be read, or ``None`` where the image cannot be."""
    image = _known(dataset.image, image_id)
    return None if image is None else _drawn(dataset, image_id, image, None)


def evidence(dataset: Dataset, defect: Defect) -> list[Picture]:
    """What there is to see of a defect: the image with its readable labels, and the file that the defect names."""
    if defect.image_id is None:
        return []
    pictures = []
    image = _known(dataset.image, defect.image_id)
    if image is not None:
        pictures.append(_drawn(dataset, defect.image_id, image, defect.region))
    path = named_picture(defect.message)
    stored = None if path is None else salvage(path)
    if path and stored is not None and (defect.kind == "mask" or image is None):
        what = "mask as stored" if defect.kind == "mask" else "what can be decoded"
        pictures.append(_plain(f"{what}: {path.name}, {stored.shape[1]}x{stored.shape[0]}", stored))
    return pictures


def _plain(caption: str, pixels: npt.NDArray[np.uint8]) -> Picture:
    picture, _ = _small(pixels, Image.Resampling.NEAREST)
    return Picture(caption, *picture.size, (0, 0, *picture.size), _url(picture, "PNG"))


def _drawn(
    dataset: Dataset,
    image_id: str,
    image: npt.NDArray[np.uint8],
    region: tuple[float, float, float, float] | None,
) -> Picture:
    small, scale = _small(image, Image.Resampling.LANCZOS)
    mask = _known(dataset.mask, image_id)
    fits = mask is not None and mask.shape == image.shape[:2]
    boxes = [box for box in _known(dataset.boxes, image_id) or () if 0 <= box.cls < len(dataset.classes)]
    points = _known(lambda name: dataset.read(Supervision.POINTS, name), image_id) or ()
    scribbles = _known(lambda name: dataset.read(Supervision.SCRIBBLES, name), image_id)
    drawn = scribbles if scribbles is not None and scribbles.shape == image.shape[:2] else None
    wrong = None if region is None else _frame("outside", "#ff0000", region, scale, small.size)
    return Picture(
        caption=f"{image_id}, {image.shape[1]}x{image.shape[0]}",
        width=small.width,
        height=small.height,
        view=_view(small.size, wrong),
        image=_url(small, "JPEG"),
        mask=_url(_overlay(mask, small.size), "PNG") if fits and mask is not None else None,
        scribbles=None if drawn is None else _url(_strokes(drawn, small.size, scale), "PNG"),
        frames=tuple(_frames(boxes, dataset.classes, scale, small.size)),
        dots=tuple(
            Dot(dataset.classes[point.cls], _colour(point.cls), scale * (point.x + 0.5), scale * (point.y + 0.5))
            for point in points
            if 0 <= point.cls < len(dataset.classes)
        ),
        wrong=wrong,
    )


def _frames(boxes: Iterable[Box], classes: Sequence[str], scale: float, size: tuple[int, int]) -> list[Frame]:
    return [_frame(classes[b.cls], _colour(b.cls), (b.x0, b.y0, b.x1, b.y1), scale, size) for b in boxes]


def _frame(
    name: str, colour: str, region: tuple[float, float, float, float], scale: float, size: tuple[int, int]
) -> Frame:
    """The region in pixels of the page, cut off far outside the picture."""
    limits = (-_CANVAS * size[0], (1 + _CANVAS) * size[0]), (-_CANVAS * size[1], (1 + _CANVAS) * size[1])
    x0, x1 = sorted(min(max(scale * value, limits[0][0]), limits[0][1]) for value in region[::2])
    y0, y1 = sorted(min(max(scale * value, limits[1][0]), limits[1][1]) for value in region[1::2])
    return Frame(name, colour, round(x0, 1), round(y0, 1), round(max(x1 - x0, 3), 1), round(max(y1 - y0, 3), 1))


def _view(size: tuple[int, int], wrong: Frame | None) -> tuple[float, float, float, float]:
    """The picture, and what lies outside with a margin."""
    if wrong is None:
        return 0, 0, *size
    left, top = min(0, wrong.x - 4), min(0, wrong.y - 4)
    right, bottom = max(size[0], wrong.x + wrong.width + 4), max(size[1], wrong.y + wrong.height + 4)
    return round(left, 1), round(top, 1), round(right - left, 1), round(bottom - top, 1)


def _overlay(mask: Mask, size: tuple[int, int]) -> Image.Image:
    """The mask as a transparent palette picture; the background cannot be seen."""
    picture = Image.fromarray(np.ascontiguousarray(mask)).resize(size, Image.Resampling.NEAREST)
    colours = [*CLASS_COLOURS[:IGNORE], _IGNORED]
    picture.putpalette([part for colour in colours for part in colour])
    picture.info["transparency"] = bytes([0, *[_OPAQUE] * (IGNORE - 1), _COVER])
    return picture


def _strokes(scribbles: Mask, size: tuple[int, int], scale: float) -> Image.Image:
    """The scribbles as a transparent palette picture, as wide as before when the picture becomes smaller."""
    wide = minimum_filter(scribbles, size=max(round(1 / scale), 1))
    picture = Image.fromarray(wide).resize(size, Image.Resampling.NEAREST)
    picture.putpalette([part for colour in CLASS_COLOURS[: IGNORE + 1] for part in colour])
    picture.info["transparency"] = bytes([*[255] * IGNORE, 0])
    return picture


def _colour(cls: int) -> str:
    return hexadecimal(CLASS_COLOURS[cls])


def _small(pixels: npt.NDArray[np.uint8], resampling: Image.Resampling) -> tuple[Image.Image, float]:
    """The picture with its longer side at most ``SIDE``, and what its coordinates are to be multiplied by."""
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    scale = SIDE / max(picture.size)
    if scale > 1 and max(picture.size) >= SIDE // 4:
        return picture, 1.0
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, resampling if scale < 1 else Image.Resampling.NEAREST), scale


def _url(picture: Image.Image, kind: str) -> str:
    file = io.BytesIO()
    if kind == "PNG":
        picture.save(file, "PNG", optimize=True)
    else:
        picture.save(file, "JPEG", quality=80)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def _known(read: Callable[[str], T], image_id: str) -> T | None:
    """What a reader says of an image, or ``None``: it is defective, or the reader left the image out altogether."""
    try:
        return read(image_id)
    except (DataError, LookupError):
        return None
