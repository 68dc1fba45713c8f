"""Stages that train the segmenter and predict with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.contract.arrays import PseudoLabel
from harness.engine.stage.context import weights_of
from harness.maps.labels import LabelReader, LabelWriter
from harness.registry import resolve

if TYPE_CHECKING:
    from harness.contract.arrays import Image
    from harness.engine.stage.kinds.stage import Stage


def segmenter(stage: Stage) -> None:
    """The training of a round's segmenter."""
    ctx = stage.ctx
    warm = weights_of(ctx.input("warm_start")) if "warm_start" in stage.spec.inputs else None
    unlabelled = "placeholder" in stage.spec.inputs
    labels = LabelReader(ctx.input("placeholder" if unlabelled else "labels"))
    train = resolve(f"{stage.spec.modelling}:train_segmenter")
    train(stage.component(), labels, stage.view(), ctx, warm_start=warm, unlabelled=unlabelled)


def predicted_features(stage: Stage) -> None:
    """The frozen backbone's features of the scored validation images, once for all rows and seeds."""
    compute = resolve(f"{stage.spec.modelling}:compute_predicted")
    compute(_scored_images(stage), stage.ctx, total=len(stage.scored_ids("val")))


def predict(stage: Stage) -> None:
    """Label maps of the scored validation images."""
    ctx, ids = stage.ctx, stage.scored_ids("val")
    predicted = resolve(f"{stage.spec.modelling}:predict")
    stored = {"features": ctx.input("features")} if "features" in stage.spec.inputs else {}
    images, settings = _scored_images(stage), ctx.settings["test"]
    predictions = predicted(ctx.input("segmenter"), images, settings=settings, device=ctx.device, **stored)
    with LabelWriter(ctx.out) as writer:
        for done, (image_id, mask) in enumerate(predictions, start=1):
            writer.write(PseudoLabel(image_id, mask))
            ctx.progress(done, len(ids))


def _scored_images(stage: Stage) -> Iterator[tuple[str, Image]]:
    view = stage.view("val")
    return ((image_id, view.image(image_id)) for image_id in stage.scored_ids("val"))
