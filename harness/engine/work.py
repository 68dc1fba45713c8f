"""What each kind of stage does, between its inputs and its output folder.

A generator's output is checked image by image before anything downstream sees it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.contract.arrays import IGNORE, PseudoLabel
from harness.contract.errors import DataError, PluginError
from harness.engine.context import StageContext, weights_of
from harness.engine.plan import StageSpec
from harness.engine.reads import ReadLog

if TYPE_CHECKING:
    from harness.contract.interfaces import Dataset, View
    from harness.maps.labels import LabelReader
    from harness.plugins import PluginManager

SWEEP = tuple(step / 50 for step in range(51))
"""Background scores that the oracle tries."""

SUMMARY = "summary.json"
CONFUSIONS = "confusions.npz"


@dataclass(frozen=True)
class Stage:
    """A stage in progress."""

    spec: StageSpec
    ctx: StageContext
    manager: PluginManager
    dataset: Dataset
    reads: ReadLog

    def view(self, split: str = "train") -> View:
        """The declared supervision of ``split``, every access logged."""
        from harness.data.views import DatasetView

        return DatasetView(self.dataset, split, self.spec.needs, self.reads)

    def component(self) -> Any:
        """The component of the stage, made by its factory."""
        from harness.plugins import build_params, resolve

        part = self.spec.part
        assert part is not None
        record: Any = self.manager.get(part.kind, part.name)
        return resolve(record.factory)(build_params(record, part.params, where=self.spec.name))

    def load(self) -> None:
        """Import what the stage will call, so that its time does not depend on what the worker ran before."""
        from harness.plugins import resolve

        part, kind = self.spec.part, self.spec.kind
        if part is not None:
            record: Any = self.manager.get(part.kind, part.name)
            resolve(record.factory)
        if self.spec.run is not None:
            resolve(self.spec.run)
        if kind in ("segmenter", "predict"):
            self.modelling("predict")
        if kind == "predict" or "backbone" in self.spec.settings:
            from harness.modelling.backbones import use_records

            use_records(self.manager.records("backbone").values())

    def modelling(self, name: str) -> Callable[..., Any]:
        """A function of the modelling module."""
        from harness.plugins import resolve

        return resolve(f"{self.spec.modelling}:{name}")

    def scored_ids(self, split: str) -> tuple[str, ...]:
        """All ids of ``train``; of ``val`` those outside the dev part."""
        from harness.data.views import dev_split

        ids = self.dataset.ids(split)
        if split == "train":
            return ids
        _, scored = dev_split(ids, self.spec.params["dev_fraction"])
        return scored


def _shared(stage: Stage) -> None:
    from harness.plugins import resolve

    resolve(str(stage.spec.run))(stage.spec.params, stage.view(), stage.ctx)


def _fit(stage: Stage) -> None:
    stage.component().fit(stage.view(), stage.ctx)


def _generate(stage: Stage) -> None:
    view = stage.view()
    _write_labels(stage, stage.component().generate(view, stage.ctx), view)


def _refine(stage: Stage) -> None:
    from harness.maps.labels import LabelReader

    view, reader = stage.view(), LabelReader(stage.ctx.input("labels"))
    labels = (reader.label(image_id) for image_id in view.ids)
    _write_labels(stage, stage.component().refine(labels, view, stage.ctx), view)


def _write_labels(stage: Stage, labels: Iterable[PseudoLabel], view: View) -> None:
    from harness.maps.labels import LabelWriter

    with LabelWriter(stage.ctx.out) as writer:
        for done, label in enumerate(checked(labels, view, stage.spec), start=1):
            try:
                writer.write(label)
            except DataError as error:
                raise PluginError(f"{_maker(stage.spec)}: {error}") from error
            stage.ctx.progress(done, len(view.ids))


def checked(labels: Iterable[PseudoLabel], view: View, spec: StageSpec) -> Iterator[PseudoLabel]:
    """Pass labels on while they keep the contract: each id once, (H, W) uint8 of the image's size, known classes.

    Raises:
        PluginError: They do not; names plugin, component and image.
    """
    where = _maker(spec)
    waiting = set(view.ids)
    known = set(waiting)
    for label in labels:
        if not isinstance(label, PseudoLabel):
            raise PluginError(f"{where}: yields {type(label).__name__}, not PseudoLabel")
        if label.image_id not in waiting:
            problem = "was yielded twice" if label.image_id in known else "is no training image"
            raise PluginError(f"{where}: image {label.image_id!r} {problem}")
        fault = _fault(label, view.size(label.image_id), spec.num_classes)
        if fault:
            raise PluginError(f"{where}: image {label.image_id!r}: {fault}")
        waiting.discard(label.image_id)
        yield label
    if waiting:
        raise PluginError(f"{where}: image {min(waiting)!r} got no label ({len(waiting)} of {len(known)} are missing)")


def _maker(spec: StageSpec) -> str:
    """Who made the labels of a stage, for messages."""
    part = spec.part
    return f"plugin {part.plugin}: {part.kind} {part.name!r}" if part else spec.name


def _fault(label: PseudoLabel, size: tuple[int, int], num_classes: int) -> str | None:
    """What is wrong with a mask, or ``None``."""
    import numpy as np

    mask: Any = label.mask
    if not isinstance(mask, np.ndarray) or mask.dtype != np.uint8 or mask.ndim != 2:
        shown = f"{mask.shape} {mask.dtype}" if isinstance(mask, np.ndarray) else type(mask).__name__
        return f"the mask must be (H, W) uint8, got {shown}"
    if mask.shape != tuple(size):
        return f"the mask is {mask.shape[0]}x{mask.shape[1]}, the image {size[0]}x{size[1]} (height x width)"
    worst = int(mask[mask != IGNORE].max(initial=0))
    if worst >= num_classes:
        return f"the mask holds class {worst}, known are 0..{num_classes - 1} and 255"
    return None


def _segmenter(stage: Stage) -> None:
    from harness.maps.labels import LabelReader

    ctx = stage.ctx
    warm = weights_of(ctx.input("warm_start")) if "warm_start" in stage.spec.inputs else None
    train = stage.modelling("train_segmenter")
    train(stage.component(), LabelReader(ctx.input("labels")), stage.view(), ctx, warm_start=warm)


def _predict(stage: Stage) -> None:
    from harness.maps.labels import LabelWriter

    ctx, view, ids = stage.ctx, stage.view("val"), stage.scored_ids("val")
    images = ((image_id, view.image(image_id)) for image_id in ids)
    found = stage.modelling("predict")(ctx.input("segmenter"), images, settings=ctx.settings["test"], device=ctx.device)
    with LabelWriter(ctx.out) as writer:
        for done, (image_id, mask) in enumerate(found, start=1):
            writer.write(PseudoLabel(image_id, mask))
            ctx.progress(done, len(ids))


def _score_labels(stage: Stage) -> None:
    """Pseudo labels against the hidden masks of the training images, and the oracle of their soft scores."""
    from harness.maps.labels import LabelReader

    reader = LabelReader(stage.ctx.input("scored"))
    known = ignored = 0

    def pairs() -> Iterator[tuple[str, Any, Any]]:
        nonlocal known, ignored
        for image_id, truth, label in _pairs(stage, reader, "train"):
            known += label.size
            ignored += int((label == IGNORE).sum())
            yield image_id, truth, label

    images = _save_confusions(stage, pairs())
    oracle = sweep_scores(stage.dataset, reader, stage.scored_ids("train"))
    _summarise(stage, "train", images, oracle=oracle, label_coverage=1.0 - ignored / max(known, 1))


def _score_predictions(stage: Stage) -> None:
    """Predictions against the masks of the scored validation images."""
    from harness.maps.labels import LabelReader

    reader = LabelReader(stage.ctx.input("scored"))
    _summarise(stage, "val", _save_confusions(stage, _pairs(stage, reader, "val")))


def _pairs(stage: Stage, reader: LabelReader, split: str) -> Iterator[tuple[str, Any, Any]]:
    """(id, truth, label map), read from the data set itself: a score is no supervision and is not metered."""
    ids = stage.scored_ids(split)
    for done, image_id in enumerate(ids, start=1):
        yield image_id, stage.dataset.mask(image_id), reader.mask(image_id)
        stage.ctx.progress(done, len(ids))


def _save_confusions(stage: Stage, pairs: Iterable[tuple[str, Any, Any]]) -> int:
    from harness.scoring.confusion import score

    confusions = score(pairs, stage.ctx.num_classes)
    confusions.save(stage.ctx.out / CONFUSIONS)
    return len(confusions.ids)


def _summarise(stage: Stage, split: str, images: int, **more: Any) -> None:
    text = json.dumps({"split": split, "images": images, **more}, sort_keys=True)
    (stage.ctx.out / SUMMARY).write_text(text + "\n", encoding="utf-8")


def sweep_scores(dataset: Dataset, reader: LabelReader, ids: Sequence[str]) -> dict[str, Any] | None:
    """The threshold sweep of the labels of ``ids``, or ``None`` when no label carries soft scores."""
    import numpy as np

    from harness.maps.scores import upsample
    from harness.scoring.oracle import sweep

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


RUN: Mapping[str, Callable[[Stage], None]] = {
    "shared": _shared,
    "fit": _fit,
    "generate": _generate,
    "refine": _refine,
    "segmenter": _segmenter,
    "predict": _predict,
    "score_labels": _score_labels,
    "score_predictions": _score_predictions,
}
"""What runs a stage of each kind."""
