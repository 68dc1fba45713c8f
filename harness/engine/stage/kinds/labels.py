"""Stages that run a component: shared stages, generators and refiners.

A generator's output is checked image by image before anything downstream sees it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from harness.contract.arrays import IGNORE, PseudoLabel
from harness.contract.errors import DataError, PluginError
from harness.maps.labels import LabelReader, LabelWriter
from harness.registry import resolve

if TYPE_CHECKING:
    from pathlib import Path

    from harness.contract.interfaces import View
    from harness.engine.plan.layout import StageSpec
    from harness.engine.stage.kinds.stage import Stage


def shared(stage: Stage) -> None:
    """A shared stage: the function that its record names."""
    resolve(str(stage.spec.run))(stage.spec.params, stage.view(), stage.ctx)


def fit(stage: Stage) -> None:
    """What a generator learns before it makes labels, or a refiner before it turns them into others."""
    view = stage.view()
    refines = stage.spec.part is not None and stage.spec.part.kind == "refiner"
    given = (StoredLabels(stage.ctx.input("labels"), view.ids),) if refines else ()
    stage.component().fit(*given, view, stage.ctx)


def generate(stage: Stage) -> None:
    """Pseudo labels of one round."""
    view = stage.view()
    _write_labels(stage, stage.component().generate(view, stage.ctx), view)


def refine(stage: Stage) -> None:
    """Pseudo labels from pseudo labels."""
    view = stage.view()
    labels = StoredLabels(stage.ctx.input("labels"), view.ids)
    _write_labels(stage, stage.component().refine(iter(labels), view, stage.ctx), view)


class StoredLabels(Sequence[PseudoLabel]):
    """The pseudo labels of ``ids`` in that order; each is read when it is asked for.

    Args:
        folder: Where the labels lie.
        ids: Whose labels.
    """

    def __init__(self, folder: Path, ids: Sequence[str]) -> None:
        self._reader, self._ids = LabelReader(folder), ids

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, place: int) -> PseudoLabel: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[PseudoLabel]: ...

    def __getitem__(self, place: int | slice) -> PseudoLabel | Sequence[PseudoLabel]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        return self._reader.label(self._ids[place])


def foretell(stage: Stage) -> None:
    """Label maps of the scored validation images, of a segmenter that trains nothing."""
    view = stage.view("val")
    view.ids = stage.scored_ids("val")
    _write_labels(stage, stage.component().predict(view, stage.ctx), view)


def _write_labels(stage: Stage, labels: Iterable[PseudoLabel], view: View) -> None:
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
    expected = frozenset(view.ids)
    waiting = set(expected)
    for label in labels:
        if not isinstance(label, PseudoLabel):
            raise PluginError(f"{where}: yields {type(label).__name__}, not PseudoLabel")
        if label.image_id not in waiting:
            problem = "was yielded twice" if label.image_id in expected else "is no training image"
            raise PluginError(f"{where}: image {label.image_id!r} {problem}")
        fault = _fault(label, view.size(label.image_id), spec.num_classes)
        if fault:
            raise PluginError(f"{where}: image {label.image_id!r}: {fault}")
        waiting.discard(label.image_id)
        yield label
    if waiting:
        raise PluginError(
            f"{where}: image {min(waiting)!r} got no label ({len(waiting)} of {len(expected)} are missing)"
        )


def _maker(spec: StageSpec) -> str:
    """Who made the labels of a stage, for messages."""
    part = spec.part
    return f"plugin {part.plugin}: {part.kind} {part.name!r}" if part else spec.name


def _fault(label: PseudoLabel, size: tuple[int, int], num_classes: int) -> str | None:
    """What is wrong with a mask, or ``None``."""
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
