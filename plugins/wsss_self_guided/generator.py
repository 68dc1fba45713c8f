"""The generator: warm-up is the protocol's shared classifier, ``fit`` alternates, ``generate`` makes the final labels.

Final maps are made as plain CAMs are (the protocol's scales and mirror images), so that the two rows differ in the
method alone; the affinity comes from the image at its own scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace

import numpy as np
import numpy.typing as npt
import torch

from harness.contract import Context, Generator, PseudoLabel, SoftScores, View
from harness.maps import ScoreReader, downsample, feature_affinity, infer_cams, upsample
from harness.modelling import CamClassifier, build_classifier, fit, load_classifier, save_classifier
from wsss_self_guided import method
from wsss_self_guided.network import SelfGuidedNetwork, TaggedImages
from wsss_self_guided.params import SelfGuidedParams


class SelfGuided(Generator):
    """Dense labels from tags by one network and the images themselves."""

    def __init__(self, params: SelfGuidedParams) -> None:
        self._params = params

    def fit(self, view: View, ctx: Context) -> None:
        """Alternate feature update and map refinement, from the shared classifier on; resumes from ``ctx.work``."""
        if not self._params.alternation:
            return
        settings = ctx.settings["classifier"]
        iterations = round(self._params.schedule * settings.optim.iterations)
        optim = settings.optim.model_copy(
            update={
                "iterations": iterations,
                # A tenth of the steps at least: the segmentation head begins at random in front of a trained trunk.
                "warmup": max(round(self._params.schedule * settings.optim.warmup), iterations // 10),
                "lr": self._params.lr_mult * settings.optim.lr,
                # The class head knows features under these statistics; those of a batch would move the maps.
                "freeze_bn": self._params.freeze_bn or settings.optim.freeze_bn,
            }
        )
        epoch = -(-len(view.ids) // optim.batch_size)
        own = {"params": asdict(self._resolved(ctx)), "epoch": epoch}
        network = build_classifier(ctx, SelfGuidedNetwork, train_backbone=True, **own)
        assert isinstance(network, SelfGuidedNetwork)
        network.begin(load_classifier(ctx.input("classifier"), fold=False).state_dict())
        curve = fit(network, TaggedImages.of(view, ctx, axis="alternation"), optim, ctx, axis="alternation")
        history = {"curve": curve, "foreground": network.shares, "frozen": network.frozen}
        save_classifier(network.classifier_state(), ctx, curve=history)

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Refine the maps of every image and take the strongest class of each pixel."""
        torch.set_num_threads(ctx.threads)
        trained = self._params.alternation
        network = load_classifier(ctx.input("fit" if trained else "classifier"), ctx.device)
        params = self._resolved(ctx)
        for image_id, scores in self._scores(network if trained else None, view, ctx):
            yield label_image(network, image_id, view.image(image_id), scores, params=params, device=ctx.device)

    def _scores(self, network: CamClassifier | None, view: View, ctx: Context) -> Iterator[tuple[str, SoftScores]]:
        """Normalised CAMs of the present classes: the shared ones, or those of ``network``."""
        if network is not None:
            items = ((image_id, view.image(image_id), view.tags(image_id)) for image_id in view.ids)
            yield from infer_cams(
                network.forward_cam, items, settings=ctx.settings["cam"], device=ctx.device, inputs=network.inputs
            )
            return
        reader = ScoreReader(ctx.input("cams"))
        for image_id in view.ids:
            scores = reader.get(image_id)
            assert scores is not None
            yield image_id, scores

    def _resolved(self, ctx: Context) -> SelfGuidedParams:
        """The parameters with a number for alpha: plain CAM and this method tie at the same peak-relative score."""
        if self._params.alpha is not None:
            return self._params
        return replace(self._params, alpha=method.tie_power(ctx.settings["cam"].threshold))


@torch.inference_mode()
def label_image(
    network: CamClassifier,
    image_id: str,
    image: npt.NDArray[np.uint8],
    scores: SoftScores,
    *,
    params: SelfGuidedParams,
    device: str,
) -> PseudoLabel:
    """Refined label of one image, (H, W, 3) uint8 RGB; its soft scores hold the background and sum to 1."""
    pixels = torch.from_numpy(np.array(image))[None].to(device)
    guide = pixels.permute(0, 3, 1, 2).float() / 255
    size = (network.inputs.side(image.shape[0]), network.inputs.side(image.shape[1]))
    view = method.resize(network.data_preprocessor.normalise(pixels), size)
    if params.min_peak > 0 and scores.classes:  # the stored maps are normalised already
        tagged = torch.tensor([[0, *scores.classes]], device=device)
        seen = method.detected(method.in_slots(network.forward_cam(view), tagged), tagged, params.min_peak)[0].tolist()
        classes = tuple(cls for cls, found in zip(scores.classes, seen, strict=True) if found)
        scores = SoftScores(classes, scores.values[seen], scores.size)
    if not scores.classes:
        return PseudoLabel(image_id, np.zeros(image.shape[:2], np.uint8), scores)
    slots = torch.tensor([[0, *scores.classes]], device=device)
    planes = torch.from_numpy(upsample(scores))[None].to(device)
    maps = method.localization_maps(planes, slots[:, 1:] > 0, params.alpha or 1.0)
    affinity = None
    if params.affinity:
        levels = network.features(view)
        affinity = feature_affinity([levels[i] for i in params.levels], radius=params.radius, tau=params.tau)
        maps = method.resize(maps, affinity.size)
    refined = method.refine_maps(maps, affinity, guide, slots >= 0, params)
    label = method.dense_labels(refined, slots, margin=params.margin)[0].to(torch.uint8).cpu().numpy()
    stride = max(round(image.shape[0] / scores.values.shape[1]), 1)
    kept = downsample(refined[0].float().cpu().numpy(), stride)
    return PseudoLabel(image_id, label, SoftScores((0, *scores.classes), kept, scores.size))
