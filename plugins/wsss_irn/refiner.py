"""The refiner: seeds and training in ``fit``, boundaries and walk in ``refine``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from PIL import Image as Pictures

from harness.contract import BACKGROUND, Context, DataError, Image, Mask, PseudoLabel, Refiner, SoftScores, View
from harness.maps import (
    REFERENCE_SIDE,
    Bilateral,
    DenseCRF,
    Gaussian,
    downsample,
    kernels_for,
    threshold_labels,
    upsample,
)
from harness.modelling import TrainingSet, fit, input_rule, save_network, stored_features
from wsss_irn import method
from wsss_irn.network import IrnNetwork, build_network
from wsss_irn.params import WEIGHT_DECAY, IrnParams

WEIGHTS, CURVE = "branches.pth", "train.json"
"""Files of ``fit``: the branches, and their loss curve."""

PAIRWISE = (Gaussian(3.0, 3.0), Bilateral(50.0, 5.0, 10.0))
"""Kernels of the dense CRF of the seeds."""
CERTAINTY, ITERATIONS = 0.7, 10
"""Probability of a hard label in that CRF, and its mean field updates."""


class Irn(Refiner):
    """Boundaries learned from the confident pixels of soft scores, and the scores spread inside them."""

    def __init__(self, params: IrnParams) -> None:
        self._params = params

    def fit(self, labels: Iterable[PseudoLabel], view: View, ctx: Context) -> None:
        """Train the branches on the seeds of ``labels``; resumes from ``ctx.work``.

        Raises:
            DataError: A label holds objects but carries no soft scores.
            ConfigError: ``taps`` names a level that the backbone does not have.
        """
        torch.set_num_threads(ctx.threads)
        network = build_network(self._params, ctx)
        seeds = Seeds(self._params, view, ctx)
        for label in labels:
            seeds.add(label)
        settings, params = ctx.settings["classifier"], self._params
        dataset = TrainingSet(
            view.ids,
            view.image,
            settings=settings.augment,
            seed=ctx.seed("augment"),
            maps=lambda image_id: [seeds.read(image_id)],
            padding=input_rule(ctx.settings["backbone"]).padding,
            features=stored_features(ctx),
        )
        optim = settings.optim.model_copy(
            update={
                "iterations": round(params.schedule * settings.optim.iterations),
                "optimizer": "sgd",
                "lr": params.lr,
                "head_lr_mult": 1.0,
                "momentum": params.sgd_momentum,
                "weight_decay": WEIGHT_DECAY,
                "warmup": 0,
            }
        )
        curve = fit(network, dataset, optim, ctx, rates={"displacement.": 10.0} if params.displacement else {})
        branches = {name: value for name, value in network.state_dict().items() if not name.startswith("backbone.")}
        save_network(ctx.out, branches, weights=WEIGHTS, configs={CURVE: curve})

    def refine(self, labels: Iterable[PseudoLabel], view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Walk the scores of every label; an image without objects stays background.

        Raises:
            DataError: A label holds objects but carries no soft scores.
        """
        torch.set_num_threads(ctx.threads)
        network = build_network(self._params, ctx)
        branches = torch.load(ctx.input("fit") / WEIGHTS, map_location="cpu", weights_only=True)
        network.load_state_dict(branches, strict=False)  # the backbone has its weights already
        network.eval()
        for label in labels:
            yield self._walked(network, label, view, ctx)

    @torch.inference_mode()
    def _walked(self, network: IrnNetwork, label: PseudoLabel, view: View, ctx: Context) -> PseudoLabel:
        scores = object_scores(label)
        if scores is None:
            return PseudoLabel(label.image_id, np.full(label.mask.shape, BACKGROUND, np.uint8), label.scores)
        params, cam = self._params, ctx.settings["cam"]
        boundary = boundary_map(network, view.image(label.image_id), params.side or cam.base)
        maps = method.resize(torch.from_numpy(upsample(scores))[None].to(boundary), boundary.shape[1:])
        walked = method.walk(maps, boundary, radius=params.walk_radius, beta=params.beta, steps=params.steps)
        planes = method.joint_normalise(method.resize(walked, scores.size)[0].cpu().numpy())
        mask = threshold_labels(planes, scores.classes, params.walked_background(cam.threshold))
        stride = max(round(scores.size[0] / scores.values.shape[1]), 1)
        return PseudoLabel(label.image_id, mask, SoftScores(scores.classes, downsample(planes, stride), scores.size))


