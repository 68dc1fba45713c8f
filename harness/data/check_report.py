"""What ``harness.data.checking`` finds in a data set."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.data.files import Defect


@dataclass(frozen=True)
class ClassCount:
    """How often one class occurs.

    Attributes:
        name: Class name.
        images: Images whose mask shows it; ``None`` where the split has no masks.
        tagged: Images that are tagged with it.
        boxes: Boxes of it.
        pixels: Pixels of it; ``None`` where the split has no masks.
        marks: Labels of it of each further kind that the data set has: points, or pixels of a map of classes.
    """

    name: str
    images: int | None
    tagged: int
    boxes: int
    pixels: int | None
    marks: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class SizeCount:
    """How many images have one size.

    Attributes:
        height: In pixels.
        width: In pixels.
        images: Images of this size.
    """

    height: int
    width: int
    images: int


@dataclass(frozen=True)
class SplitReport:
    """One split.

    Attributes:
        split: ``train``, ``val`` or ``auxiliary train``.
        images: Images whose files are all there.
        classes: Counts by class index.
        ignored_pixels: Pixels that are neither trained on nor scored; ``None`` where the split has no masks.
        sizes: Sizes of the images that could be read, the most frequent first.
        examples: An image that is tagged with it for each class that has one, chosen by a hash of the names.
    """

    split: str
    images: int
    classes: tuple[ClassCount, ...]
    ignored_pixels: int | None
    sizes: tuple[SizeCount, ...] = ()
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckReport:
    """What ``check`` found.

    Attributes:
        name: Name of the data set.
        splits: One report for each split.
        defects: What must be repaired.
        notices: What is worth knowing: tags and mask that disagree, equal boxes, classes that never occur.
        made_from_masks: Kinds of supervision, points or scribbles, that a rule makes from training masks.
    """

    name: str
    splits: tuple[SplitReport, ...]
    defects: tuple[Defect, ...]
    notices: tuple[Defect, ...]
    made_from_masks: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """True without defects."""
        return not self.defects

    def as_dict(self) -> dict[str, Any]:
        """The report as nested dictionaries and lists."""
        return asdict(self) | {"clean": self.clean}


def causes(items: Iterable[Defect]) -> list[list[Defect]]:
    """Defects or notices by what caused them: those of one split whose messages differ in names and numbers alone."""
    alike: dict[tuple[str, str], list[Defect]] = {}
    for item in items:
        name = rf"(?<!\w){re.escape(item.image_id)}(?!\w)" if item.image_id else "$"
        message = re.sub(name, "", item.message)
        cause = re.sub(r"\d+(\.\d+)?", "#", re.sub(r"/\S+", "/", message))
        alike.setdefault((item.split, cause), []).append(item)
    return list(alike.values())


def by_hash(image_id: str) -> bytes:
    """Images in this order are a sample that nobody picked."""
    return hashlib.sha256(f"sample:{image_id}".encode("utf-8", "surrogateescape")).digest()
