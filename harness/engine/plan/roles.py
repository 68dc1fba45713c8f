"""What a stage is to one cell: its role, for example ``r1/refine crf``, under which the cell's record names it."""

from __future__ import annotations

import re

_NUMBERED = re.compile(r" \(\d+\)$")


class Roles(dict[str, str]):
    """Role to key of the stages of one cell, in order of the work."""

    def take(self, role: str, key: str) -> None:
        """Give a stage its role; where another stage has it (two refiners of one name in a round), with a number."""
        free, number = role, 2
        while self.setdefault(free, key) != key:
            free, number = f"{role} ({number})", number + 1


def name_of(role: str) -> str:
    """The name of the stage that has this role in a cell."""
    return _NUMBERED.sub("", role.rpartition("/")[2])
