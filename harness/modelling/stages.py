"""The stages that the engine runs: train the classifier, infer CAMs, train the segmenter, predict."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from harness.contract.arrays import IGNORE
from harness.contract.errors import DataError, PluginError
from harness.modelling import classifier, inference, mm
from harness.modelling.classifier import classifier_config, load_classifier
from harness.modelling.dataset import TrainingSet
from harness.modelling.inference import predict, predict_probabilities
from harness.modelling.segmenter import build_config, configure, initial_model, seeded_model
from harness.modelling.training import train
from harness.modelling.weights import load_weights

if TYPE_CHECKING:
    from harness.contract import Context, PseudoLabel, Segmenter, View
    from harness.contract.arrays import Mask

__all__ = ["infer_cams", "predict", "predict_probabilities", "train_classifier", "train_segmenter"]

CURVE = "train.json"


class Labels(Protocol):
    """Pseudo labels by image id, for example ``harness.maps.LabelReader``."""

    def label(self, image_id: str) -> PseudoLabel:
        """Mask and scores of one image."""


def train_classifier(params: Mapping[str, Any], view: View, ctx: Context) -> None:
    """Train the protocol's classifier on tags into ``ctx.out``. Images without tags count as all-negative."""
    settings, backbone = ctx.settings["classifier"], ctx.settings["backbone"]
    cfg = classifier_config(settings, backbone, ctx.num_classes)
    model = seeded_model(cfg, ctx.seed("init"))
    if backbone.weights is not None:
        load_weights(model.get_submodule("backbone"), backbone.weights, backbone.weights_sha256)
    dataset = TrainingSet(
        view.ids, view.image, settings=settings.augment, seed=ctx.seed("augment"), tags=_multi_hot(view, ctx)
    )
    curve = _train(model, dataset, settings.optim, ctx)
    _publish(ctx.out, model, curve, classifier.WEIGHTS, {classifier.CONFIG: cfg})


def infer_cams(params: Mapping[str, Any], view: View, ctx: Context) -> None:
    """CAMs of the tagged classes of every training image into ``ctx.out``."""
    from harness.maps.cam import CamItem
    from harness.maps.cam import infer_cams as cams
    from harness.maps.scores import ScoreWriter

    torch.set_num_threads(ctx.threads)
    model = load_classifier(ctx.input("classifier"), ctx.device)
    items = (CamItem(image_id, view.image(image_id), view.tags(image_id)) for image_id in view.ids)
    with ScoreWriter(ctx.out) as writer:
        found = cams(model.forward_cam, items, settings=ctx.settings["cam"], device=ctx.device)
        for done, (image_id, scores) in enumerate(found, start=1):
            writer.write(image_id, scores)
            ctx.progress(done, len(view.ids))


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
    )
    curve = _train(model, dataset, settings.optim, ctx, sampler=mm.plain(cfg.train_dataloader.sampler))
    config = {"model": mm.plain(cfg.model, sync_bn=True), "imports": _foreign_modules(model)}
    _publish(ctx.out, model, curve, inference.WEIGHTS, {inference.CONFIG: config})


def _train(model: nn.Module, dataset: TrainingSet, optim: Any, ctx: Context, **kwargs: Any) -> list[dict[str, float]]:
    return train(
        model,
        dataset,
        optim,
        work=ctx.work,
        device=ctx.device,
        seed=ctx.seed("train"),
        threads=ctx.threads,
        progress=ctx.progress,
        **kwargs,
    )


def _multi_hot(view: View, ctx: Context) -> npt.NDArray[np.float32]:
    """(N, C) float32, column i is class i + 1."""
    tags = np.zeros((len(view.ids), ctx.num_classes - 1), dtype=np.float32)
    for row, image_id in enumerate(view.ids):
        for cls in view.tags(image_id):
            if not 1 <= cls < ctx.num_classes:
                raise DataError(
                    f"image {image_id!r} is tagged with class {cls}, foreground is 1..{ctx.num_classes - 1}"
                )
            tags[row, cls - 1] = 1.0
    return tags


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


def _publish(
    out: Path, model: nn.Module, curve: list[dict[str, float]], weights: str, configs: Mapping[str, Mapping[str, Any]]
) -> None:
    state = {key: value.contiguous().cpu() for key, value in model.state_dict().items()}
    torch.save(state, out / weights)
    for name, content in {**configs, CURVE: curve}.items():
        (out / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
