"""Photographs, masks and saliency maps: their pixels as stored, or one ``DataError`` that says what to do.

What to know:

* A photograph becomes 8-bit RGB. Grey, palette, 1-bit and CMYK pictures are converted; transparent pixels are laid over
  white; what has more than 8 bits per channel is refused, because nothing says which range of values is meant.
* EXIF orientation is never applied: masks and boxes belong to the stored pixels. Who reads labels compares
  ``Header.orientation`` with them (``turned_problem``).
* The ids of a mask are the stored values. Pillow stretches grey values of 2 and 4 bits to 0..255; here they are not.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import ExifTags, ImageFile, UnidentifiedImageError
from PIL import Image as PIL  # noqa: N814  # Image is the contract's type here

from harness.common.files import open_file
from harness.common.text import printable
from harness.contract import DataError

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.contract.arrays import Image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")

MAX_PIXELS = 178_956_970
"""Pixels that a picture may declare, Pillow's limit against files that are small and unpack to all memory."""

_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
_PHOTOGRAPH_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
_DEEP = re.compile(r"\b(?:I|L|LA|RGB|RGBA|RGBX|CMYK|F);(12|16|32)")
_MASK_MODES = ("1", "L", "P", "I", "I;16", "I;16B")
_STRETCHED = {"L;2": 85, "L;4": 17}
_TURNS = {
    2: "mirrored",
    3: "turned by 180 degrees",
    4: "mirrored upside down",
    5: "mirrored and turned by 90 degrees",
    6: "turned by 90 degrees",
    7: "mirrored and turned by 90 degrees",
    8: "turned by 90 degrees",
}

warnings.filterwarnings("ignore", category=PIL.DecompressionBombWarning)  # MAX_PIXELS is the one limit
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # what Pillow can live with is no line of ours


class Header(NamedTuple):
    """What the header of a photograph says: its stored size, and its EXIF orientation, 1 (as stored) to 8."""

    height: int
    width: int
    orientation: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) as stored."""
        return self.height, self.width


@contextmanager
def opened(path: Path) -> Iterator[PIL.Image]:
    """A picture of a known format whose pixels are not decoded yet; what fails inside is one ``DataError``."""
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    with open_file(path, error=DataError) as file:
        try:
            with PIL.open(file, formats=_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise PIL.DecompressionBombError
                yield image
        except DataError:
            raise
        except PIL.DecompressionBombError:
            raise DataError(
                f"{printable(path)}: declares more than {MAX_PIXELS:,} pixels; cut it into smaller pictures"
            ) from None
        except UnidentifiedImageError:
            raise DataError(f"{printable(path)}: damaged or no image, it is none of {', '.join(_FORMATS)}") from None
        except Exception as error:  # decoders answer damaged bytes with any kind of exception
            raise DataError(
                f"{printable(path)}: damaged or no image: {printable(error) or type(error).__name__}"
            ) from error


def read_header(path: Path) -> Header:
    """What the header of a photograph says; no pixel is decoded.

    Raises:
        DataError: The file is missing, no image, or one that ``read_image`` would refuse by its header.
    """
    with opened(path) as image:
        _refuse_odd(image, path)
        return Header(image.height, image.width, _orientation(image))


def read_size(path: Path) -> tuple[int, int]:
    """(H, W) of a photograph as stored, from its header.

    Raises:
        DataError: As ``read_header``.
    """
    return read_header(path).size


def read_image(path: Path) -> Image:
    """(H, W, 3) uint8, RGB, 0-255, as stored; transparent pixels are laid over white.

    Raises:
        DataError: The file is missing, damaged, no image, has several pages or more than 8 bits per channel.
    """
    with opened(path) as image:
        _refuse_odd(image, path)
        early = "exif" in image.info
        image.load()
        if not early and "exif" in image.info:  # a PNG may hold it behind its pixels, where read_header does not look
            exif = PIL.Exif()
            exif.load(image.info["exif"])
            if turn := _TURNS.get(exif.get(ExifTags.Base.Orientation, 1)):
                raise DataError(
                    f"{printable(path)}: EXIF behind its pixels says that it is shown {turn}; {_bake(path)}"
                )
        if image.has_transparency_data:
            transparent = image.convert("RGBA")
            opaque = PIL.alpha_composite(PIL.new("RGBA", transparent.size, "white"), transparent)
            return np.array(opaque.convert("RGB"))
        return np.array(image.convert("RGB"))


def _refuse_odd(image: PIL.Image, path: Path) -> None:
    """Refuse a photograph whose pixels could only be guessed."""
    deep = _DEEP.search(f"{image.mode} {_stored_as(image)}")
    if deep or image.mode not in _PHOTOGRAPH_MODES:
        held = {"F": "floating-point values", "I": "integers of 16 bits or more"}.get(image.mode, image.mode)
        if deep:
            held = f"{deep[1]} bits per channel"
        raise DataError(
            f"{printable(path)}: a photograph has 8 bits per channel, this one holds {held}; "
            "scale its values to 0..255 and save it as 8-bit grey or RGB"
        )
    refuse_frames(image, path)
    if image.format == "TIFF" and _orientation(image) != 1:
        raise DataError(
            f"{printable(path)}: its orientation tag says {_TURNS[_orientation(image)]}; {_bake(path)}, "
            "which draws the pixels as they are shown"
        )


def _stored_as(image: PIL.Image) -> str:
    """How the file stores pixels, in Pillow's words: ``L;2`` is grey of 2 bits."""
    tiles = getattr(image, "tile", None)
    return str(tiles[0][3]) if tiles else ""


