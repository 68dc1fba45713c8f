"""The generator: class-conditional maps of the shared classifier, and the step from maps to pseudo labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from harness.contract import (
    BACKGROUND,
    IGNORE,
    Context,
    Generator,
    Image,
    InputRule,
    Mask,
    PseudoLabel,
    SoftScores,
    View,
)
from harness.maps import (
    REFERENCE_SIDE,
    Bilateral,
    DenseCRF,
    Gaussian,
    background_power,
    downsample,
    kernels_for,
    power_labels,
    threshold_labels,
    upsample,
)
from harness.modelling import load_classifier
from wsss_class_conditional.inference import Inference
from wsss_class_conditional.params import InferenceParams
from wsss_class_conditional.responses import Views

PAIRWISE = (Gaussian(3.0, 3.0), Bilateral(80.0, 13.0, 10.0))
"""Kernels of the dense CRF behind PSA's confident regions."""


class ClassConditional(Generator):
    """Class-conditional response maps of the protocol's classifier, which is not trained again."""

    def __init__(self, params: InferenceParams) -> None:
        self.params = params

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Infer the maps of all training images, and label by the background rule; the maps travel along."""
        torch.set_num_threads(ctx.threads)
        settings = ctx.settings["cam"]
        model = load_classifier(ctx.input("classifier"), ctx.device)
        inference = Inference(
            model.forward_cam,
            self.params,
            views_of(self.params, settings.scales, model.inputs, flip=settings.flip),
            base=settings.base if self.params.chosen("geometry") == "network" else None,
            device=ctx.device,
        )
        items = ((image_id, view.image(image_id), view.tags(image_id)) for image_id in view.ids)
        for done, inferred in enumerate(inference(items), start=1):
            classes, size = view.tags(inferred.image_id), view.size(inferred.image_id)
            scores = SoftScores(classes, downsample(inferred.response, settings.stride), size)
            mask = self.label(scores, view, inferred.image_id, threshold=settings.threshold, device=ctx.device)
            yield PseudoLabel(inferred.image_id, mask, scores)
            ctx.progress(done, len(view.ids))

    def label(self, scores: SoftScores, view: View, image_id: str, *, threshold: float, device: str = "cpu") -> Mask:
        """(H, W) uint8 of the stored maps by the chosen rule, 255 = left open (``labels="confident"``)."""
        if not scores.classes:
            return np.full(scores.size, BACKGROUND, np.uint8)
        maps = upsample(scores)
        if self.params.labels == "power":
            return power_labels(maps, scores.classes, self.params.a_low)
        if self.params.labels == "confident":
            exponents = (self.params.a_low, self.params.a_high)
            image = view.image(image_id)
            side = None if self.params.chosen("lengths") == "pixels" else REFERENCE_SIDE
            return confident_labels(image, maps, scores.classes, exponents=exponents, device=device, crf_side=side)
        chosen = threshold if self.params.threshold is None else self.params.threshold
        return threshold_labels(maps, scores.classes, chosen)


def views_of(params: InferenceParams, scales: tuple[float, ...], inputs: InputRule, *, flip: bool) -> Views:
    """How the classifier is shown an image: as in the protocol's CAMs, except where the preset says otherwise.

    Args:
        params: The switches.
        scales: Of the protocol's CAMs.
        inputs: What the network wants to see.
        flip: Of the protocol's CAMs.
    """
    network = params.chosen("geometry") == "network"
    return Views(
        scales=params.chosen("scales") or scales,
        flip=flip if network else True,
        inputs=inputs,
        own_sides=network,
        mask_chain=params.chosen("mask_chain") == "official",
        mask_mirror=params.chosen("mask_mirror") == "fixed",
    )


def confident_labels(
    image: Image,
    maps: npt.NDArray[np.float32],
    classes: Sequence[int],
    *,
    exponents: tuple[float, float],
    device: str = "cpu",
    crf_side: float | None = None,
) -> Mask:
    """Seeds of PSA (Ahn and Kwak, CVPR 2018): a dense CRF behind a strong and behind a weak background score.

    Args:
        image: (H, W, 3) uint8 RGB.
        maps: (n, H, W) float32 in [0, 1].
        classes: Class of each plane.
        exponents: a_low and a_high of the background score (1 - max)^a; the larger one is the weaker background.
        device: Where the CRF is computed: numba on the CPU, torch on a GPU.
        crf_side: Long side of the images for which its kernels are meant, ``None`` = of any image.

    Returns:
        (H, W) uint8: the class where the first finds foreground, background where the second finds none, else 255.
    """
    backend: Literal["numba", "torch"] = "numba" if device == "cpu" else "torch"
    kernels = kernels_for(image.shape[:2], PAIRWISE, reference=crf_side)
    crf = DenseCRF(image, pairwise=kernels, backend=backend, device=device)
    index = np.array([BACKGROUND, *classes], np.uint8)
    strict, loose = (
        index[crf.infer(np.concatenate([background_power(maps, a)[None], maps]), 10).argmax(axis=0)] for a in exponents
    )
    return np.where(strict != BACKGROUND, strict, np.where(loose == BACKGROUND, BACKGROUND, IGNORE)).astype(np.uint8)
