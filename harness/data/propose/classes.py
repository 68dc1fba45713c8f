"""What masks hold, and what it is called."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import numpy as np

from harness.common.files import read_text
from harness.common.text import printable
from harness.contract import IGNORE, DataError
from harness.data.check_report import by_hash
from harness.data.formats.colours import read_colours
from harness.data.images import opened, read_plane
from harness.data.picture_masks import read_colours as read_colour_plane
from harness.data.propose.tree import Tree

Ask = Callable[[str, str], str]
"""Asks a question with a default answer; whoever wants no questions gives the default."""

VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""Mask ids of PASCAL VOC."""

BACKGROUND, OBJECT = "background", "object"

LOOKED_AT = 1000
"""Masks that are read to find out which ids or colours there are, chosen by a hash of their names."""

_QUESTIONS = 40
"""Ids or colours whose names are asked; a longer list is better written in the file."""

TABLES = ("class_dict.csv", "labelmap.txt", "label_colors.txt", "label_colours.txt", "colors.txt", "colormap.txt")

Kind = Literal["png", "binary", "rgb"]


@dataclass(frozen=True)
class Held:
    """What the masks of a data set hold.

    Attributes:
        kind: How they are to be read.
        values: Id (a colour as r * 65536 + g * 256 + b) -> number of masks that hold it, ascending.
        masks: Masks that were read.
        complete: No mask was left unread.
    """

    kind: Kind
    values: Mapping[int, int]
    masks: int
    complete: bool


def look_at_masks(tree: Tree, paths: Sequence[str]) -> Held | None:
    """What the masks hold; ``None`` where none can be read."""
    chosen = sorted(paths, key=by_hash)[:LOOKED_AT]
    ids: Counter[int] = Counter()
    colours: Counter[int] = Counter()
    count = {"ids": 0, "colours": 0}
    for path in chosen:
        try:
            with opened(tree.root / path) as picture:
                coloured = picture.mode in ("RGB", "RGBA")
            if coloured:
                plane = read_colour_plane(tree.root / path).astype(np.int64)
                plane = plane[..., 0] << 16 | plane[..., 1] << 8 | plane[..., 2]
            else:
                plane = read_plane(tree.root / path).astype(np.int64)
        except DataError:  # the data set names it as a defect
            continue
        (colours if coloured else ids).update(np.unique(plane).tolist())
        count["colours" if coloured else "ids"] += 1
    if not any(count.values()):
        return None
    rgb = count["colours"] > count["ids"]
    values = dict(sorted((colours if rgb else ids).items()))
    held = [value & 255 for value in values] if rgb else list(values)
    grey = not rgb or all(value == (value & 255) * 0x010101 for value in values)
    two = grey and len(values) == 2 and set(held) in ({0, 255}, {0, 1})
    return Held("binary" if two else "rgb" if rgb else "png", values, len(chosen), len(chosen) == len(paths))


@dataclass(frozen=True)
class Classes:
    """The classes of a data set.

    Attributes:
        stated: The field ``classes``: names in order, or name -> mask id.
        colours: Of masks in colour: name -> [r, g, b]; or the path of a file.
        notes: What could not be told, for the reader of the file.
        masks: Whether masks can be read with these classes.
        ignore_ids: Mask ids that are ignored, ``None`` = as usual.
    """

    stated: list[str] | dict[str, int]
    colours: dict[str, list[int]] | str | None = None
    notes: tuple[str, ...] = ()
    masks: bool = True

    @property
    def names(self) -> list[str]:
        """In order, the background first."""
        return list(self.stated)


def name_classes(tree: Tree, held: Held | None, names: Sequence[str], listed: Sequence[str], ask: Ask) -> Classes:
    """Classes from what masks hold and labels name.

    Args:
        tree: Where tables of colours are looked for.
        held: What the masks hold, ``None`` where there are none.
        names: Names in files of labels.
        listed: Names in a file of class names, in order.
        ask: Asked for names that nothing tells.
    """
    foreground = _foreground(listed) if set(names) <= set(listed) else sorted(_foreground(names))
    if held is None:
        if foreground:
            return Classes([BACKGROUND, *foreground])
        return _unlabelled(ask)
    if held.kind == "binary":
        return _of_binary(foreground, ask)
    if held.kind == "rgb":
        return _of_colours(tree, held, foreground, ask)
    return _of_ids(held, foreground, listed, ask)


