"""What is said where nothing was measured, for want of masks or of labels, which is no fault of a row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.contract.scores import VAL

if TYPE_CHECKING:
    from harness.contract.run_record import DatasetInfo, RunRecord

_BEGIN = "No truth: "
_NOTES = {
    "train": "the training images of {} have no masks, so no pseudo label was measured",
    "val": "the validation images of {} have no masks, so no prediction was measured and no row has a rank",
}


def notes_of(records: Iterable[RunRecord]) -> list[str]:
    """One sentence for each data set and split without masks."""
    return list(dict.fromkeys(sentence for record in records for sentence in _sentences(record.dataset)))


def _sentences(dataset: DatasetInfo) -> list[str]:
    return [f"{_BEGIN}{_NOTES[split].format(dataset.name)}." for split in dataset.unmasked]


def told(notes: Iterable[str]) -> list[str]:
    """Those among the notes of a table that say so."""
    return [note for note in notes if note.startswith(_BEGIN)]


def why_unmeasured(record: RunRecord, score: str) -> str | None:
    """Why a row has no ``val`` or ``pseudo`` score, in a few words; ``None`` where its rounds call for one."""
    split = "val" if score == VAL else "train"
    if split in record.dataset.unmasked:
        return f"nothing was measured, the {split} images have no masks"
    return None if score == VAL or record.rounds[-1].labels else f"row {record.label} makes no pseudo labels"
