"""The generator: ``fit`` trains the shared classifier further, ``generate`` makes maps as plain CAMs are made.

What ``fit`` leaves behind is a plain classifier whose weights are the product of the two, so that the maps differ from
those of ``cam`` in nothing but the weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from harness.contract import BACKGROUND, Context, Generator, PseudoLabel, View
from harness.maps import infer_cams, threshold_labels, upsample
from harness.modelling import build_classifier, fit, load_classifier, save_classifier, tagged_images
from wsss_recam.network import RecamNetwork
from wsss_recam.params import RecamParams

_LR_MULT = {"sgd": 5e-4, "adamw": 0.1}
"""Rate of the first classifier: the released code's under SGD. Steps of AdamW do not follow the size of gradients;
there the second classifier learns at the classifier's own rate, the first one at a tenth of it."""


class Recam(Generator):
    """Class re-activation maps."""

    def __init__(self, params: RecamParams) -> None:
        self._params = params

    def fit(self, view: View, ctx: Context) -> None:
        """Train from the shared classifier on; resumes from ``ctx.work``."""
        network = build_classifier(ctx, RecamNetwork, lam=self._params.lam)
        assert isinstance(network, RecamNetwork)
        shared = load_classifier(ctx.input("classifier"), fold=False).state_dict()
        network.load_state_dict({**network.state_dict(), **shared})
        optim = recipe(self._params, ctx.settings["classifier"].optim)
        second = self._params.second_lr_mult if self._params.lam > 0 else 0.0
        rates = {"head.": 1.0, "second.": second}
        curve = fit(network, tagged_images(view, ctx, axis="recam"), optim, ctx, axis="recam", rates=rates)
        save_classifier(network.classifier_state(self._params.map_weights), ctx, curve=curve)

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Threshold the maps of every image; they travel along as soft scores."""
        torch.set_num_threads(ctx.threads)
        network = load_classifier(ctx.input("fit"), ctx.device)
        settings = ctx.settings["cam"]
        threshold = settings.threshold if self._params.threshold is None else self._params.threshold
        items = ((image_id, view.image(image_id), view.tags(image_id)) for image_id in view.ids)
        maps = infer_cams(network.forward_cam, items, settings=settings, device=ctx.device, inputs=network.inputs)
        for done, (image_id, scores) in enumerate(maps, start=1):
            mask = np.full(scores.size, BACKGROUND, np.uint8)
            if scores.classes:
                mask = threshold_labels(upsample(scores), scores.classes, threshold)
            yield PseudoLabel(image_id, mask, scores)
            ctx.progress(done, len(view.ids))


def recipe(params: RecamParams, classifier: Any) -> Any:
    """The classifier's recipe (``OptimSettings``) at the method's length and rate."""
    multiple = _LR_MULT[classifier.optimizer] if params.lr_mult is None else params.lr_mult
    changes = {
        "iterations": round(params.schedule * classifier.iterations),
        "warmup": round(params.schedule * classifier.warmup),
        "lr": multiple * classifier.lr,
    }
    if params.decay_as_momentum:
        changes["momentum"] = classifier.weight_decay
    return classifier.model_copy(update=changes)
