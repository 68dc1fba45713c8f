"""The stage that trains the method's segmenter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn

from harness.contract.arrays import IGNORE
from harness.contract.errors import DataError, PluginError
from harness.modelling import mm
from harness.modelling.backbones import input_rule
from harness.modelling.dataset import TrainingSet
from harness.modelling.networks import CONFIG, CURVE, WEIGHTS, save_network
from harness.modelling.segmenter import build_config, configure, initial_model
from harness.modelling.training import fit

if TYPE_CHECKING:
    from harness.contract import Context, PseudoLabel, Segmenter, View
    from harness.contract.arrays import Mask


class Labels(Protocol):
    """Pseudo labels by image id, for example ``harness.maps.LabelReader``."""

    def label(self, image_id: str) -> PseudoLabel:
        """Mask and scores of one image."""


def train_segmenter(
    segmenter: Segmenter, labels: Labels, view: View, ctx: Context, *, warm_start: Path | None = None
) -> None:
    """Train the method's segmenter on ``labels`` into ``ctx.out``.

    Images whose label is 255 everywhere hold nothing to learn from and are left out.

    Args:
        segmenter: The method's component.
        labels: Pseudo labels of every id of ``view``.
        view: Training images with what the segmenter declared.
        ctx: Settings, seeds, folders.
        warm_start: Weights of an earlier segmenter to begin from; what fits by name and shape is taken.
    """
    settings, backbone = ctx.settings["segmenter"], ctx.settings["backbone"]
    protocol = build_config(settings, backbone, ctx.num_classes)
    cfg = configure(segmenter, protocol, view, ctx)
    model = initial_model(
        cfg, protocol, seed=ctx.seed("init"), weights=backbone.weights, sha256=backbone.weights_sha256
    )
    if warm_start is not None:
        _warm_start(model, warm_start)
    dataset = TrainingSet(
        _labelled(labels, view),
        view.image,
        settings=settings.augment,
        seed=ctx.seed("augment"),
        maps=_training_maps(segmenter, labels, view, ctx),
        extra=segmenter.extra_targets,
        padding=input_rule(backbone.name).padding,
    )
    curve = fit(model, dataset, settings.optim, ctx, sampler=mm.plain(cfg.train_dataloader.sampler))
    config = {"model": mm.plain(cfg.model, sync_bn=True), "imports": _foreign_modules(model)}
    configs = {CONFIG: config, CURVE: curve}
    save_network(ctx.out, model.state_dict(), weights=WEIGHTS, configs=configs)


def _training_maps(segmenter: Segmenter, labels: Labels, view: View, ctx: Context) -> Callable[[str], list[Mask]]:
    """Id -> the label and the extra targets in the order of ``extra_targets``."""
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


def _labelled(labels: Labels, view: View) -> tuple[str, ...]:
    """Ids with at least one labelled pixel."""
    ids = tuple(image_id for image_id in view.ids if (labels.label(image_id).mask != IGNORE).any())
    if not ids:
        raise DataError("every pixel of every pseudo label is 255: there is nothing to train the segmenter on")
    return ids


def _warm_start(model: nn.Module, checkpoint: Path) -> None:
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    own = model.state_dict()
    model.load_state_dict({**own, **{k: v for k, v in state.items() if k in own and own[k].shape == v.shape}})


def _foreign_modules(model: nn.Module) -> list[str]:
    """Python modules of a plugin's network parts, to be imported before the network is built again."""
    modules = {type(part).__module__ for part in model.modules()}
    known = ("torch", "mmseg", "mmcv", "mmengine", "harness")
    return sorted(name for name in modules if name.partition(".")[0] not in known)
