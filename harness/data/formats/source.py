"""What every format gives: records of labels by image, and what is wrong, in one sentence with file and line or field.

A source that is one file is parsed once, when it is first asked. A source that is a folder reads the file of an image
when that image is asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from harness.common.text import printable
from harness.contract import DataError
from harness.data.annotations import NamedBox
from harness.data.files import Folder, same_name
from harness.data.images import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from harness.contract.arrays import Mask
    from harness.data.folder_params import SourceParams


class Region(NamedTuple):
    """An outlined object: ``paint(size)`` gives its pixels, (H, W) uint8, 1 inside; ``text`` tells outlines apart."""

    name: str
    paint: Callable[[tuple[int, int]], Mask]
    text: str


class Record(NamedTuple):
    """What a source says about one image.

    Attributes:
        where: File, and where needed the place in it, for messages.
        tags: Names of what the image shows.
        boxes: Boxes as annotated, or the extents of outlines.
        regions: Outlined objects in the order in which they are painted.
        bare: Names of objects that have a box alone, of which a mask would know nothing.
        computed: Names whose boxes are extents of outlines: nobody drew them.
        size: (H, W) of the image as the source says it, ``None`` where it does not.
    """

    where: str
    tags: tuple[str, ...] = ()
    boxes: tuple[NamedBox, ...] = ()
    regions: tuple[Region, ...] = ()
    bare: tuple[str, ...] = ()
    computed: frozenset[str] = frozenset()
    size: tuple[int, int] | None = None


class Fault(NamedTuple):
    """One thing that is wrong in a file of many images; ``image_id`` where it concerns one of them."""

    image_id: str | None
    text: str


class ImageNames:
    """Finds the image that a file means by a name: ``cat.jpg``, ``images/cat.jpg`` and ``cat`` may all mean ``cat``.

    Args:
        ids: Ids of all images of the data set.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self._ids = frozenset(ids)

    def find(self, name: str) -> str | None:
        """The id, or ``None``; folders before the id and the suffix of an image do not count."""
        parts = PurePosixPath(same_name(name.replace("\\", "/"))).parts
        for first in range(len(parts)):
            path = PurePosixPath(*parts[first:])
            if str(path) in self._ids:
                return str(path)
            if path.suffix.lower() in IMAGE_SUFFIXES and str(path.with_suffix("")) in self._ids:
                return str(path.with_suffix(""))
        return None


@dataclass(frozen=True)
class Asked:
    """What the data set asks of a source, and what a source may ask of the data set.

    Attributes:
        path: The file or folder.
        params: Its further fields.
        root: Folder of the data set.
        images: Finds images by name.
        classes: Names of the data set's classes, the background first.
        known: Further names that mean a class.
        size: (H, W) of an image.
    """

    path: Path
    params: SourceParams
    root: Path
    images: ImageNames
    classes: tuple[str, ...]
    known: frozenset[str]
    size: Callable[[str], tuple[int, int]]


class Source(ABC):
    """Labels of many images in one format."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.path = asked.path

    @abstractmethod
    def failure(self) -> str | None:
        """Why the source as a whole cannot be read, in one sentence, or ``None``."""

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with single entries."""
        return ()

    @abstractmethod
    def silent(self, image_id: str) -> str | None:
        """That the source says nothing of the image, in one sentence, or ``None``; cheap."""

    def problem(self, image_id: str) -> str | None:
        """Why what it says of the image cannot be found, in one sentence, or ``None``; cheap."""
        silent = self.silent(image_id)
        if silent is None or self.asked.params.missing != "error":
            return None
        return f"{silent}; say missing: empty where such images show no class"

    def read(self, image_id: str) -> Record:
        """What the source says of the image.

        Raises:
            DataError: The entry is damaged.
        """
        if silent := self.silent(image_id):
            return Record(silent)
        return self._record(image_id)

    @abstractmethod
    def _record(self, image_id: str) -> Record:
        """``read`` of an image of which the source says something."""


class FileSource(Source):
    """One file that speaks of many images."""

    @abstractmethod
    def _parse(self, entries: Entries) -> None:
        """Put every entry of the file into ``entries``; raises ``DataError`` where the file cannot be read."""

    @cached_property
    def _entries(self) -> Entries:
        entries = Entries(self.asked)
        self._parse(entries)
        return entries

    def failure(self) -> str | None:
        """Says that the file cannot be read at all."""
        try:
            _ = self._entries
        except DataError as error:
            return str(error)
        return None

    def faults(self) -> tuple[Fault, ...]:
        """Entries that were left out."""
        return tuple(self._entries.faults)

    def silent(self, image_id: str) -> str | None:
        """Says that no entry is of the image."""
        return None if image_id in self._entries.records else f"{self.path}: nothing about image {image_id!r}"

    def _record(self, image_id: str) -> Record:
        return self._entries.records[image_id]


