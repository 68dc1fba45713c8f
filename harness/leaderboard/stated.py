"""Rows of somebody's files: what is stated of their supervision in place of what a meter saw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from harness.leaderboard import annotation

if TYPE_CHECKING:
    from harness.contract.run_record import RunRecord
    from harness.leaderboard.frame import Row

_NOTE = (
    "(stated) marks rows of labels or predictions in files: the author of the benchmark file states their supervision "
    "and annotation hours, and nothing was metered of how they were made."
)


def mark(row: Row) -> str:
    """What follows a value that is stated."""
    return " (stated)" if row.stated else ""


def hours_of(record: RunRecord) -> float | None:
    """Annotation hours of a row, ``None`` where they are unknown.

    Hours that are stated are those of the files; of a row that needs more supervision than that nobody stated the rest.
    """
    images, classes = record.dataset.images.get("train"), len(record.dataset.classes)
    if record.stated is not None and record.stated.hours is not None:
        return record.stated.hours if record.supervision == record.stated.supervision else None
    if images is None:
        return None
    drawn = record.stated is not None or not record.dataset.boxes_from_masks
    made = [] if record.stated is not None else record.dataset.made_from_masks
    return annotation.annotation_hours(record.supervision, images=images, classes=classes, drawn=drawn, made=made)


def notes_of(records: Iterable[RunRecord]) -> list[str]:
    """The sentences under a table with such rows: what the mark means, and what is said of each row's files."""
    told = list(dict.fromkeys(sentence for record in records for sentence in _told(record)))
    return [_NOTE, *told] if any(record.stated for record in records) else []


def among(notes: Iterable[str], rows: Iterable[Row]) -> list[str]:
    """Those of a table's notes that ``notes_of`` made."""
    begun = tuple(f"{row.method}: " for row in rows if row.stated)
    return [note for note in notes if note == _NOTE or (begun and note.startswith(begun))]


def _told(record: RunRecord) -> Iterator[str]:
    if record.stated is not None:
        parts = [f"from {record.stated.source}"] if record.stated.source else []
        if parts := [*parts, *record.stated.notes]:
            yield f"{record.label}: {'; '.join(parts)}."