def refuse_frames(image: PIL.Image, path: Path) -> None:
    """Of the pictures in one file none is meant; a camera's MPO holds the photograph first, previews after it."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise DataError(f"{printable(path)}: holds {frames} pages or frames, one is needed; save each as a file")


def _orientation(image: PIL.Image) -> int:
    """EXIF orientation, 1 where there is none or it cannot be read."""
    try:
        value = PIL.Image.getexif(image).get(ExifTags.Base.Orientation, 1)  # a PNG's own getexif decodes all pixels
    except Exception:  # EXIF of a damaged or home-made kind takes nothing from the pixels
        return 1
    return value if value in _TURNS else 1


def turned_problem(path: Path, header: Header, drawn: tuple[int, int] | None) -> str | None:
    """Why a photograph cannot be told upright, as a sentence, or ``None``.

    It matters where labels could have been drawn on the picture as it is shown: not when the stored sides differ, the
    picture is turned by 90 degrees and the labels have the stored size.

    Args:
        path: The photograph.
        header: What its header says.
        drawn: (H, W) of its labels, ``None`` where it is not known.
    """
    if header.orientation == 1:
        return None
    swaps = header.orientation >= 5 and header.height != header.width
    if swaps and drawn == header.size:
        return None
    return (
        f"{printable(path)}: its EXIF orientation {header.orientation} says that it is shown "
        f"{_TURNS[header.orientation]}, but pixels are read as stored and labels may be drawn on either; {_bake(path)}"
    )


def _bake(path: Path) -> str:
    return f"bake it in, for example with ImageMagick: magick mogrify -auto-orient {printable(path.name)}"


def read_plane_size(path: Path) -> tuple[int, int]:
    """(H, W) of a mask from its header.

    Raises:
        DataError: The file is missing, no PNG, or in colour.
    """
    with opened(path) as image:
        _refuse_no_plane(image, path)
        return image.height, image.width


def read_plane(path: Path) -> npt.NDArray[np.integer]:
    """(H, W) of palette indices or grey values, as stored: uint8, or wider for a 16-bit file; 0 and 1 of 1 bit.

    Raises:
        DataError: The file is missing, damaged, no PNG, or in colour.
    """
    with opened(path) as image:
        _refuse_no_plane(image, path)
        step = _STRETCHED.get(_stored_as(image))
        stored = np.array(image, dtype=np.uint8) if image.mode == "1" else np.array(image)
        return stored if step is None else stored // np.uint8(step)


def _refuse_no_plane(image: PIL.Image, path: Path) -> None:
    if image.format != "PNG":
        raise DataError(
            f"{printable(path)}: is {image.format} inside, whatever its name says; a mask must be PNG, which keeps "
            "every id as it was drawn"
        )
    refuse_frames(image, path)
    if image.mode in _MASK_MODES:
        return
    equal = image.mode in ("RGB", "RGBA", "LA") and _is_grey(image)
    way_out = (
        'its channels are equal, keep one of them: Image.open(name).convert("L").save(name)'
        if equal
        else "turn each colour into its id, docs/datasets.md shows how (Masks in colour)"
    )
    raise DataError(f"{printable(path)}: a palette or grey image is needed, this one has mode {image.mode}; {way_out}")


def _is_grey(image: PIL.Image) -> bool:
    colours = np.asarray(image.convert("RGBA"))[..., :3]
    return bool((colours == colours[..., :1]).all())


def read_fraction(path: Path) -> npt.NDArray[np.float32]:
    """(H, W) float32 in [0, 1] of a saliency map: black is 0, white 1.

    Raises:
        DataError: The file is missing, damaged, no image, in colour, or has more than 8 bits.
    """
    with opened(path) as image:
        _refuse_colours(image, path)
        return np.array(image.convert("L")).astype(np.float32) / np.float32(255)


def read_fraction_size(path: Path) -> tuple[int, int]:
    """(H, W) of a saliency map from its header.

    Raises:
        DataError: As ``read_fraction``, as far as the header shows it.
    """
    with opened(path) as image:
        _refuse_colours(image, path)
        return image.height, image.width


def _refuse_colours(image: PIL.Image, path: Path) -> None:
    """Refuse a saliency map that is not grey."""
    _refuse_odd(image, path)
    if image.mode not in ("1", "L", "P") or (image.mode == "P" and not _is_grey(image)):
        raise DataError(f"{printable(path)}: a saliency map is grey, this one has mode {image.mode}, with colours")
