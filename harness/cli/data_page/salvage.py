"""What can still be seen of a picture that a reader refuses: cut off, of another size, with ids that no class has."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFile

from harness.common.files import file_problem, open_file
from harness.contract import DataError
from harness.data.images import IMAGE_SUFFIXES, MAX_PIXELS
from harness.maps.labels import voc_palette

if TYPE_CHECKING:
    import numpy.typing as npt

    RGB = npt.NDArray[np.uint8]

_PALETTE = np.frombuffer(voc_palette(), np.uint8).reshape(256, 3)


def named_picture(message: str) -> Path | None:
    """The picture file that a sentence of the form ``PATH: reason`` is about, or ``None``."""
    parts = message.split(": ")
    for count in range(1, len(parts)):
        path = Path(": ".join(parts[:count]))
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_absolute() and file_problem(path) is None:
            return path
    return None


def salvage(path: Path) -> RGB | None:
    """(H, W, 3) uint8, RGB: as much as can be decoded, or ``None``; grey ids of a mask have the colours of classes."""
    with _cut_off_pictures_are_shown(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with open_file(path, error=DataError) as file, Image.open(file) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    return None
                if picture.format == "PNG" and picture.mode in ("L", "I", "I;16", "1"):
                    coloured: RGB = _PALETTE[np.array(picture).astype(np.int64) & 255]
                    return coloured
                return np.array(picture.convert("RGB"))
        except Exception:  # decoders answer damaged bytes with any kind of exception; then nothing can be seen
            return None


@contextmanager
def _cut_off_pictures_are_shown() -> Iterator[None]:
    before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before