def _foreground(names: Sequence[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if not is_background(name)]


def is_background(name: str) -> bool:
    """Whether a name means the background."""
    return name.strip("_ ").casefold() in ("background", "bg", "backgrounds")


def _unlabelled(ask: Ask) -> Classes:
    answer = ask("Nothing names a class. Which classes do the images show, separated by commas?", OBJECT)
    names = _foreground([name.strip() for name in answer.split(",") if name.strip()]) or [OBJECT]
    return Classes([BACKGROUND, *names], notes=("no label names a class; write the names of your classes here",))


def _of_binary(foreground: Sequence[str], ask: Ask) -> Classes:
    if len(foreground) > 1:
        note = f"the masks know one class, the labels {len(foreground)}; so the masks are left out"
        return Classes([BACKGROUND, *foreground], notes=(note,), masks=False)
    if foreground:
        return Classes([BACKGROUND, foreground[0]])
    name = ask("The masks are binary. What do they show?", OBJECT).strip() or OBJECT
    notes = () if name != OBJECT else ("nothing says what the masks show; write its name in place of object",)
    return Classes([BACKGROUND, name], notes=notes)


def _of_ids(held: Held, foreground: Sequence[str], listed: Sequence[str], ask: Ask) -> Classes:
    """Classes of masks of ids: by a list of names, by the ids of PASCAL VOC, in order, or asked one by one."""
    ids = [value for value in held.values if value != IGNORE]
    if not ids or max(ids) > IGNORE:
        return Classes([BACKGROUND, *(foreground or [OBJECT])], notes=("the masks hold no ids of 8 bits",), masks=False)
    part = () if held.complete else (f"ids of {held.masks} masks; others may hold more, which the check will name",)
    shown = [value for value in ids if value]
    if listed and max(ids) < len(listed) and is_background(listed[0]):
        return Classes(_numbered(listed), notes=part)
    voc = {name: number for number, name in enumerate(VOC) if not number or name in foreground}
    if foreground and set(foreground) <= set(VOC) and set(ids) <= set(voc.values()):
        return Classes(voc, notes=part)
    if foreground and max(shown, default=0) <= len(foreground):
        note = "which id is which class is a guess, in the order of the names; compare with the page of the check"
        sure = bool(listed) and list(foreground) == _foreground(listed)
        return Classes(_numbered([BACKGROUND, *foreground]), notes=(*(() if sure else (note,)), *part))
    if foreground and len(shown) != len(foreground):
        note = f"the masks hold {len(shown)} ids and the labels name {len(foreground)} classes; the masks are left out"
        return Classes([BACKGROUND, *foreground], notes=(note,), masks=False)
    names = [BACKGROUND]
    for number, value in enumerate(shown):
        default = foreground[number] if foreground else f"class_{value}"
        question = f"Mask id {value} is in {held.values[value]} of {held.masks} masks. What is it?"
        names.append(_free(ask(question, default) if len(shown) <= _QUESTIONS else default, names, default))
    if IGNORE in held.values and not foreground:
        part = (
            *part,
            f"id 255 is in {held.values[IGNORE]} of {held.masks} masks; it is ignored, unless a class has it",
        )
    guessed = any(name == f"class_{value}" for name, value in zip(names[1:], shown, strict=True))
    notes = ("nothing names the ids of the masks; write the names of your classes here",) if guessed else ()
    return Classes(dict(zip(names, [0, *shown], strict=True)), notes=(*notes, *part))


def _numbered(names: Sequence[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}


def _free(name: str, taken: Sequence[str], default: str) -> str:
    """A name that no class has yet."""
    name = name.strip() or default
    return default if name in taken or name == "ignore" else name


def _of_colours(tree: Tree, held: Held, foreground: Sequence[str], ask: Ask) -> Classes:
    found = _table(tree)
    if found is not None:
        path, table = found
        names = list(dict.fromkeys(table.values()))
        first = next((name for name in names if is_background(name)), None)
        order = [first or BACKGROUND, *(name for name in names if name != first)]
        notes = () if first else (f"{path} has no background; a first class without colour was added",)
        lacking = [name for name in foreground if name not in order]
        if lacking:
            notes = (*notes, f"the labels name {', '.join(map(printable, lacking[:5]))}, which {path} does not have")
        colours = {name: [list(colour) for colour, own in table.items() if own == name] for name in names}
        return Classes(order, {name: own[0] if len(own) == 1 else own for name, own in colours.items()}, notes)  # type: ignore[misc]
    return _unnamed_colours(held, foreground, ask)


def _table(tree: Tree) -> tuple[str, dict[tuple[int, int, int], str]] | None:
    """The first file that lists names of colours."""
    for path in tree.paths(".csv", ".txt"):
        if PurePosixPath(path).name.lower() not in TABLES:
            continue
        try:
            if PurePosixPath(path).name.lower() == "labelmap.txt":
                table = _labelmap(read_text(tree.root / path, error=DataError))
            else:
                table = read_colours(path, tree.root)
        except DataError:
            continue
        if table:
            return path, table
    return None


def _labelmap(text: str) -> dict[tuple[int, int, int], str]:
    """Colours of CVAT's ``name:r,g,b:parts:actions``."""
    found = {}
    for line in text.splitlines():
        parts = re.fullmatch(r"([^#:][^:]*):(\d{1,3}),(\d{1,3}),(\d{1,3}):.*", line.strip())
        if parts:
            found[int(parts[2]), int(parts[3]), int(parts[4])] = parts[1].strip()
    return found


def _unnamed_colours(held: Held, foreground: Sequence[str], ask: Ask) -> Classes:
    """Each colour a class; black is the background."""
    colours = [value for value in held.values if value]
    if len(colours) > IGNORE - 2:
        note = f"the masks hold {len(colours) + 1} colours, as after smoothing; they are left out"
        return Classes([BACKGROUND, *(foreground or [OBJECT])], notes=(note,), masks=False)
    names = [BACKGROUND]
    for number, value in enumerate(colours):
        text = f"#{value:06x}"
        default = foreground[number] if len(foreground) == len(colours) else f"colour_{value:06x}"
        question = f"Colour {text} is in {held.values[value]} of {held.masks} masks. What is it?"
        names.append(_free(ask(question, default) if len(colours) <= _QUESTIONS else default, names, default))
    table = {
        name: [value >> 16, value >> 8 & 255, value & 255] for name, value in zip(names, [0, *colours], strict=True)
    }
    notes = ["no table names the colours; write the names of your classes here and in colours"]
    if any(name != f"colour_{value:06x}" for name, value in zip(names[1:], colours, strict=True)):
        notes = ["the names of the colours are a guess"] if len(foreground) == len(colours) else []
    return Classes(names, table, tuple(notes))
