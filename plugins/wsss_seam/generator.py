"""The generator: ``fit`` trains on two views, ``generate`` makes maps at the protocol's scales as plain CAMs are made.

Maps are inferred image by image, because the classes that compete for a cell are those of the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from harness.contract import BACKGROUND, Context, Generator, PseudoLabel, SoftScores, StoreError, View
from harness.maps import infer_cams, threshold_labels, upsample
from harness.modelling import build_classifier, fit, load_classifier, mm, save_network, tagged_images
from wsss_seam import method
from wsss_seam.network import SeamNetwork
from wsss_seam.params import SeamParams

WEIGHTS, CURVE = "seam.pth", "train.json"

LENGTHS = {"classifier": (0.25, 0.1), "initial": (1.0, 1.0)}
"""Iterations and rate as shares of the classifier's, by where the training begins."""


class Seam(Generator):
    """Equivariant maps."""

    def __init__(self, params: SeamParams) -> None:
        self._params = params

    def fit(self, view: View, ctx: Context) -> None:
        """Train the network; resumes from ``ctx.work``."""
        network = build_classifier(ctx, SeamNetwork, params=asdict(self._params))
        if self._params.chosen("start") == "classifier":
            shared = load_classifier(ctx.input("classifier"), fold=False).state_dict()
            network.load_state_dict({**network.state_dict(), **shared})
        optim = recipe(self._params, ctx.settings["classifier"].optim)
        curve = fit(network, tagged_images(view, ctx, axis="seam"), optim, ctx, axis="seam")
        save_network(ctx.out, network.state_dict(), weights=WEIGHTS, configs={CURVE: curve})

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Threshold the maps of every image; they travel along as soft scores."""
        torch.set_num_threads(ctx.threads)
        network = self._trained(ctx)
        settings = ctx.settings["cam"]
        threshold = settings.threshold if self._params.threshold is None else self._params.threshold
        for done, image_id in enumerate(view.ids, start=1):
            scores = self._scores(network, image_id, view, ctx)
            mask = np.full(scores.size, BACKGROUND, np.uint8)
            if scores.classes:
                mask = threshold_labels(upsample(scores), scores.classes, threshold)
            yield PseudoLabel(image_id, mask, scores)
            ctx.progress(done, len(view.ids))

    def _scores(self, network: SeamNetwork, image_id: str, view: View, ctx: Context) -> SoftScores:
        """Maps of the tagged classes of one image."""
        tags = view.tags(image_id)
        present = None
        if self._params.chosen("compete") == "tagged":
            present = torch.zeros(1, network.head.out_channels, device=ctx.device)
            present[0, [cls - 1 for cls in tags]] = 1.0
        ((_, scores),) = infer_cams(
            lambda x: network.maps(x, present).rv[:, 1:],
            [(image_id, view.image(image_id), tags)],
            settings=ctx.settings["cam"],
            device=ctx.device,
            inputs=network.inputs,
            normalise=method.normalise,
        )
        return scores

    def _trained(self, ctx: Context) -> SeamNetwork:
        """The network of ``fit``, ready for maps.

        Raises:
            StoreError: The artifact holds none.
        """
        network = build_classifier(ctx, SeamNetwork, params=asdict(self._params))
        assert isinstance(network, SeamNetwork)
        path = ctx.input("fit") / WEIGHTS
        try:
            network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except (OSError, ValueError, RuntimeError) as error:
            raise StoreError(f"{path}: no readable network ({error})") from None
        mm.fuse_conv_bn(network)
        mm.place(network, ctx.device)
        network.eval()
        return network


def recipe(params: SeamParams, classifier: Any) -> Any:
    """The classifier's recipe (``OptimSettings``) at the method's length and rate."""
    schedule, lr_mult = LENGTHS[params.chosen("start")]
    schedule = schedule if params.schedule is None else params.schedule
    lr_mult = lr_mult if params.lr_mult is None else params.lr_mult
    changes = {
        "iterations": round(schedule * classifier.iterations),
        "warmup": round(schedule * classifier.warmup),
        "lr": lr_mult * classifier.lr,
    }
    if params.chosen("momentum") == "weight_decay":
        changes["momentum"] = classifier.weight_decay
    return classifier.model_copy(update=changes)
