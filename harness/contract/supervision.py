"""Kinds of supervision, with the letters that the field uses, and what a method declares of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from harness.contract.errors import ConfigError


class Supervision(StrEnum):
    """One kind of label of a training image.

    The order is the order of the letters in a table. Image access is free: every method sees the
    training images.
    """

    TAGS = "tags"
    BOXES = "boxes"
    SALIENCY = "saliency"
    POINTS = "points"
    MASKS = "masks"

    @property
    def letter(self) -> str:
        """The field's letter: I (image tags), B, S, P, F (full pixel masks)."""
        return _LETTERS[self]


_LETTERS = {
    Supervision.TAGS: "I",
    Supervision.BOXES: "B",
    Supervision.SALIENCY: "S",
    Supervision.POINTS: "P",
    Supervision.MASKS: "F",
}


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
MASKS = Need(Supervision.MASKS)


def masks(fraction: float) -> Need:
    """Pixel masks of a fixed ``fraction`` of the training images."""
    return Need(Supervision.MASKS, fraction)


def union(needs: Iterable[Need]) -> tuple[Need, ...]:
    """Merge needs: one entry a (kind, auxiliary) pair with the largest fraction, in letter order."""
    merged: dict[tuple[Supervision, bool], Need] = {}
    for need in needs:
        known = merged.get((need.kind, need.auxiliary))
        if known is None or need.fraction > known.fraction:
            merged[need.kind, need.auxiliary] = need
    order = list(Supervision)
    return tuple(sorted(merged.values(), key=lambda n: (n.auxiliary, order.index(n.kind))))


def letters(needs: Iterable[Need]) -> str:
    """Supervision column of a table, for example ``I+S`` or ``B+F18%``; ``none`` when nothing is needed."""
    return "+".join(need.letters for need in union(needs)) or "none"
