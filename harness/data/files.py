"""Reading lists, images and masks; whatever is wrong with a file is one ``DataError`` that names it.

Unusual here: EXIF orientation is not applied, because masks and boxes are drawn on the stored pixels; a truncated
file is always an error, even if another library allowed such files process-wide.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as PIL
from PIL import ImageFile

from harness.contract import DataError

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.contract.arrays import Image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")

_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, PIL.DecompressionBombError)


@dataclass(frozen=True)
class Defect:
    """One thing that is wrong with a data set.

    Attributes:
        kind: What was being read: ``list``, ``image``, ``mask``, ``tags``, ``boxes`` or ``saliency``.
        split: ``train``, ``val`` or ``auxiliary train``.
        image_id: Image concerned, ``None`` for a list as a whole.
        message: One sentence that names the file.
    """

    kind: str
    split: str
    image_id: str | None
    message: str


class NoMask(DataError):
    """An image that has no mask by design, such as one whose annotations are boxes alone; no defect."""


@contextmanager
def _opened(path: Path) -> Iterator[PIL.Image]:
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with PIL.open(path) as image:
            yield image
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except _UNREADABLE as error:
        raise DataError(f"{path}: damaged or no image: {error}") from None


def read_image(path: Path) -> Image:
    """(H, W, 3) uint8, RGB, 0-255.

    Raises:
        DataError: The file is missing, truncated or no image.
    """
    with _opened(path) as image:
        return np.array(image.convert("RGB"))


def read_size(path: Path) -> tuple[int, int]:
    """(H, W) of an image from its header.

    Raises:
        DataError: The file is missing or no image.
    """
    with _opened(path) as image:
        return image.height, image.width


def read_plane(path: Path) -> npt.NDArray[np.integer]:
    """(H, W) of palette indices or grey values, as stored: uint8, or wider for a 16-bit file.

    Raises:
        DataError: The file is missing, truncated, no image, or in colour.
    """
    with _opened(path) as image:
        if image.mode == "1":
            return np.array(image, dtype=np.uint8)
        if image.mode in ("P", "L", "I", "I;16", "I;16B"):
            return np.array(image)
        mode = image.mode
    raise DataError(f"{path}: a palette or grey image is needed, this one has mode {mode}")


def read_ids(path: Path, *, split: str) -> tuple[tuple[str, ...], list[Defect]]:
    """The ids of a list, one a line, and what is wrong with the list; lines that are wrong are left out."""
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip("\r\n").splitlines()
    except FileNotFoundError:
        return (), [Defect("list", split, None, f"{path}: no such file")]
    except (OSError, UnicodeDecodeError) as error:
        return (), [Defect("list", split, None, f"{path}: cannot be read: {error}")]
    if not lines:
        return (), [Defect("list", split, None, f"{path}: the list is empty")]
    first: dict[str, int] = {}
    defects = []
    for number, line in enumerate(lines, start=1):
        problem = _line_problem(line, first)
        if problem:
            defects.append(Defect("list", split, line or None, f"{path}: line {number}: {problem}"))
        else:
            first[line] = number
    return tuple(first), defects


def _line_problem(line: str, first: dict[str, int]) -> str | None:
    if not line.strip():
        return "blank line"
    if line.split() != [line]:
        return f"an id holds no blanks, got {line!r}"
    if line in first:
        return f"{line} is already on line {first[line]}"
    if PurePosixPath(line).is_absolute() or ".." in PurePosixPath(line).parts:
        return f"an id must stay inside the image folder, got {line!r}"
    return None


class Folder:
    """The files of a folder by image id; each directory is listed once.

    Args:
        root: The folder; an id may hold sub-folders (``town/frame_1``).
        suffixes: Suffixes that count, compared without case.
    """

    def __init__(self, root: Path, suffixes: tuple[str, ...]) -> None:
        self.root = root
        self._suffixes = suffixes
        self._listed: dict[PurePosixPath, dict[str, list[str]]] = {}

    def path(self, image_id: str) -> Path:
        """The file of ``image_id``; ask ``problem`` first."""
        return self.root / self._names(image_id)[0]

    def problem(self, image_id: str) -> str | None:
        """Why ``image_id`` has no file here, in one sentence, or ``None`` when it has exactly one."""
        names = self._names(image_id)
        if len(names) == 1:
            return None
        expected = self.root / f"{image_id}{self._suffixes[0]}"
        if names:
            return f"{expected}: ambiguous, there are {' and '.join(names)}"
        others = f" (nor {', '.join(self._suffixes[1:])})" if len(self._suffixes) > 1 else ""
        return f"{expected}: no such file{others}"

    def _names(self, image_id: str) -> list[str]:
        parent, stem = PurePosixPath(image_id).parent, PurePosixPath(image_id).name
        if parent not in self._listed:
            self._listed[parent] = self._list(self.root / parent)
        return [str(parent / name) for name in self._listed[parent].get(stem, [])]

    def _list(self, directory: Path) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        if directory.is_dir():
            for name in sorted(entry.name for entry in directory.iterdir()):
                stem, dot, suffix = name.rpartition(".")
                if (dot + suffix).lower() in self._suffixes:
                    found.setdefault(stem, []).append(name)
        return found
