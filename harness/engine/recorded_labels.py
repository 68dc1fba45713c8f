"""The label maps behind a run record, for commands that show or recount them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.contract.run_record import RunRecord
from harness.contract.scores import ScoreName
from harness.engine.store.store import Store

if TYPE_CHECKING:
    from harness.maps.labels import LabelReader


def stored_labels(store: Store, record: RunRecord, score: str) -> LabelReader | None:
    """The label maps that ``score`` (``val``, ``pseudo``, ``pseudo_r1``, ...) of ``record`` was counted from.

    Returns:
        A reader, or ``None`` when the store has no sound artifact of them any more.
    """
    from harness.maps.labels import LabelReader

    counted = {stage.name: stage.key for stage in record.stages}.get(ScoreName.parse(score, len(record.rounds)).stage)
    artifact = None if counted is None else store.find(counted)
    if artifact is None:
        return None
    labels = artifact.scored
    return LabelReader(store.folder(labels)) if labels is not None and store.open(labels) else None
