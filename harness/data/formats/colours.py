"""Tables of colours: which class a colour of a mask is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.common.files import read_text
from harness.common.text import printable
from harness.contract import DataError
from harness.data.formats.columns import NAMES, column

Colour = tuple[int, int, int]

_CHANNELS = (("r", "g", "b"), ("red", "green", "blue"))
_HEX = re.compile(r"#?([0-9a-fA-F]{6})")


def read_colours(stated: str | Mapping[str, Any], root: Path) -> dict[Colour, str]:
    """Colour -> name, of a mapping or of a file below ``root``.

    A file has the columns name, r, g, b (as CamVid's ``class_dict.csv``), or in each line three numbers and a name, in
    either order.

    Raises:
        DataError: The file is missing, or a colour is malformed or stands for two names.
    """
    where = "colours" if not isinstance(stated, str) else printable(root / stated)
    table: dict[Colour, str] = {}
    for place, name, value in _listed(stated) if not isinstance(stated, str) else _lines(root / stated):
        colour = parse_colour(value)
        if colour is None:
            raise DataError(
                f"{where}: {place}: a colour is [r, g, b] from 0 to 255 or '#rrggbb', got {printable(value)}"
            )
        if table.setdefault(colour, name) != name:
            raise DataError(f"{where}: {place}: colour {list(colour)} is already that of {printable(table[colour])!r}")
    if not table:
        raise DataError(f"{where}: no colour is listed")
    return table


def parse_colour(value: Any) -> Colour | None:
    """A colour as three numbers, or ``None``."""
    if isinstance(value, str):
        found = _HEX.fullmatch(value)
        return None if found is None else (int(found[1][:2], 16), int(found[1][2:4], 16), int(found[1][4:], 16))
    if not isinstance(value, list) or len(value) != 3:
        return None
    if not all(type(number) is int and 0 <= number <= 255 for number in value):
        return None
    return value[0], value[1], value[2]


def _listed(stated: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for name, value in stated.items():
        several = isinstance(value, list) and not all(isinstance(item, int) for item in value)
        for colour in value if several else [value]:
            yield name, name, colour


def _lines(path: Path) -> Iterator[tuple[str, str, Any]]:
    """Place, name and colour of each line of a file."""
    lines = [line for line in read_text(path, error=DataError).splitlines() if line.strip()]
    split = [re.split(r"\s*[,;\t]\s*|\s{2,}", line.strip()) for line in lines]
    header = split[0] if split else []
    name = column(header, NAMES)
    found = [column(header, (a, b)) for a, b in zip(*_CHANNELS, strict=True)]
    if name is not None and None not in found:
        for number, words in enumerate(split[1:], start=2):
            row = dict(zip(header, words, strict=False))
            yield f"line {number}", row.get(name, ""), _numbers([row.get(str(channel), "") for channel in found])
        return
    for number, line in enumerate(lines, start=1):
        words = re.split(r"[\s,;]+", line.strip())
        front, back = _numbers(words[:3]), _numbers(words[-3:])
        if isinstance(front, list) and len(words) > 3:
            yield f"line {number}", " ".join(words[3:]), front
        else:
            yield f"line {number}", " ".join(words[:-3]), back


def _numbers(words: list[str]) -> list[int] | str:
    """Whole numbers; the words as they are where one is none."""
    whole = all(word.isascii() and word.isdigit() and len(word) < 4 for word in words)
    return [int(word) for word in words] if whole else " ".join(words)
