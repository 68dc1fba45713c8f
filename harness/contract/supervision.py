"""The table of kinds of supervision, and what a method declares of them.

A kind is one member of ``Supervision``: its digests, the field of a data set and the meter bear its name, and legends,
letters of a row and annotation hours are made from its entry. What reads it is ``read`` of a data set and of a view.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from harness.contract.errors import ConfigError


@dataclass(frozen=True)
class Price:
    """What it costs to label one image, as published.

    Attributes:
        seconds: Human time per image, or per foreground class of an image.
        source: Where that is published, as a note under a table says it; empty where nobody labels anything.
        per: What ``seconds`` are counted for.
    """

    seconds: float
    source: str
    per: Literal["image", "class"] = "image"


_BEARMAN = "Bearman et al., ECCV 2016"
"""What's the Point: Semantic Segmentation with Point Supervision: 18.5 s for the absent classes of a VOC image."""
_PAPADOPOULOS = "7 s a box, Papadopoulos et al., ICCV 2017"
"""Extreme Clicking for Efficient Object Annotation; otherwise in Bearman's accounting, with 2.8 objects an image."""


@dataclass(frozen=True)
class Entry:
    """One line of the table.

    Attributes:
        name: Name of the kind in digests, in the meter and in fields of data sets.
        letter: What a row's supervision column shows: a capital, perhaps with small letters, that no other kind has.
        noun: What legends call it.
        price: Published labelling cost, ``None`` where there is none: no row that needs the kind has annotation hours.
        shortcut: The method of ``Dataset`` and ``View`` that reads it, where it has one of its own besides ``read``.
        names_classes: The labels of an image say which classes it shows, so whoever has them has tags for nothing.
    """

    name: str
    letter: str
    noun: str
    price: Price | None
    shortcut: str = ""
    names_classes: bool = True


class Supervision(StrEnum):
    """One kind of label of a training image.

    The order is the order of the letters in a table. Image access is free: every method sees the
    training images. The attributes are those of ``Entry``.
    """

    _value_: str
    letter: str
    noun: str
    price: Price | None
    shortcut: str
    names_classes: bool

    TAGS = Entry("tags", "I", "tags", Price(1.0, _BEARMAN, per="class"), shortcut="tags")
    BOXES = Entry("boxes", "B", "boxes", Price(18.5 + 2.8 * 7.0, _PAPADOPOULOS), shortcut="boxes")
    SALIENCY = Entry("saliency", "S", "saliency", Price(0.0, ""), shortcut="saliency", names_classes=False)
    POINTS = Entry("points", "P", "points", Price(22.1, _BEARMAN))
    SCRIBBLES = Entry("scribbles", "Sc", "scribbles", None)
    MASKS = Entry("masks", "F", "pixel masks", Price(239.7, _BEARMAN), shortcut="mask")

    def __new__(cls, entry: Entry | str) -> Supervision:
        """The member of an entry, equal to its name; a name alone, as in ``Supervision("tags")``, is only looked up."""
        assert isinstance(entry, Entry)
        kind = str.__new__(cls, entry.name)
        kind._value_ = entry.name
        kind.letter, kind.noun, kind.price = entry.letter, entry.noun, entry.price
        kind.shortcut, kind.names_classes = entry.shortcut, entry.names_classes
        return kind


def legend() -> str:
    """What the letters of a table mean, for example ``I tags, B boxes``, in the order of the table."""
    return ", ".join(f"{kind.letter} {kind.noun}" for kind in Supervision)


@dataclass(frozen=True, order=True)
class Need:
    """One declared kind of supervision.

    Attributes:
        kind: What is needed.
        fraction: Share of the training images for which it is needed, in (0, 1]. The images are
            chosen by a hash of their ids, alike for every method (see ``harness.data.views``).
        auxiliary: True when the labels belong to the auxiliary data set (other classes), not to
            the training images of the benchmark.
        instead: What the user can set where a data set has no such labels, for the error that says so.

    Raises:
        ConfigError: ``fraction`` lies outside (0, 1].
    """

    kind: Supervision
    fraction: float = 1.0
    auxiliary: bool = False
    instead: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not 0.0 < self.fraction <= 1.0:
            raise ConfigError(f"supervision fraction must be in (0, 1], got {self.fraction}")

    @property
    def letters(self) -> str:
        """For example ``I``, ``F18%``, ``F(aux)``."""
        share = "" if self.fraction == 1.0 else f"{100 * self.fraction:g}%"
        return self.kind.letter + share + ("(aux)" if self.auxiliary else "")


TAGS = Need(Supervision.TAGS)
BOXES = Need(Supervision.BOXES)
SALIENCY = Need(Supervision.SALIENCY)
POINTS = Need(Supervision.POINTS)
SCRIBBLES = Need(Supervision.SCRIBBLES)
MASKS = Need(Supervision.MASKS)


def masks(fraction: float) -> Need:
    """Pixel masks of a fixed ``fraction`` of the training images."""
    return Need(Supervision.MASKS, fraction)


def union(needs: Iterable[Need]) -> tuple[Need, ...]:
    """Merge needs into one for each (kind, auxiliary) pair, with the largest fraction, in letter order."""
    merged: dict[tuple[Supervision, bool], Need] = {}
    for need in needs:
        before = merged.get((need.kind, need.auxiliary))
        if before is None or need.fraction > before.fraction:
            merged[need.kind, need.auxiliary] = need
    order = list(Supervision)
    return tuple(sorted(merged.values(), key=lambda n: (n.auxiliary, order.index(n.kind))))


_LETTERS = re.compile(r"(?P<letter>[A-Z][a-z]*)(?:(?P<percent>\d{1,3}(?:\.\d{1,6})?)%)?(?P<auxiliary>\(aux\))?")


def parse_letters(text: str) -> tuple[Need, ...]:
    """The needs that ``letters`` writes as ``text``, for example of ``I+S``, ``B+F18%`` or ``none``.

    Raises:
        ConfigError: It is nothing that ``letters`` writes.
    """
    kinds = {kind.letter: kind for kind in Supervision}
    needs = []
    for part in [] if text == "none" else text.split("+"):
        found = _LETTERS.fullmatch(part)
        if found is None or found["letter"] not in kinds:
            raise ConfigError(
                f"supervision: {text!r}: {part!r} is no kind; write none, or letters with + between them: {legend()}"
            )
        share = float(found["percent"] or 100) / 100
        needs.append(Need(kinds[found["letter"]], share, auxiliary=bool(found["auxiliary"])))
    return union(needs)


def letters(needs: Iterable[Need]) -> str:
    """Supervision column of a table, for example ``I+S`` or ``B+F18%``; ``none`` when nothing is needed."""
    return "+".join(need.letters for need in union(needs)) or "none"


def with_networks(supervision: str, marks: Iterable[str]) -> str:
    """What ``letters`` writes, and the marks of networks that were trained elsewhere: for example ``I+L(CLIP)``."""
    return "+".join([*([] if supervision == "none" else [supervision]), *dict.fromkeys(marks)]) or "none"
