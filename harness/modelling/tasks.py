"""The stage that trains the method's segmenter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch

from harness.contract.arrays import IGNORE
from harness.contract.errors import DataError, PluginError
from harness.contract.supervision import Supervision
from harness.modelling import mm
from harness.modelling.backbones import input_rule
from harness.modelling.dataset import TrainingSet, multi_hot
from harness.modelling.features import stored_features
from harness.modelling.frozen import freeze
from harness.modelling.networks import CONFIG, CURVE, WEIGHTS, copy_fitting, save_network
from harness.modelling.segmenter import build_config, configure, initial_model
from harness.modelling.training import fit

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.contract import Context, PseudoLabel, Segmenter, View
    from harness.contract.arrays import Mask


SHIPPED = ("torch", "mmseg", "mmcv", "mmengine", "harness")
"""Packages whose network parts are registered wherever the harness runs; those of others are imported first."""


class Labels(Protocol):
    """Pseudo labels by image id, for example ``harness.maps.LabelReader``."""

    def label(self, image_id: str) -> PseudoLabel:
        """Mask and scores of one image."""


def train_segmenter(
    segmenter: Segmenter,
    labels: Labels,
    view: View,
    ctx: Context,
    *,
    warm_start: Path | None = None,
    unlabelled: bool = False,
) -> None:
    """Train the method's segmenter on ``labels`` and write it into ``ctx.out``.

    Images whose label is 255 everywhere are left out, unless the segmenter makes its labels while it trains: there is
    nothing to learn from them.

    Args:
        segmenter: The method's component.
        labels: Pseudo labels of every id of ``view``.
        view: Training images with what the segmenter declared.
        ctx: Settings, seeds, folders.
        warm_start: Weights of an earlier segmenter to begin from; those that fit by name and shape are taken.
        unlabelled: Whether ``labels`` say nothing of any image.

    Raises:
        DataError: No pixel of any label says a class.
        PluginError: The method's configuration, targets or tags are not as ``Segmenter`` says.
    """
    settings, backbone = ctx.settings["segmenter"], ctx.settings["backbone"]
    protocol = build_config(settings, backbone, ctx.num_classes)
    cfg = configure(segmenter, protocol, view, ctx)
    model = initial_model(
        cfg, protocol, seed=ctx.seed("init"), weights=backbone.weights, sha256=backbone.weights_sha256
    )
    if warm_start is not None:
        copy_fitting(model, torch.load(warm_start, map_location="cpu", weights_only=True))
    features = stored_features(ctx) if hasattr(model, "backbone") else None
    if features is not None:
        freeze(model.get_submodule("backbone"))
    labelled = tuple(name for name in view.ids if unlabelled or (labels.label(name).mask != IGNORE).any())
    if not labelled:
        raise DataError("every pixel of every pseudo label is 255: there is nothing to train the segmenter on")
    dataset = TrainingSet(
        labelled,
        view.image,
        settings=settings.augment,
        seed=ctx.seed("augment"),
        maps=_training_maps(segmenter, labels, view, ctx),
        extra=segmenter.extra_targets,
        tags=_tags(segmenter, labelled, view, ctx),
        padding=input_rule(backbone).padding,
        features=features,
    )
    curve = fit(model, dataset, settings.optim, ctx, sampler=mm.plain(cfg.train_dataloader.sampler))
    modules = {type(part).__module__ for part in model.modules()}
    imports = sorted(name for name in modules if name.partition(".")[0] not in SHIPPED)
    config = {"model": mm.plain(cfg.model, sync_bn=True), "imports": imports}
    save_network(ctx.out, model.state_dict(), weights=WEIGHTS, configs={CONFIG: config, CURVE: curve})


def _tags(segmenter: Segmenter, ids: tuple[str, ...], view: View, ctx: Context) -> npt.NDArray[np.float32] | None:
    """(N, C) float32 tags of ``ids`` for a segmenter that asks for them."""
    if not segmenter.tags:
        return None
    if not view.ids_with(Supervision.TAGS).issuperset(ids):
        raise PluginError(
            f"segmenter {type(segmenter).__name__} asks for the tags of its training images; "
            "add TAGS to the needs of its record"
        )
    return multi_hot(view, ctx.num_classes, ids)


def _training_maps(segmenter: Segmenter, labels: Labels, view: View, ctx: Context) -> Callable[[str], list[Mask]]:
    """A function from an image id to its label and the extra targets, in the order of ``extra_targets``."""
    names = segmenter.extra_targets

    def maps(image_id: str) -> list[Mask]:
        label = labels.label(image_id)
        if not names:
            return [label.mask]
        extra = segmenter.targets(image_id, label, view, ctx)
        if set(extra) != set(names):
            raise PluginError(
                f"segmenter {type(segmenter).__name__}: targets returned {sorted(extra)}, "
                f"extra_targets names {sorted(names)}"
            )
        return [label.mask, *(extra[name] for name in names)]

    return maps
