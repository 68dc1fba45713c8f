"""Stages that score label maps against hidden masks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.contract.arrays import IGNORE
from harness.maps.labels import LabelReader
from harness.maps.scores import upsample
from harness.scoring.confusion import score
from harness.scoring.image_counts import Counter
from harness.scoring.oracle import sweep

if TYPE_CHECKING:
    from harness.contract.interfaces import Dataset
    from harness.engine.stage.kinds.stage import Stage

SWEEP = tuple(step / 50 for step in range(51))
"""Background scores that the oracle tries."""

SUMMARY = "summary.json"
CONFUSIONS = "confusions.npz"


def score_labels(stage: Stage) -> None:
    """Pseudo labels against the hidden masks of the training images, and the oracle of their soft scores."""
    reader = LabelReader(stage.ctx.input("scored"))
    pixels = ignored = 0

    def pairs() -> Iterator[tuple[str, Any, Any]]:
        nonlocal pixels, ignored
        for image_id, truth, label in _pairs(stage, reader, "train"):
            pixels += label.size
            ignored += int((label == IGNORE).sum())
            yield image_id, truth, label

    images = _save_confusions(stage, pairs())
    oracle = sweep_scores(stage.dataset, reader, stage.scored_ids("train"))
    _summarise(stage, "train", images, oracle=oracle, label_coverage=1.0 - ignored / max(pixels, 1))


def score_predictions(stage: Stage) -> None:
    """Predictions against the masks of the scored validation images."""
    reader = LabelReader(stage.ctx.input("scored"))
    _summarise(stage, "val", _save_confusions(stage, _pairs(stage, reader, "val")))


def _pairs(stage: Stage, reader: LabelReader, split: str) -> Iterator[tuple[str, Any, Any]]:
    """(id, truth, label map), read from the data set itself: a score is no supervision and is not metered."""
    ids = stage.scored_ids(split)
    for done, image_id in enumerate(ids, start=1):
        yield image_id, stage.dataset.mask(image_id), reader.mask(image_id)
        stage.ctx.progress(done, len(ids))


def counts_file(kind: str) -> str:
    """Name of the file with the counts of a kind (``harness.scoring.image_counts``)."""
    return f"counts-{kind}.npz"


def _save_confusions(stage: Stage, pairs: Iterable[tuple[str, Any, Any]]) -> int:
    counter = Counter(stage.spec.params.get("counts", ()), stage.ctx.num_classes)
    confusions = score(counter.passing(pairs), stage.ctx.num_classes)
    confusions.save(stage.ctx.out / CONFUSIONS)
    for kind, counts in counter.counted().items():
        counts.save(stage.ctx.out / counts_file(kind))
    return len(confusions.ids)


def _summarise(stage: Stage, split: str, images: int, **more: Any) -> None:
    text = json.dumps({"split": split, "images": images, **more}, sort_keys=True)
    (stage.ctx.out / SUMMARY).write_text(text + "\n", encoding="utf-8")


def sweep_scores(dataset: Dataset, reader: LabelReader, ids: Sequence[str]) -> dict[str, Any] | None:
    """The threshold sweep of the labels of ``ids``, or ``None`` when no label carries soft scores."""
    if all(reader.scores(image_id) is None for image_id in ids):
        return None

    def items() -> Iterator[tuple[Any, tuple[int, ...], Any]]:
        for image_id in ids:
            truth, scores = dataset.mask(image_id), reader.scores(image_id)
            if scores is None:
                yield truth, (), np.zeros((0, *truth.shape), np.float32)
            else:
                yield truth, scores.classes, upsample(scores)

    return sweep(items(), len(dataset.classes), SWEEP).model_dump(mode="json")
