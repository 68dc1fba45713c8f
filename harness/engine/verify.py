"""Recomputes every number of a record from the stored label maps and the masks of the data set.

* Scores, oracle and label coverage are counted again from the maps. Times, peaks and the meter cannot be measured
  again. They are compared with the artifacts that the record names.
* Nothing that the record or its confusion files say enters the recomputation, except the keys of its stages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.atomic import write_atomically, writing
from harness.common.files import file_problem, file_sha256
from harness.contract.arrays import IGNORE
from harness.contract.errors import DataError
from harness.contract.scores import PSEUDO, ScoreName
from harness.engine.plan.keys import fingerprint_of, is_key_of
from harness.engine.recorded_labels import stored_labels
from harness.engine.stage.kinds.scores import sweep_scores
from harness.engine.stage.meter import total
from harness.engine.store.store import Store

if TYPE_CHECKING:
    from harness.contract.interfaces import Dataset
    from harness.contract.run_record import RunRecord, Score
    from harness.maps.labels import LabelReader
    from harness.scoring.confusion import Confusions
    from harness.scoring.image_counts import ImageCounts


@dataclass(frozen=True)
class Recount:
    """What the label maps of one score give.

    Attributes:
        confusions: Of every scored image.
        counts: What else the record's scoring counts, by kind.
        ignored: Pixels of label 255; ``pixels`` counts all.
    """

    confusions: Confusions
    counts: dict[str, ImageCounts]
    ignored: int
    pixels: int


def verify(path: Path, record: RunRecord, store: Store, dataset: Dataset) -> list[str]:
    """Recompute a record.

    Args:
        path: File of the record; its confusions lie beside it.
        record: Its content; ``status`` is ``ok``.
        store: Where its label maps are.
        dataset: The data set that it was scored on (``recorded_dataset``).

    Returns:
        One sentence for each difference; empty when every number is confirmed.
    """
    differences = []
    fingerprint = fingerprint_of(record.protocol, record.dataset)
    if fingerprint != record.fingerprint:
        differences.append(
            f"fingerprint: the record says {record.fingerprint[:12]}, its protocol and data set give {fingerprint[:12]}"
        )
    expected = set(map(str, record.called_for))
    if record.scores.keys() != expected:
        differences.append(f"scores: the record has {sorted(record.scores)}, its rounds call for {sorted(expected)}")
    for name in record.scores:
        try:
            differences += _score(path, record, name, store, dataset)
        except DataError as error:
            differences.append(f"scores.{name}: {error}")
    for unscored in record.unscored:
        try:
            differences += _unscored(record, unscored, store, dataset)
        except DataError as error:
            differences.append(f"{unscored.stage}: {error}")
    return [*differences, *_measured(record, store)]


def settle(path: Path, *, verified: bool) -> None:
    """Write the mark of a verified record, or take it away.

    Raises:
        StoreError: The folder cannot be written.
    """
    from harness.records.marks import mark_path, mark_text

    if verified:
        write_atomically(mark_path(path), mark_text(path))
        return
    with writing(path):
        mark_path(path).unlink(missing_ok=True)


def _unscored(record: RunRecord, name: ScoreName, store: Store, dataset: Dataset) -> Iterator[str]:
    """What differs in label maps that no mask scores: only their coverage can be counted again."""
    from harness.engine.stage.kinds.unscored import coverage

    counted = coverage(_labels(store, record, str(name)), _ids(record, dataset, name.split))
    if str(name) == PSEUDO and record.label_coverage != counted:
        yield f"label_coverage: the record says {record.label_coverage}, the label maps give {counted}"


def _ids(record: RunRecord, dataset: Dataset, split: str) -> tuple[str, ...]:
    """The images of a split that are scored."""
    from harness.data.views import dev_split

    ids = dataset.ids(split)
    return dev_split(ids, record.scoring.dev_fraction)[1] if split == "val" else ids


def _score(path: Path, record: RunRecord, name: str, store: Store, dataset: Dataset) -> Iterator[str]:
    from harness.scoring.confusion import Confusions

    score, split = record.scores[name], ScoreName.parse(name, len(record.rounds)).split
    if score.split != split:
        yield f"scores.{name}.split: the record says {score.split}, it is {split}"
    labels, ids = _labels(store, record, name), _ids(record, dataset, split)
    counted = _recount(labels, dataset, ids, record.scoring.counts)
    if score.images != len(counted.confusions):
        yield f"scores.{name}.images: the record says {score.images}, scored are {len(counted.confusions)}"
    file = path.parent / score.confusion
    if hashlib.sha256(counted.confusions.to_bytes()).hexdigest() != score.sha256:
        yield f"scores.{name}: {_difference(Confusions.load(file), counted.confusions)}"
    elif file_problem(file) or file_sha256(file) != score.sha256:
        yield f"scores.{name}.confusion: {file} is missing or was changed"
    yield from _counts(path, name, score, counted.counts)
    if name != PSEUDO:
        return
    coverage = 1.0 - counted.ignored / max(counted.pixels, 1)
    if record.label_coverage != coverage:
        yield f"label_coverage: the record says {record.label_coverage}, the label maps give {coverage}"
    oracle = sweep_scores(dataset, labels, ids)
    recorded = record.oracle.model_dump(mode="json") if record.oracle else None
    if recorded != oracle:
        old, new = recorded or {}, oracle or {}
        fields = [field for field in new or old if old.get(field) != new.get(field)]
        yield f"oracle: the soft scores give other values of {', '.join(fields)}"


def _labels(store: Store, record: RunRecord, name: str) -> LabelReader:
    counting = ScoreName.parse(name, len(record.rounds)).stage
    for stage in record.stages:
        artifact = store.find(stage.key) if stage.name == counting else None
        if artifact is not None and not is_key_of(stage.key, artifact.inputs):
            raise DataError(f"the artifact of stage {stage.name!r} does not have the inputs that its key is made of")
    labels = stored_labels(store, record, name)
    if labels is None:
        raise DataError(f"its label maps are not in the store {store.runs}, or they are damaged")
    return labels


def _counts(path: Path, name: str, score: Score, counted: dict[str, ImageCounts]) -> Iterator[str]:
    """What differs between the counts of the record and the recomputed ones."""
    recorded = {str(kind): file for kind, file in score.counts.items()}
    if recorded.keys() != counted.keys():
        yield f"scores.{name}.counts: the record has {sorted(recorded)}, its protocol calls for {sorted(counted)}"
    for kind in sorted(recorded.keys() & counted.keys()):
        file = path.parent / recorded[kind].file
        if hashlib.sha256(counted[kind].to_bytes()).hexdigest() != recorded[kind].sha256:
            yield f"scores.{name}.counts.{kind}: the label maps give other counts"
        elif file_problem(file) or file_sha256(file) != recorded[kind].sha256:
            yield f"scores.{name}.counts.{kind}: {file} is missing or was changed"


def _recount(labels: LabelReader, dataset: Dataset, ids: tuple[str, ...], kinds: Iterable[str]) -> Recount:
    from harness.scoring.confusion import score
    from harness.scoring.image_counts import Counter

    ignored = pixels = 0

    def pairs() -> Iterator[tuple[str, Any, Any]]:
        nonlocal ignored, pixels
        for image_id in ids:
            label = labels.mask(image_id)
            ignored += int((label == IGNORE).sum())
            pixels += label.size
            yield image_id, dataset.mask(image_id), label

    counter = Counter(kinds, len(dataset.classes))
    confusions = score(counter.passing(pairs()), len(dataset.classes))
    return Recount(confusions, counter.counted(), ignored, pixels)


def _difference(recorded: Confusions, recomputed: Confusions) -> str:
    """What differs between the confusions of the record and the recomputed ones, in one sentence."""
    from harness.scoring.metrics import miou

    if recorded.ids != recomputed.ids or recorded.num_classes != recomputed.num_classes:
        return "the recorded confusions are of other images or classes"
    before, after = recorded.dense(), recomputed.dense()
    equal = (before == after).all((1, 2))
    changed = [image_id for image_id, same in zip(recomputed.ids, equal, strict=True) if not same]
    if not changed:
        return "the hash in the record is not that of its confusions"
    old, new = float(miou(before.sum(0))), float(miou(after.sum(0)))
    return (
        f"mIoU is {old:.6f} by the recorded confusions and {new:.6f} recomputed; {len(changed)} images differ, "
        f"the first is {changed[0]!r}"
    )


def _measured(record: RunRecord, store: Store) -> Iterator[str]:
    """Compare what was measured while the stages ran with their artifacts; of one that is gone nothing is known."""
    # By key: rounds may share a stage, which read its supervision only once.
    artifacts = {stage.key: store.find(stage.key) for stage in record.stages}
    for stage in record.stages:
        artifact = artifacts[stage.key]
        for name in ("seconds", "peak_mib", "peak_gpu_mib", "device") if artifact is not None else ():
            recorded, stored = getattr(stage, name), getattr(artifact, name)
            if recorded != stored:
                yield f"stages.{stage.name}.{name}: the record says {recorded}, its artifact {stored}"
    meter = total(artifact.meter for artifact in artifacts.values() if artifact is not None)
    accesses = {kind: access.model_dump() for kind, access in record.meter.items()}
    if None not in artifacts.values() and meter != accesses:
        yield f"meter: the record says {accesses}, its artifacts {meter}"
