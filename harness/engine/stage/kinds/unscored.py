"""Stages that end a row on images without masks: nothing is scored there, and what needs no truth is counted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.contract.arrays import IGNORE
from harness.engine.stage.kinds.scores import SUMMARY
from harness.maps.labels import LabelReader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.engine.stage.kinds.stage import Stage


def count_labels(stage: Stage) -> None:
    """The coverage of the pseudo labels of the training images."""
    reader, ids = LabelReader(stage.ctx.input("scored")), stage.scored_ids("train")
    _summarise(stage, "train", label_coverage=coverage(reader, ids))


def count_predictions(stage: Stage) -> None:
    """Nothing but that there is a prediction of each of the validation images."""
    reader, ids = LabelReader(stage.ctx.input("scored")), stage.scored_ids("val")
    coverage(reader, ids)
    _summarise(stage, "val")


def coverage(reader: LabelReader, ids: Iterable[str]) -> float:
    """Share of the pixels of ``ids`` whose label is not 255.

    Raises:
        DataError: An image has no label, or a damaged one.
    """
    pixels = ignored = 0
    for image_id in ids:
        label = reader.mask(image_id)
        pixels += label.size
        ignored += int((label == IGNORE).sum())
    return 1.0 - ignored / max(pixels, 1)


def _summarise(stage: Stage, split: str, **more: Any) -> None:
    text = json.dumps({"split": split, **more}, sort_keys=True)
    (stage.ctx.out / SUMMARY).write_text(text + "\n", encoding="utf-8")
