"""What the names and ids of annotations mean: the classes of a data set, and what becomes of all else."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from harness.common.text import printable
from harness.contract import BACKGROUND, IGNORE, DataError

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.contract.arrays import Mask

IGNORED = "ignore"
"""What ``names`` calls that is neither trained on nor scored."""


@dataclass(frozen=True)
class Rules:
    """The classes and how others call them.

    Attributes:
        classes: In order, the background first.
        ids: Mask ids of each class.
        names: Name in an annotation -> class name or ``ignore``.
        other: What is meant by whatever no class has.
        ignore_ids: Mask ids that are ignored.
    """

    classes: tuple[str, ...]
    ids: tuple[tuple[int, ...], ...]
    names: Mapping[str, str]
    other: str
    ignore_ids: Sequence[int]

    def meaning(self, name: str, where: str) -> int:
        """Class index of an annotated name, ``IGNORE``, or what ``other`` says.

        Raises:
            DataError: No class has this name, and ``other`` is ``error``.
        """
        own = self.names.get(name, name)
        if own in self.classes:
            return self.classes.index(own)
        if own == IGNORED and name in self.names:
            return IGNORE
        if self.other == "error":
            close = difflib.get_close_matches(name, self.classes, n=1)
            hint = f"did you mean {close[0]!r}? See" if close else "see"
            raise DataError(f"{where}: {printable(name)!r} is none of the classes; {hint} classes, names and other")
        return self.rest

    @property
    def rest(self) -> int:
        """Class index of what no class has, unless that is an error."""
        return IGNORE if self.other == "ignore" else BACKGROUND

    def class_of(self, name: str, where: str) -> int | None:
        """Class index of an annotated name, ``None`` for one that is left out; raises as ``meaning``."""
        cls = self.meaning(name, where)
        return cls if self.names.get(name, name) in self.classes else None

    def class_of_id(self, number: int, where: str) -> int | None:
        """Class index of an id in an annotation, ``None`` for one that is left out.

        Raises:
            DataError: No class has this id, and ``other`` is ``error``.
        """
        for cls, ids in enumerate(self.ids):
            if number in ids:
                return cls
        if self.other == "error" and number not in self.ignore_ids:
            raise DataError(f"{where}: id {number} is in no class, see the fields classes and other")
        return None

    @cached_property
    def table(self) -> tuple[Mask, npt.NDArray[np.bool_]]:
        """Mask id -> class index (256,) uint8, and which ids no class may have (256,) bool."""
        table = np.full(IGNORE + 1, self.rest, np.uint8)
        legal = np.full(IGNORE + 1, self.other != "error")
        for cls, ids in enumerate(self.ids):
            table[list(ids)], legal[list(ids)] = cls, True
        ignored = list(self.ignore_ids)
        table[ignored], legal[ignored] = IGNORE, True
        return table, ~legal

    def text(self) -> str:
        """All that changes what a mask means, for digests."""
        return repr((self.classes, self.ids, sorted(self.names.items()), self.other, sorted(self.ignore_ids)))
