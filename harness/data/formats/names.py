"""Files that list names of classes: one name a line, YOLO's data.yaml, the categories of a COCO file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.files import file_problem, read_json, read_text
from harness.common.text import parse_yaml, printable
from harness.contract import DataError

if TYPE_CHECKING:
    from harness.data.formats.source import Asked

FILES = ("classes.txt", "obj.names", "labels.txt", "data.yaml", "data.yml", "dataset.yaml")
"""What such a file is called beside labels, or in a folder above them."""


def read_names(path: Path) -> tuple[str, ...]:
    """The names in the order of their numbers from 0; in COCO, in ascending category id.

    Raises:
        DataError: The file is missing or lists no names, or one twice.
    """
    where = printable(path)
    if path.suffix.lower() in (".yaml", ".yml"):
        names = _numbered(_field(parse_yaml(read_text(path, error=DataError), where=where, error=DataError), "names"))
    elif path.suffix.lower() == ".json":
        names = _categories(_field(read_json(path, error=DataError), "categories"))
    else:
        names = [line.strip() for line in read_text(path, error=DataError).splitlines() if line.strip()]
        names = [name for name in names if name != "__ignore__"]  # labelme's word for what is no class
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise DataError(f"{where}: lists no class names: one name a line, names in YAML, or categories of COCO")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{where}: class {printable(twice)!r} is listed twice")
    return tuple(names)


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _numbered(names: Any) -> list[Any]:
    """Names of a list, or of a mapping ``{0: name, 1: name}`` without gaps."""
    if isinstance(names, dict):
        try:
            numbered = {int(number): name for number, name in names.items()}
        except (TypeError, ValueError):
            return []
        return [numbered.get(number) for number in range(len(numbered))]  # a gap leaves one of them without a name
    return names if isinstance(names, list) else []


def _categories(entries: Any) -> list[Any]:
    try:
        return [entry["name"] for entry in sorted(entries, key=lambda entry: entry["id"])]
    except (TypeError, KeyError):
        return []


def class_list(path: Path) -> tuple[str, ...]:
    """The classes of a data set as a file lists them, with ``background`` before them unless it is the first.

    Raises:
        DataError: As ``read_names``.
    """
    names = read_names(path)
    return names if names[0].strip("_").casefold() == "background" else ("background", *names)


def numbered_names(asked: Asked) -> tuple[str, ...]:
    """The names behind class numbers of a source, from 0: stated, beside it or above it, else the data set's.

    Raises:
        DataError: A file of names lists none.
    """
    stated = asked.params.classes
    if isinstance(stated, list):
        return tuple(stated)
    if stated is not None:
        return read_names(asked.root / stated)
    folders = [asked.path, *asked.path.parents]
    last = folders.index(asked.root) if asked.root in folders else 1
    for folder in folders[: last + 1]:
        for name in FILES:
            if file_problem(folder / name) is None:
                return read_names(folder / name)
    return asked.classes[1:]
