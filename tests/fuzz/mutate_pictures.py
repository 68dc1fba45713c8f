"""Mutations of photographs and masks: modes, depths, sizes, orientations, formats under a false suffix, odd headers."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

MODES = ("1", "L", "P", "LA", "PA", "RGB", "RGBA", "RGBX", "I;16", "I", "F", "CMYK", "YCbCr", "HSV", "LAB")
FORMATS = (
    "PNG",
    "JPEG",
    "TIFF",
    "BMP",
    "WEBP",
    "GIF",
    "PPM",
    "ICO",
    "TGA",
    "JPEG2000",
    "PDF",
    "EPS",
    "PCX",
    "SGI",
    "DIB",
    "IM",
)
SIZES = ((1, 1), (1, 500), (500, 1), (3, 3), (12, 17), (16, 12), (2000, 2000), (60_000, 1))
ORIENTATION = 274


def _picture(path: Path) -> Image.Image:
    image = Image.open(path)
    image.load()
    return image


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    """The encoded image, converted where the format does not take its mode."""
    buffer = io.BytesIO()
    try:
        image.save(buffer, form, **options)
    except (OSError, ValueError, KeyError, SystemError):
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, form)
    return buffer.getvalue()


def mode(path: Path, rng: Random) -> None:
    """Another mode, in a format that can hold it, under the same name."""
    image, wanted = _picture(path), rng.choice(MODES)
    image = image.convert("L") if wanted in ("I;16", "I", "F", "1") else image.convert("RGB")
    image = Image.fromarray(np.asarray(image).astype(np.uint16) * 200) if wanted == "I;16" else image.convert(wanted)
    form = "TIFF" if wanted in ("F", "CMYK", "YCbCr", "LAB", "PA", "I") else "PNG"
    path.write_bytes(_saved(image, form))


def form(path: Path, rng: Random) -> None:
    """Another format under the same suffix."""
    path.write_bytes(_saved(_picture(path), rng.choice(FORMATS)))


def orientation(path: Path, rng: Random) -> None:
    """An EXIF orientation, sensible or not."""
    image = _picture(path)
    exif = Image.Exif()
    exif[ORIENTATION] = rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 65_535))
    data = exif.tobytes()
    if rng.random() < 0.2:
        data = data[: rng.randrange(6, len(data))]
    path.write_bytes(_saved(image, rng.choice(("JPEG", "PNG", "TIFF", "WEBP")), exif=data))


def size(path: Path, rng: Random) -> None:
    """Another size than the picture beside it has."""
    path.write_bytes(_saved(_picture(path).resize(rng.choice(SIZES), Image.Resampling.NEAREST), _kind(path)))


def _kind(path: Path) -> str:
    return "PNG" if path.suffix == ".png" else "JPEG"


def frames(path: Path, rng: Random) -> None:
    """Several pictures in one file."""
    image = _picture(path).convert("L")
    others = [image] * rng.choice((1, 2, 40))
    path.write_bytes(_saved(image, rng.choice(("TIFF", "GIF", "PNG", "WEBP")), save_all=True, append_images=others))


def values(path: Path, rng: Random) -> None:
    """Other pixels: one value, all values, 0 and 255, an id that no class has, noise."""
    image = _picture(path)
    shape = np.asarray(image).shape
    draw = np.random.default_rng(rng.randrange(2**32))
    made = rng.choice((
        lambda: np.full(shape, rng.randrange(256)), lambda: draw.integers(0, 256, shape),
        lambda: draw.integers(0, 2, shape) * 255,
        lambda: np.where(draw.random(shape) < 0.02, rng.randrange(256), np.asarray(image)),
    ))()  # fmt: skip
    changed = Image.fromarray(made.astype(np.uint8))
    if image.mode == "P" and rng.random() < 0.5:
        changed.putpalette(image.getpalette() or [])
    path.write_bytes(_saved(changed, _kind(path)))


def transparency(path: Path, rng: Random) -> None:
    """A palette with transparent colours, a short palette, or a colour key."""
    image = _picture(path).convert("L").point(lambda value: value % 8).convert("P")
    image.putpalette(list(rng.randbytes(3 * rng.choice((1, 4, 8, 256)))))
    path.write_bytes(_saved(image, "PNG", transparency=rng.choice((0, 255, bytes(range(8))))))


def header(path: Path, rng: Random) -> None:
    """A PNG whose header says something else than its data, with a right checksum."""
    data = bytearray(_saved(_picture(path).convert(rng.choice(("L", "RGB", "P"))), "PNG"))
    way = rng.randrange(4)
    if way == 0:
        data[16:24] = struct.pack(
            ">II", *rng.choice(((0, 5), (5, 0), (2**31 - 1, 2**31 - 1), (30_000, 30_000), (1, 10**6)))
        )
    elif way == 1:
        data[24] = rng.choice((0, 1, 2, 4, 16, 3, 32))
    elif way == 2:
        data[25] = rng.choice((0, 2, 3, 4, 6, 1, 7, 255))
    else:
        data[26 + rng.randrange(3)] = rng.choice((1, 2, 255))
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)


def chunk(path: Path, rng: Random) -> None:
    """A PNG with a chunk before its pixels that lies, repeats or swells, with a right checksum."""
    data = _saved(_picture(path).convert("L"), "PNG")
    kind, content = rng.choice((
        (b"iCCP", b"x\0\0" + zlib.compress(b"\0" * 20_000_000)),
        (b"zTXt", b"x\0\0" + zlib.compress(b"\0" * 90_000_000)), (b"tEXt", b"x" * 2_000_000),
        (b"eXIf", b"MM\0*\0\0\0\x08\xff\xff"), (b"PLTE", b"\0"), (b"tRNS", b"\0\0\0"), (b"IHDR", data[16:29]),
        (b"IDAT", b"\0" * 9), (b"IEND", b""), (b"acTL", b"\xff" * 8), (b"gAMA", b"\0\0\0\0"), (b"fcTL", b"\xff" * 26),
        (b"tEXt", b"\x1b[2J\0\x1b[2J"), (b"ABCD", b"x"), (b"cHRM", b"\0" * 3), (b"pHYs", b"\0" * 9),
    ))  # fmt: skip
    piece = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    path.write_bytes(data[:33] + piece + data[33:])


PICTURES: dict[str, Callable[[Path, Random], None]] = {
    "mode": mode,
    "format": form,
    "orientation": orientation,
    "size": size,
    "frames": frames,
    "pixels": values,
    "transparency": transparency,
    "header": header,
    "chunk": chunk,
}
