"""What names, mask ids and colours mean: the classes of a data set of format ``folder``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.common.text import printable
from harness.contract import BACKGROUND, IGNORE, ConfigError, DataError
from harness.data.folder_params import IGNORED

if TYPE_CHECKING:
    from harness.data.folder_params import FolderParams

MOST = IGNORE - 1
"""Classes that masks of 8 bits can hold beside 255."""


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
    ignore_ids: tuple[int, ...]

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

    def text(self) -> str:
        """All that changes what a mask means, for digests."""
        return repr((self.classes, self.ids, sorted(self.names.items()), self.other, sorted(self.ignore_ids)))


def rules_of(params: FolderParams, listed: tuple[str, ...] | None) -> Rules:
    """The rules that ``params`` state; ``listed`` are the names of the file that its field ``classes`` gives.

    Raises:
        ConfigError: Classes, ids or names contradict each other.
    """
    where = f"data set {params.name!r}"
    if isinstance(params.classes, dict):
        ids = tuple((one,) if isinstance(one, int) else tuple(one) for one in params.classes.values())
        classes = tuple(params.classes)
    else:
        classes = listed or tuple(params.classes)
        ids = tuple((number,) for number in range(len(classes)))
    if not 2 <= len(classes) <= MOST:
        raise ConfigError(f"{where}: classes: 2 to {MOST} with the background are possible, got {len(classes)}")
    if twice := next((name for name in classes if classes.count(name) > 1), None):
        raise ConfigError(f"{where}: classes: {twice!r} occurs twice")
    if IGNORED in classes:
        raise ConfigError(f"{where}: classes: {IGNORED!r} is what is not scored, call the class otherwise")
    owner: dict[int, str] = dict.fromkeys(params.ignore_ids, "ignore_ids")
    for name, numbers in zip(classes, ids, strict=True):
        for number in numbers:
            if number in owner:
                raise ConfigError(f"{where}: mask id {number} belongs to both {owner[number]} and {name}")
            if not 0 <= number <= IGNORE:
                raise ConfigError(f"{where}: mask id {number} of {name!r} lies outside 0..255")
            owner[number] = name
    for name, target in params.names.items():
        if target not in (*classes, IGNORED):
            raise ConfigError(f"{where}: names.{name}: {target!r} is none of the classes, nor 'ignore'")
    if wrong := [name for name in params.absent if name not in classes[1:]]:
        raise ConfigError(f"{where}: absent: {wrong[0]!r} is no class besides the background {classes[0]!r}")
    return Rules(classes, ids, params.names, params.other, tuple(params.ignore_ids))
