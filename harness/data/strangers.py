"""Files of other tools where annotations are expected: what they are, and which reader or form fits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from harness.common.files import folder_problem
from harness.common.text import printable

FORM = (
    'the form {"images": [{"id": ..., "tags": [...], "boxes": [{"cls": ..., "bbox_xyxy": [x0, y0, x1, y1]}], '
    '"points": [{"cls": ..., "x": ..., "y": ...}]}]}'
)
"""What the JSON file of ``boxes``, ``tags`` and ``points`` looks like; each key of an image may be missing."""

_COCO = "is a COCO instances file, which `name: coco` reads"
_FOLDER = "; or say `name: folder`, which reads them as they are"
_LABELME = "is a labelme file of one image; write one file for all images, in " + FORM + _FOLDER


def stranger_value(value: Any) -> str | None:
    """What a parsed JSON document is, when it is known to be of another tool; the rest of a sentence."""
    if isinstance(value, dict) and "shapes" in value:
        return _LABELME
    if isinstance(value, dict) and ("annotations" in value or "categories" in value):
        return _COCO
    return None


def stranger_text(path: Path, start: str) -> str:
    """What a file that is no JSON is, by its name and its first line; the rest of a sentence."""
    line = start.lstrip().partition("\n")[0]
    if line.startswith("<"):
        return "is XML; boxes and tags may say 'xml', with the folder of such files in the field annotations"
    if path.suffix.lower() in (".csv", ".tsv") or "," in line or "\t" in line:
        return f"is a table; write its rows in {FORM}{_FOLDER}"
    return f"is no JSON; a file of annotations has {FORM}"


def stranger_folder(folder: Path) -> str | None:
    """What a folder without VOC XML holds instead, the rest of a sentence; ``None`` where it holds none of all that."""
    if folder_problem(folder):
        return None
    suffixes = Counter(entry.suffix.lower() for entry in folder.iterdir())
    if suffixes[".xml"]:
        return None
    if suffixes[".json"]:
        return f"holds .json files (labelme writes those), but no VOC .xml; write one JSON file in {FORM}{_FOLDER}"
    if suffixes[".txt"]:
        return f"holds .txt files (YOLO has those), but no VOC .xml; write one JSON file in {FORM}{_FOLDER}"
    return None


def folder_in_place_of_file(folder: Path) -> str:
    """Why a folder cannot stand where a JSON file is named, the rest of a sentence."""
    if any(entry.suffix.lower() == ".xml" for entry in folder.iterdir()):
        return f"is a folder of VOC .xml files; say 'xml', and annotations: {printable(folder.name)}"
    return stranger_folder(folder) or f"is a folder, but 'masks', 'xml' or one JSON file is needed, in {FORM}"