@dataclass
class Entries:
    """Collects the entries of a file by image.

    Attributes:
        records: By image id.
        faults: What is wrong with entries.
    """

    asked: Asked
    records: dict[str, Record] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    _called: dict[str, str] = field(default_factory=dict)
    _found: dict[str, str | None] = field(default_factory=dict)

    def fault(self, place: str, text: str, image_id: str | None = None) -> None:
        """Note what is wrong at a place of the file, for example ``line 3``."""
        self.faults.append(Fault(image_id, f"{printable(self.asked.path)}: {place}: {text}"))

    def image(self, name: str, place: str, *, once: bool = True) -> str | None:
        """The image that an entry names; ``None`` where the entry is to be left out.

        Args:
            name: As the file has it.
            place: Place of the entry.
            once: Each image may have one entry; else entries of one image add up, if they call it alike.
        """
        if name not in self._found:
            self._found[name] = self._find(name, place)
        image_id = self._found[name]
        if image_id is None:
            return None
        if once and image_id in self._called:
            self.fault(place, f"image {image_id!r} has an entry already", image_id)
            return None
        called = self._called.setdefault(image_id, name)
        if called != name:
            both = f"{printable(called)!r} and {printable(name)!r}"
            self.fault(place, f"{both} are both taken for image {image_id!r}", image_id)
            return None
        return image_id

    def _find(self, name: str, place: str) -> str | None:
        if not name.strip():
            self.fault(place, "names no image")
            return None
        image_id = self.asked.images.find(name)
        if image_id is None and self.asked.params.extra == "error":
            text = f"image {printable(name)!r} is in no image folder; say extra: skip where that is meant"
            self.fault(place, text)
        return image_id

    def add(self, image_id: str, place: str, *, tags: Iterable[str] = (), boxes: Iterable[NamedBox] = ()) -> None:
        """Add labels to the record of an image."""
        old = self.records.get(image_id) or Record(f"{printable(self.asked.path)}: {place}")
        boxes = tuple(boxes)
        names = dict.fromkeys((*old.tags, *tags, *(box.name for box in boxes)))
        self.records[image_id] = old._replace(tags=tuple(names), boxes=old.boxes + boxes)


class FolderSource(Source):
    """A folder with one file for each image."""

    suffixes: tuple[str, ...]

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.folder = Folder(asked.path, self.suffixes)
        self._last: tuple[str, Record] | None = None

    def file(self, image_id: str) -> Path:
        """The file of an image."""
        return self.folder.path(image_id + self.asked.params.suffix)

    def failure(self) -> str | None:
        """Says that there is no folder."""
        return self.folder.failure()

    def silent(self, image_id: str) -> str | None:
        """Says that there is no file of the image."""
        name = image_id + self.asked.params.suffix
        return None if self.folder.holds(name) else self.folder.problem(name)

    def problem(self, image_id: str) -> str | None:
        """Says that there is no file of the image, or more than one."""
        return super().problem(image_id) or (
            None if self.silent(image_id) else self.folder.problem(image_id + self.asked.params.suffix)
        )

    def read(self, image_id: str) -> Record:
        """What the file of the image says; the last one is remembered, for tags and boxes are asked in turn."""
        if self._last is None or self._last[0] != image_id:
            self._last = image_id, super().read(image_id)
        return self._last[1]


def objects(
    where: str,
    boxes: Iterable[NamedBox],
    regions: Mapping[int, Region] = {},  # never changed
    *,
    size: tuple[int, int] | None = None,
    tags: Iterable[str] = (),
) -> Record:
    """The record of an image whose objects have a box each, and some an outline.

    Args:
        where: Place for messages.
        boxes: Of all objects.
        regions: Number of an object in ``boxes`` -> its outline, whose extent its box is.
        size: (H, W) as the file says it.
        tags: Names without a box.
    """
    boxes = tuple(boxes)
    names = dict.fromkeys((*(box.name for box in boxes), *tags))
    bare = tuple(dict.fromkeys(box.name for number, box in enumerate(boxes) if number not in regions))
    computed = frozenset(region.name for region in regions.values())
    return Record(where, tuple(names), boxes, tuple(regions.values()), bare, computed, size)
