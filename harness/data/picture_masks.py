"""Pictures of two values or of colours that stand for classes, as stored; any lossless format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.common.text import printable
from harness.contract import DataError
from harness.data.images import opened, refuse_frames

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL.Image import Image

LOSSLESS_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")

_LOSSLESS = ("PNG", "TIFF", "BMP")
_MODES = ("1", "L", "P", "RGB", "RGBA")


def read_colours(path: Path) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8, the colours as shown; grey and palette pictures too.

    Raises:
        DataError: The file is missing, damaged, of a format that changes colours, of several pages, or has more than 8
            bits per channel.
    """
    with opened(path) as image:
        _refuse(image, path)
        return np.array(image.convert("RGB"))


def read_values(path: Path) -> npt.NDArray[np.uint8]:
    """(H, W) uint8, grey values or palette indices; of a picture in colour whose channels are equal, one of them.

    Raises:
        DataError: As ``read_colours``, or the picture has colours.
    """
    with opened(path) as image:
        _refuse(image, path)
        if image.mode in ("1", "L", "P"):
            return np.array(image, dtype=np.uint8)
        colours = np.array(image.convert("RGB"))
    if (colours != colours[..., :1]).any():
        raise DataError(f"{printable(path)}: a mask of two values is needed, this one has colours; see format: rgb")
    return np.ascontiguousarray(colours[..., 0])


def read_picture_size(path: Path) -> tuple[int, int]:
    """(H, W) from the header.

    Raises:
        DataError: As ``read_colours``, as far as the header shows it.
    """
    with opened(path) as image:
        _refuse(image, path)
        return image.height, image.width


def is_coloured(path: Path) -> bool:
    """Whether the header says that a picture has three channels; False for what is no picture."""
    try:
        with opened(path) as image:
            return image.mode in ("RGB", "RGBA")
    except DataError:
        return False


def _refuse(image: Image, path: Path) -> None:
    if image.format not in _LOSSLESS:
        raise DataError(
            f"{printable(path)}: is {image.format} inside, whatever its name says; a mask must be PNG, TIFF or BMP, "
            "which keep every value as it was drawn"
        )
    if image.mode not in _MODES:
        raise DataError(f"{printable(path)}: a mask has 8 bits per channel, this one has mode {image.mode}")
    refuse_frames(image, path)
