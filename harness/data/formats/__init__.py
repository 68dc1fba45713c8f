"""Labels as annotation tools write them: one module for each format, and the one table of them.

Unusual here: the readers are our own. ``datumaro`` and ``supervision`` know more formats, but bring dozens of packages,
read a whole data set into memory and skip what they do not understand; here a line that cannot be read is a defect with
its number. pycocotools paints polygons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from harness.common.files import folder_problem, read_bytes
from harness.common.text import printable
from harness.contract import DataError
from harness.data.formats.coco import CocoFile
from harness.data.formats.cvat import CvatXml
from harness.data.formats.labelme import Labelme
from harness.data.formats.masks import BinaryMasks, ColourMasks, IdMasks, MaskFolder, Masks, PaintedMasks
from harness.data.formats.names import FILES
from harness.data.formats.records import JsonRecords
from harness.data.formats.source import Asked, ImageNames, Source
from harness.data.formats.tables import Table
from harness.data.formats.vectors import Vectors
from harness.data.formats.voc import VocXml
from harness.data.formats.yolo import Yolo
from harness.data.picture_masks import LOSSLESS_SUFFIXES, is_coloured
from harness.data.rules import Rules

__all__ = [
    "FORMATS",
    "MASK_FORMATS",
    "Asked",
    "Format",
    "ImageNames",
    "Masks",
    "Source",
    "open_masks",
    "open_source",
    "recognise",
]


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        kinds: What it can hold: tags, boxes, masks.
        open: Makes the source.
    """

    kinds: frozenset[str]
    open: Callable[[Asked], Source]


_NAMED, _DRAWN, _OUTLINED = frozenset({"tags"}), frozenset({"tags", "boxes"}), frozenset({"tags", "boxes", "masks"})

FORMATS: Mapping[str, Format] = {
    "csv": Format(_DRAWN, Table),
    "json": Format(_DRAWN, JsonRecords),
    "npy": Format(_NAMED, Vectors),
    "voc": Format(_DRAWN, VocXml),
    "yolo": Format(_OUTLINED, Yolo),
    "coco": Format(_OUTLINED, CocoFile),
    "labelme": Format(_OUTLINED, Labelme),
    "cvat": Format(_OUTLINED, CvatXml),
}
MASK_FORMATS: Mapping[str, type[MaskFolder]] = {"png": IdMasks, "binary": BinaryMasks, "rgb": ColourMasks}
"""Folders of images, which hold masks and nothing else."""


def recognise(path: Path, suffix: str = "") -> str | None:
    """The format of a file or folder, by its name and content; ``None`` where it is none of the known ones.

    Args:
        path: The file or folder.
        suffix: How the names of files end that count, before the dot.
    """
    if folder_problem(path) is None:
        return _of_folder(path, suffix)
    if path.suffix.lower() != ".json":
        return {".csv": "csv", ".tsv": "csv", ".npy": "npy", ".xml": "cvat"}.get(path.suffix.lower())
    try:
        data = read_bytes(path, error=DataError)
    except DataError:
        return "json"
    return "coco" if b'"annotations"' in data and (b'"categories"' in data or b'"images"' in data) else "json"


_FEW = 20
"""A folder with one .txt for over so many files is no folder of .txt: it holds a read-me."""


def _of_folder(folder: Path, suffix: str) -> str | None:
    """By the files of the folder and of those below."""
    found = (path for path in folder.rglob(f"*{escape(suffix)}.*") if path.name not in FILES and path.name[0] != ".")
    files = sorted(path for path in found if path.is_file())
    counts = Counter(path.suffix.lower() for path in files)
    for kind, name in ((".xml", "voc"), (".txt", "yolo"), (".json", "labelme")):
        if counts[kind] and counts[kind] * _FEW >= len(files):
            return name
    first = next((path for path in files if path.suffix.lower() in LOSSLESS_SUFFIXES), None)
    if first is None:
        return None
    return "rgb" if is_coloured(first) else "png" if first.suffix.lower() == ".png" else "binary"


def open_source(asked: Asked, kind: str) -> Source:
    """The source of tags or boxes behind a path.

    Raises:
        DataError: The format is not recognised, or holds nothing of this kind.
    """
    name = asked.params.format or _recognised(asked.path, asked.params.suffix)
    format_ = FORMATS.get(name)
    if format_ is None or kind not in format_.kinds:
        able = ", ".join(name for name, other in FORMATS.items() if kind in other.kinds)
        raise DataError(f"{printable(asked.path)}: is {name}, which holds no {kind}; {able} do")
    return format_.open(asked)


def open_masks(asked: Asked, rules: Rules) -> Masks:
    """The masks behind a path.

    Raises:
        DataError: As ``open_source``.
    """
    name = asked.params.format or _recognised(asked.path, asked.params.suffix)
    if name in MASK_FORMATS:
        return MASK_FORMATS[name](asked, rules)
    return PaintedMasks(open_source(asked, "masks"), rules)


def _recognised(path: Path, suffix: str) -> str:
    name = recognise(path, suffix)
    if name is None:
        problem = folder_problem(path)
        held = f"holds no labels of a known format ({', '.join([*FORMATS, *MASK_FORMATS])})"
        if problem and not path.is_file():
            raise DataError(f"{printable(path)}: no such file or folder")
        raise DataError(f"{printable(path)}: {held}; say which it is: format: NAME")
    return name
