"""Lists of ids and folders of files; whatever is wrong becomes a ``Defect``, one for each cause."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.common.files import folder_problem, read_text
from harness.common.text import printable
from harness.contract import DataError, NoSupervision
from harness.data.images import IMAGE_SUFFIXES

_LINE_END = re.compile(r"\r\n|\r|\n")
_JSON = re.compile(r'\s*(\{\s*"|\[\s*[{\["])')
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Defect:
    """One thing that is wrong with a data set.

    Attributes:
        kind: What was being read: ``list``, ``image``, ``mask``, ``tags``, ``boxes`` or ``saliency``.
        split: ``train``, ``val`` or ``auxiliary train``.
        image_id: Image concerned, ``None`` for a list as a whole.
        message: One sentence that names the file.
        region: Left, top, right and bottom of what lies outside the image, in its pixels, where that is the defect.
    """

    kind: str
    split: str
    image_id: str | None
    message: str
    region: tuple[float, float, float, float] | None = None


class OutsideImage(DataError):
    """A box or a point that does not lie in its image.

    Attributes:
        region: Left, top, right and bottom as annotated; ``None`` where they are no finite numbers.
    """

    def __init__(self, message: str, region: tuple[float, float, float, float] | None = None) -> None:
        super().__init__(message)
        self.region = region if region is not None and all(map(math.isfinite, region)) else None


class NoMask(NoSupervision):
    """An image that has no mask by design, such as one whose annotations are boxes alone; no defect."""


def no_mask(name: str, split: str) -> NoMask:
    """What is raised for a mask of a split of data set ``name`` that is described as one without masks."""
    return NoMask(f"data set {name!r} has no masks for its {split} images; {STATED}")


STATED = "its file says so (none in a field of masks), so leave out what needs them"
"""Why such a split has no masks, as the end of a sentence."""


def same_name(text: str) -> str:
    """A name in the one Unicode form in which names are compared: ``é`` as one character, or as two, are equal."""
    return unicodedata.normalize("NFC", text)


def read_ids(path: Path, *, split: str) -> tuple[tuple[str, ...], list[Defect]]:
    """The ids of a list, one per line, and what is wrong with the list; lines that are wrong are left out.

    Blanks around an id do not belong to it; blanks inside, ``#`` and letters of any script do.
    """
    try:
        text = read_text(path, error=DataError)
    except DataError as error:
        return (), [Defect("list", split, None, str(error))]
    lines = [same_name(line.strip()) for line in _LINE_END.split(text.rstrip("\r\n"))]
    if not any(lines):
        return (), [Defect("list", split, None, f"{path}: the list is empty")]
    if _JSON.match(text):
        other = "is JSON, but a list has one id per line; a COCO file is read by `name: coco`"
        return (), [Defect("list", split, None, f"{path}: {other}")]
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
    if not line:
        return "blank line"
    shown = repr(printable(line if len(line) <= 80 else f"{line[:80]}..."))
    if _CONTROL.search(line):
        return f"an id holds no control characters, got {shown}"
    if line in first:
        return f"{line} is already on line {first[line]}"
    pure = PurePosixPath(line)
    if pure.is_absolute() or ".." in pure.parts:
        return f"an id must stay inside the image folder, got {shown}"
    if str(pure) != line or line == ".":
        return f"an id has no needless '.' or '/', got {shown}"
    return None


def misread_lines(
    ids: tuple[str, ...], is_image: Callable[[str], bool], path: Path, *, split: str
) -> tuple[tuple[str, ...], list[Defect]]:
    """The ids that are no other kind of line, and one defect for each other kind: file names, paths, columns.

    A line is of another kind when it names no image, but a part of it does.

    Args:
        ids: What ``read_ids`` gave.
        is_image: Whether an id has an image.
        path: The list, for messages.
        split: Split of the list.
    """
    kinds: dict[str, list[tuple[str, str]]] = {}
    kept = []
    for line in ids:
        meant = None if is_image(line) else next((r for r in _readings(line) if is_image(r[0])), None)
        if meant is None:
            kept.append(line)
        else:
            image_id, kind = meant
            kinds.setdefault(kind, []).append((line, image_id))
    defects = []
    for kind, lines in kinds.items():
        line, image_id = lines[0]
        more = f" ({len(lines)} lines are like this)" if len(lines) > 1 else ""
        problem = f"{printable(line)!r} is {kind}, but a list has one id per line, here {image_id!r}{more}"
        defects.append(Defect("list", split, None, f"{path}: {problem}"))
    return tuple(kept), defects


def _readings(line: str) -> Iterator[tuple[str, str]]:
    """What a line could mean besides an id: (id, what the line is then), the most literal first."""
    yield from _without_suffix(line, "the name of a file")
    columns = re.split(r"\s*[,;\t ]\s*", line)
    if len(columns) > 1:
        flagged = len(columns) == 2 and columns[1] in ("-1", "0", "1")
        kind = "an id with a flag, as in VOC's ImageSets/Main" if flagged else f"a row of {len(columns)} columns"
        yield columns[0], kind
        yield from _without_suffix(columns[0], kind)
        yield from _without_folder(columns[0], kind)
    yield from _without_folder(line, "a path")


def _without_suffix(text: str, kind: str) -> Iterator[tuple[str, str]]:
    path = PurePosixPath(text)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        yield str(path.with_suffix("")), kind


def _without_folder(text: str, kind: str) -> Iterator[tuple[str, str]]:
    path = PurePosixPath(text.replace("\\", "/"))
    if len(path.parts) > 1:
        yield path.name, kind
        yield from _without_suffix(path.name, kind)


class Folder:
    """The files of a folder by image id; each directory is listed once.

    Args:
        root: The folder; an id may hold sub-folders (``town/frame_1``).
        suffixes: Suffixes that count, compared without case.
    """

    def __init__(self, root: Path, suffixes: tuple[str, ...]) -> None:
        self.root = root
        self._suffixes = suffixes
        self._listed: dict[str, dict[str, list[str]]] = {}

    def path(self, image_id: str) -> Path:
        """The file of ``image_id``; ask ``problem`` first."""
        return self.root / self._names(image_id)[0]

    def holds(self, image_id: str) -> bool:
        """Whether ``image_id`` has a file here, or several."""
        return bool(self._names(image_id))

    def failure(self) -> str | None:
        """Why nothing can be found here, in one sentence, or ``None``."""
        problem = folder_problem(self.root)
        return problem and f"{printable(self.root)}: {problem}"

    def problem(self, image_id: str) -> str | None:
        """Why ``image_id`` has no file here, in one sentence, or ``None`` when it has exactly one."""
        names = self._names(image_id)
        if len(names) == 1:
            return None
        expected = printable(self.root / f"{image_id}{self._suffixes[0]}")
        if names:
            return f"{expected}: ambiguous, there are {' and '.join(map(printable, names))}"
        others = f" (nor {', '.join(self._suffixes[1:])})" if len(self._suffixes) > 1 else ""
        other = "".join(f"; {printable(name)} is of another format" for name in self._of_any_suffix(image_id)[:1])
        return f"{expected}: no such file{others}{other}"

    def _names(self, image_id: str) -> list[str]:
        names = [n for n in self._of_any_suffix(image_id) if n[n.rfind(".") :].lower() in self._suffixes]
        parent = image_id.rpartition("/")[0]
        return [f"{parent}/{name}" for name in names] if parent else names

    def _of_any_suffix(self, image_id: str) -> list[str]:
        parent, _, stem = image_id.rpartition("/")
        if parent not in self._listed:
            names: dict[str, list[str]] = {}
            if folder_problem(self.root / parent) is None:
                for name in sorted(entry.name for entry in (self.root / parent).iterdir()):
                    names.setdefault(same_name(name.rpartition(".")[0]), []).append(name)
            self._listed[parent] = names
        return self._listed[parent].get(same_name(stem), [])
