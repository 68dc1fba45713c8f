"""Stages that train the segmenter and predict with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.contract.arrays import PseudoLabel
from harness.engine.stage.context import weights_of
from harness.maps.labels import LabelReader, LabelWriter
from harness.registry import resolve

if TYPE_CHECKING:
    from harness.engine.stage.kinds.stage import Stage


def segmenter(stage: Stage) -> None:
    """The training of a round's segmenter."""
    ctx = stage.ctx
    warm = weights_of(ctx.input("warm_start")) if "warm_start" in stage.spec.inputs else None
    train = resolve(f"{stage.spec.modelling}:train_segmenter")
    train(stage.component(), LabelReader(ctx.input("labels")), stage.view(), ctx, warm_start=warm)


def predict(stage: Stage) -> None:
    """Label maps of the scored validation images."""
    ctx, view, ids = stage.ctx, stage.view("val"), stage.scored_ids("val")
    images = ((image_id, view.image(image_id)) for image_id in ids)
    predicted = resolve(f"{stage.spec.modelling}:predict")
    predictions = predicted(ctx.input("segmenter"), images, settings=ctx.settings["test"], device=ctx.device)
    with LabelWriter(ctx.out) as writer:
        for done, (image_id, mask) in enumerate(predictions, start=1):
            writer.write(PseudoLabel(image_id, mask))
            ctx.progress(done, len(ids))
