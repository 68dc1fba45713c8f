"""Files of labels: which there are, of which images they speak, and which names they hold."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from harness.common.files import read_text
from harness.common.text import one_line
from harness.contract import DataError
from harness.data.folder_params import SourceParams
from harness.data.formats import FORMATS, Asked, ImageNames, Source, recognise
from harness.data.formats.names import FILES, read_names
from harness.data.images import read_header
from harness.data.propose.classes import TABLES
from harness.data.propose.pictures import match
from harness.data.propose.tree import Tree, split_of

_OF_EACH_IMAGE = {"voc": ".xml", "yolo": ".txt", "labelme": ".json"}
_OF_ALL = (".csv", ".tsv", ".json", ".npy", ".xml")
_DEEPEST = 3
"""Folders below the root in which a file of all images is looked for."""


@dataclass(frozen=True)
class Labels:
    """One source, and what it says of the images.

    Attributes:
        path: File or folder below the root.
        format: Name of the format.
        fields: Further fields of the source in the data set file.
        tagged: Images of which it says something.
        names: Names that occur, in order of first appearance.
        boxed: Images with a box.
        outlined: Images of which every object has an outline.
        split: ``train`` or ``val`` where the name of the file says so.
        notes: What is to be said about it.
    """

    path: str
    format: str
    fields: Mapping[str, Any]
    tagged: frozenset[str]
    names: tuple[str, ...]
    boxed: frozenset[str]
    outlined: frozenset[str]
    split: str | None = None
    notes: tuple[str, ...] = ()

    def stated(self) -> dict[str, Any]:
        """The source as the data set file writes it."""
        return {"path": self.path or ".", "format": self.format, **self.fields}


@dataclass
class Finder:
    """Opens the sources below a folder.

    Attributes:
        tree: What is there.
        images: Id -> path of all images.
        notes: Files that look like labels and cannot be read.
    """

    tree: Tree
    images: Mapping[str, str]
    notes: list[str] = field(default_factory=list)

    def find(self) -> list[Labels]:
        """All sources that speak of an image, those of single images first."""
        found = [self._open(*place) for place in (*self._folders(), *self._files())]
        return [labels for labels in found if labels is not None and labels.tagged]

    def _folders(self) -> Iterator[tuple[str, str, str | None]]:
        """Folders with a file for each image: path, format, split."""
        by_split: dict[str | None, list[str]] = {}
        for image_id, path in self.images.items():
            by_split.setdefault(split_of(str(PurePosixPath(path).parent)), []).append(image_id)
        for name, suffix in _OF_EACH_IMAGE.items():
            paths = [path for path in self.tree.paths(suffix) if PurePosixPath(path).name not in FILES]
            told = set()
            for split, ids in by_split.items():
                found = match(paths, ids)
                if found is not None and found.folder not in told:
                    told.add(found.folder)
                    yield found.folder, name, split

    def _files(self) -> Iterator[tuple[str, str, str | None]]:
        """Files of all images: path, format, split."""
        stems = {PurePosixPath(path).stem for path in self.images.values()}
        for path in self.tree.paths(*_OF_ALL):
            pure = PurePosixPath(path)
            if pure.stem in stems or len(pure.parts) > _DEEPEST + 1 or pure.name.lower() in TABLES:
                continue
            name = recognise(self.tree.root / path)
            if name is not None and name in FORMATS:
                split = split_of(pure.name)
                yield path, name, "val" if split == "test" else split

    def _open(self, path: str, name: str, split: str | None) -> Labels | None:
        """The source, or ``None`` for a file that is none; a note says so where it looks like one."""
        tries: Sequence[tuple[dict[str, Any], frozenset[str]]] = (({}, frozenset()),)
        if name == "yolo":
            tries = ((self._numbered(path), frozenset()),)
        elif name == "csv":
            tries = (({}, frozenset()), ({"units": "fraction"}, frozenset()), ({}, self._header(path)))
        problems = []
        for fields, known in tries:
            try:
                labels, problem = self._read(path, name, fields, known), None
            except DataError as error:
                labels, problem = None, str(error)
            if labels is not None:
                return Labels(**{**vars(labels), "split": split})
            problems += [problem] if problem else []
        if problems and name != "json":  # settings of any program are JSON
            self.notes.append(f"{path}: is not used: {one_line(problems[0])[:300]}")
        return None

    def _read(self, path: str, name: str, fields: dict[str, Any], known: frozenset[str]) -> Labels | None:
        """What the source says of every image; ``None`` where its boxes are fractions and the fields do not say so."""
        params = SourceParams(path=path or ".", format=name, **fields)  # type: ignore[arg-type]  # a known name
        asked = Asked(
            self.tree.root / path, params, self.tree.root, ImageNames(self.images), tuple(known), known, self._size
        )
        source = FORMATS[name].open(asked)
        if failure := source.failure():
            raise DataError(failure)
        faults = source.faults()
        if any("units: fraction" in fault.text for fault in faults):
            return None
        said = [image_id for image_id in self.images if source.silent(image_id) is None]
        extra = sum("is in no image folder" in fault.text for fault in faults)
        notes = [f"{path}: names {extra} images that are in no image folder; they are skipped"] if extra else []
        fields = {**fields, "extra": "skip"} if extra else fields
        found, damaged = _contents(source, said)
        if damaged:
            notes.append(f"{path}: {len(damaged)} entries cannot be read, first: {damaged[0]}")
        return Labels(path, name, fields, frozenset(said), *found, notes=tuple(notes))

    def _size(self, image_id: str) -> tuple[int, int]:
        return read_header(self.tree.root / self.images[image_id]).size

    def _header(self, path: str) -> frozenset[str]:
        """Columns of a table, which may be the classes."""
        lines = read_text(self.tree.root / path, error=DataError).splitlines()
        line = next((line for line in lines if line.strip()), "")
        return frozenset(next(csv.reader([line], delimiter=max(",;\t", key=line.count)), []))

    def _numbered(self, folder: str) -> dict[str, Any]:
        """Names behind the numbers of YOLO: none where a file lists them, else ``class_0``, ``class_1``, ..."""
        if names_file(self.tree, folder) is not None:
            return {}
        highest = -1
        prefix = f"{folder}/" if folder else ""
        for path in self.tree.paths(".txt"):
            if path.startswith(prefix):
                highest = max(highest, *_numbers(self.tree.root / path))
        return {"classes": [f"class_{number}" for number in range(highest + 1)]}


def _numbers(path: Path) -> Iterator[int]:
    """Class numbers of a file of YOLO; at least -1."""
    yield -1
    try:
        lines = read_text(path, error=DataError).splitlines()
    except DataError:  # the data set names it as a defect
        return
    words = (line.split(maxsplit=1)[0] for line in lines if line.strip())
    yield from (int(word) for word in words if word.isascii() and word.isdigit() and len(word) < 4)


def names_file(tree: Tree, folder: str) -> str | None:
    """The file of class names that counts for labels in ``folder``: in it, or the nearest above it."""
    pure = PurePosixPath(folder)
    for place in (pure, *pure.parents) if folder else (PurePosixPath("."),):
        held = tree.folders.get("" if str(place) == "." else str(place), ())
        for name in FILES:
            if name in held:
                return name if str(place) == "." else f"{place}/{name}"
    return None


def listed_names(tree: Tree, folder: str = "") -> tuple[str, ...]:
    """The class names of ``names_file``; none where there is no such file, or it lists none."""
    path = names_file(tree, folder)
    try:
        return () if path is None else read_names(tree.root / path)
    except DataError:
        return ()


def _contents(
    source: Source, ids: Iterable[str]
) -> tuple[tuple[tuple[str, ...], frozenset[str], frozenset[str]], list[str]]:
    """Names, images with boxes, images with outlines alone; and what cannot be read."""
    names: dict[str, None] = {}
    boxed, outlined, damaged = set(), set(), []
    for image_id in ids:
        try:
            record = source.read(image_id)
        except DataError as error:
            damaged.append(one_line(error)[:300])
            continue
        names |= dict.fromkeys(record.tags)
        if record.boxes:
            boxed.add(image_id)
        if not record.bare:
            outlined.add(image_id)
    drawn = outlined if any(map(partial(_has_region, source), outlined)) else frozenset()
    return (tuple(names), frozenset(boxed), frozenset(drawn)), damaged


def _has_region(source: Source, image_id: str) -> bool:
    return bool(source.read(image_id).regions)
