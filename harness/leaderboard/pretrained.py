"""Networks of a row that were trained elsewhere: what their marks in the supervision column mean."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.common.text import one_line

if TYPE_CHECKING:
    from harness.contract.run_record import RunRecord

_SAYS = " in the supervision column: the row uses "
_MARK = re.compile(r"[A-Z][a-z]*\((?P<name>.+)\)")


def notes_of(records: Iterable[RunRecord]) -> list[str]:
    """One sentence for each network."""
    said = {
        f"{item.mark}{_SAYS}{item.name}, a network that was trained elsewhere on {one_line(item.trained_on)}; "
        "annotation hours leave that out.": None
        for record in records
        for item in record.pretrained
    }
    return list(said)


def among(notes: Iterable[str]) -> list[str]:
    """Those of a table's notes that ``notes_of`` made."""
    return [note for note in notes if _SAYS in note]


def name_in(need: str) -> str | None:
    """The name of the network in a part of a supervision column, for example in ``L(CLIP)``, if it is one."""
    found = _MARK.fullmatch(need)
    return found["name"] if found and found["name"] != "aux" else None
