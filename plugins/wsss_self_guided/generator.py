"""The generator: warm-up is the protocol's shared classifier, ``fit`` alternates, ``generate`` makes the final labels.

Final maps are made as plain CAMs are (the protocol's scales and mirror images), so that the two rows differ in the
method alone; the affinity comes from the image at its own scale.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.contract import Context, Generator, PseudoLabel, SoftScores, View
from harness.maps import ScoreReader, SizeRule, downsample, feature_affinity, infer_cams, upsample
from harness.modelling import CamClassifier, load_classifier
from harness.modelling.classifier import CONFIG, WEIGHTS
from harness.modelling.segmenter import seeded_model
from harness.modelling.training import train
from wsss_self_guided import SelfGuidedParams, method
from wsss_self_guided.network import SelfGuidedNetwork, TaggedImages

NETWORK = "network.pth"
CURVE = "train.json"


class SelfGuided(Generator):
    """Dense labels from tags by one network and the images themselves."""

    def __init__(self, params: SelfGuidedParams) -> None:
        self._params = params

    def fit(self, view: View, ctx: Context) -> None:
        """Alternate feature update and map refinement, from the shared classifier on; resumes from ``ctx.work``."""
        if not self._params.alternation:
            return
        settings = ctx.settings["classifier"]
        folder = ctx.input("classifier")
        iterations = round(self._params.schedule * settings.optim.iterations)
        optim = settings.optim.model_copy(
            update={
                "iterations": iterations,
                "warmup": max(round(self._params.schedule * settings.optim.warmup), iterations // 10),
                "lr": self._params.lr_mult * settings.optim.lr,
            }
        )
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        network = self._network(config, folder, -(-len(view.ids) // optim.batch_size), ctx)
        seed = ctx.seed("alternation")
        dataset = TaggedImages(
            view.ids,
            view.image,
            settings=settings.augment,
            seed=seed,
            maps=lambda image_id: [np.zeros(view.size(image_id), np.uint8)],
            tags=_multi_hot(view, ctx.num_classes),
        )
        curve = train(
            network,
            dataset,
            optim,
            work=ctx.work,
            device=ctx.device,
            seed=seed,
            threads=ctx.threads,
            progress=ctx.progress,
        )
        self._publish(network, config, curve, ctx.out)

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Refine the maps of every image and take the strongest class of each pixel."""
        torch.set_num_threads(ctx.threads)
        trained = self._params.alternation
        network = load_classifier(ctx.input("fit" if trained else "classifier"), ctx.device)
        params = self._resolved(ctx)
        for image_id, scores in self._scores(network if trained else None, view, ctx):
            yield label_image(network, image_id, view.image(image_id), scores, params, ctx)

    def _scores(self, network: CamClassifier | None, view: View, ctx: Context) -> Iterator[tuple[str, SoftScores]]:
        """Normalised CAMs of the present classes: the shared ones, or those of ``network``."""
        if network is not None:
            items = ((image_id, view.image(image_id), view.tags(image_id)) for image_id in view.ids)
            yield from infer_cams(network.forward_cam, items, settings=ctx.settings["cam"], device=ctx.device)
            return
        reader = ScoreReader(ctx.input("cams"))
        for image_id in view.ids:
            scores = reader.get(image_id)
            assert scores is not None
            yield image_id, scores

    def _network(self, config: dict[str, Any], folder: Path, epoch: int, ctx: Context) -> SelfGuidedNetwork:
        model = seeded_model(
            {**config, "type": SelfGuidedNetwork.__name__, "params": asdict(self._resolved(ctx)), "epoch": epoch},
            ctx.seed("init"),
        )
        assert isinstance(model, SelfGuidedNetwork)
        model.begin(torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True))
        return model

    def _resolved(self, ctx: Context) -> SelfGuidedParams:
        """The parameters with a number for alpha: plain CAM and this method tie at the same peak-relative score."""
        if self._params.alpha is not None:
            return self._params
        return replace(self._params, alpha=method.tie_power(ctx.settings["cam"].threshold))

    @staticmethod
    def _publish(network: SelfGuidedNetwork, config: dict[str, Any], curve: list[dict[str, float]], out: Path) -> None:
        """The label network as a classifier, the whole network, the loss curve and the foreground of each epoch."""
        for name, state in ((WEIGHTS, network.classifier_state()), (NETWORK, network.state_dict())):
            torch.save({k: v.contiguous().cpu() if isinstance(v, Tensor) else v for k, v in state.items()}, out / name)
        history = {"curve": curve, "foreground": network.shares, "frozen": network.frozen}
        for name, content in ((CONFIG, config), (CURVE, history)):
            (out / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@torch.inference_mode()
def label_image(
    network: CamClassifier,
    image_id: str,
    image: npt.NDArray[np.uint8],
    scores: SoftScores,
    params: SelfGuidedParams,
    ctx: Context,
) -> PseudoLabel:
    """Refined label of one image, (H, W, 3) uint8 RGB; its soft scores hold the background and sum to 1."""
    if not scores.classes:
        return PseudoLabel(image_id, np.zeros(image.shape[:2], np.uint8), scores)
    pixels = torch.from_numpy(np.array(image))[None].to(ctx.device)
    guide = pixels.permute(0, 3, 1, 2).float() / 255
    slots = torch.tensor([[0, *scores.classes]], device=ctx.device)
    planes = torch.from_numpy(upsample(scores))[None].to(ctx.device)
    maps = method.localization_maps(planes, slots[:, 1:] > 0, params.alpha or 1.0)
    affinity = None
    if params.affinity:
        rule = SizeRule()
        view = method.resize(network.data_preprocessor.normalise(pixels), tuple(map(rule.side, image.shape[:2])))
        levels = network.features(view)
        affinity = feature_affinity([levels[i] for i in params.levels], radius=params.radius, tau=params.tau)
        maps = method.resize(maps, affinity.size)
    refined = method.refine_maps(maps, affinity, guide, slots >= 0, params)
    label = method.dense_labels(refined, slots, margin=params.margin)[0].to(torch.uint8).cpu().numpy()
    stride = max(round(image.shape[0] / scores.values.shape[1]), 1)
    kept = downsample(refined[0].float().cpu().numpy(), stride)
    return PseudoLabel(image_id, label, SoftScores((0, *scores.classes), kept, scores.size))


def _multi_hot(view: View, num_classes: int) -> npt.NDArray[np.float32]:
    """(N, C) float32, column i is class i + 1."""
    tags = np.zeros((len(view.ids), num_classes - 1), np.float32)
    for row, image_id in enumerate(view.ids):
        tags[row, [cls - 1 for cls in view.tags(image_id)]] = 1.0
    return tags