def object_scores(label: PseudoLabel) -> SoftScores | None:
    """The planes of the classes of objects, ``None`` where the image has none.

    Raises:
        DataError: The label holds objects but carries no soft scores.
    """
    if label.scores is None:
        if (label.mask != BACKGROUND).any():
            raise DataError(
                f"irn: the label of image {label.image_id!r} carries no soft scores; put irn behind a generator that "
                "yields them, such as cam"
            )
        return None
    first = int(BACKGROUND in label.scores.classes)
    classes, values = label.scores.classes[first:], label.scores.values[first:]
    return SoftScores(classes, values, label.scores.size) if classes else None


def boundary_map(network: IrnNetwork, image: Image, side: int | None) -> torch.Tensor:
    """(1, h, w) probability of a boundary in an image (H, W, 3) uint8 RGB, seen with a long side of ``side`` pixels."""
    factor = 1.0 if side is None else side / max(image.shape[:2])
    size = [network.inputs.side(factor * length) for length in image.shape[:2]]
    pixels = network.data_preprocessor.normalise(torch.from_numpy(np.array(image))[None])
    return network.boundaries(method.resize(pixels, size)).float()


class Seeds:
    """The confident labels that the branches learn from, one picture for each image, kept where a kill spares them.

    Args:
        params: The refiner's.
        view: The images.
        ctx: The stage's context.
    """

    def __init__(self, params: IrnParams, view: View, ctx: Context) -> None:
        self._params, self._view, self._ctx = params, view, ctx
        self._folder = ctx.work / "seeds"
        self._folder.mkdir(exist_ok=True)
        self._places = {image_id: str(place) for place, image_id in enumerate(view.ids)}

    def add(self, label: PseudoLabel) -> None:
        """Make the seed of a label, unless it is there.

        Raises:
            DataError: The label holds objects but carries no soft scores.
        """
        path = self._folder / f"{self._places[label.image_id]}.png"
        if path.exists():
            return
        unfinished = path.with_suffix(f".{os.getpid()}.part")  # processes that train together make the same seeds
        Pictures.fromarray(self._made(label)).save(unfinished, format="png")
        unfinished.replace(path)

    def read(self, image_id: str) -> Mask:
        """(H, W) uint8 class indices, 255 = not learned from."""
        with Pictures.open(self._folder / f"{self._places[image_id]}.png") as picture:
            return np.array(picture, dtype=np.uint8)

    def _made(self, label: PseudoLabel) -> Mask:
        scores, params = object_scores(label), self._params
        if scores is None:
            return np.full(label.mask.shape, BACKGROUND, np.uint8)
        planes = upsample(scores)
        strict, loose = (
            threshold_labels(planes, scores.classes, score)
            for score in params.seeds(self._ctx.settings["cam"].threshold)
        )
        if params.crf:
            reference = None if params.preset == "official" else REFERENCE_SIDE
            image = reduced(self._view.image(label.image_id), params.seeds_side)
            small = [method.nearest_label(found, image.shape[:2]) for found in (strict, loose)]
            found = snapped(image, small, scores.classes, reference=reference, device=self._ctx.device)
            strict, loose = (method.nearest_label(one, scores.size) for one in found)
        return method.confident_labels(strict, loose)


def reduced(image: Image, side: int | None) -> Image:
    """An image (H, W, 3) uint8 as it is, or, where its long side is larger than ``side``, with that one."""
    if side is None or max(image.shape[:2]) <= side:
        return image
    height, width = (max(round(length * side / max(image.shape[:2])), 1) for length in image.shape[:2])
    return np.asarray(Pictures.fromarray(image).resize((width, height), Pictures.Resampling.BOX))


def snapped(
    image: Image, labels: Sequence[Mask], classes: tuple[int, ...], *, reference: float | None, device: str
) -> list[Mask]:
    """Hard labels behind a dense CRF each, which share their kernels.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8 each.
        classes: Of the objects that the image may show.
        reference: Long side of the images for which the kernels are meant; ``None`` = pixels of any image.
        device: Where to compute.
    """
    backend: Literal["numba", "torch"] = "numba" if device == "cpu" else "torch"
    kernels = kernels_for(image.shape[:2], PAIRWISE, reference=reference)
    crf = DenseCRF(image, pairwise=kernels, backend=backend, device=device)
    index = np.array([BACKGROUND, *classes], np.uint8)
    problems = np.stack([method.hard_probabilities(label, index, CERTAINTY) for label in labels])
    return list(index[crf.infer_many(problems, ITERATIONS).argmax(axis=1)])
