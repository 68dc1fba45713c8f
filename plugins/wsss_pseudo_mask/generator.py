"""CVS and PMG as a generator on the shared CAMs and as refiners of any soft scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from harness.contract import BACKGROUND, Context, DataError, Generator, PseudoLabel, Refiner, SoftScores, View
from harness.maps import ScoreReader, upsample
from wsss_pseudo_mask import method
from wsss_pseudo_mask.params import CvsPmgParams


class CvsPmgGenerator(Generator):
    """Pseudo labels from the shared classifier's CAMs."""

    def __init__(self, params: CvsPmgParams) -> None:
        self._params = params

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """One mask for each image, without ignored pixels; an image without tags is background."""
        cams = ScoreReader(ctx.input("cams"))
        items = ((image_id, cams.get(image_id)) for image_id in view.ids)
        for done, label in enumerate(pseudo_labels(items, view, ctx, self._params), start=1):
            yield label
            ctx.progress(done, len(view.ids))


class CvsPmgRefiner(Refiner):
    """The same on the soft scores of another generator; its masks are not looked at."""

    def __init__(self, params: CvsPmgParams) -> None:
        self._params = params

    def refine(self, labels: Iterable[PseudoLabel], view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """One mask for each label.

        Raises:
            DataError: A label holds objects but carries no soft scores.
        """

        def items() -> Iterator[tuple[str, SoftScores | None]]:
            for label in labels:
                if label.scores is None and (label.mask != BACKGROUND).any():
                    raise DataError(f"cvs_pmg: the label of image {label.image_id!r} carries no soft scores")
                yield label.image_id, label.scores

        yield from pseudo_labels(items(), view, ctx, self._params)


def pseudo_labels(
    items: Iterable[tuple[str, SoftScores | None]], view: View, ctx: Context, params: CvsPmgParams
) -> Iterator[PseudoLabel]:
    """One mask for each id and its soft scores, in order."""
    alpha = background_exponent(params, ctx)
    if params.pcm:
        from wsss_pseudo_mask.pcm import correlated  # imports the networks, which only PCM needs

        items = correlated(items, view, ctx)
    device = ctx.device if params.crf else "cpu"  # asking for the device imports torch, which the rest does not need
    for image_id, scores in items:
        yield pseudo_label(image_id, scores, view, params, alpha, device=device)


def background_exponent(params: CvsPmgParams, ctx: Context) -> float:
    """Alpha: the given one, the paper's, or one that fits the protocol's CAMs.

    With the last, the foreground of a raw map begins at the protocol's background score, as for every other method.
    CVS lifts all maps. The place of that score is then taken by what an evenly spread map has there after CVS, so that
    peaky maps gain pixels and flat ones lose some, whatever the CAMs.
    """
    if params.alpha is not None:
        return params.alpha
    if params.preset == "official":
        return method.ALPHA
    variation = method.even_variation(tau=params.tau, strength=params.smoothing) if params.cvs else 0.0
    return method.neutral_alpha(ctx.settings["cam"].threshold ** (1 - variation))


def pseudo_label(
    image_id: str, scores: SoftScores | None, view: View, params: CvsPmgParams, alpha: float, *, device: str = "cpu"
) -> PseudoLabel:
    """Mask of one image and its smoothed scores; the image is only read for a CRF."""
    if scores is None or not set(scores.classes) - {BACKGROUND}:
        return PseudoLabel(image_id, np.full(view.size(image_id), BACKGROUND, np.uint8), scores)
    stored, classes = method.foreground_planes(scores)
    maps = upsample(SoftScores(classes, stored, scores.size))
    if params.preset == "official":
        maps = maps.astype(np.float16)
    variation = np.zeros(len(classes))
    if params.cvs:
        variation = method.coefficient_of_variation(method.min_max(maps), tau=params.tau, strength=params.smoothing)
    smoothed = method.smooth(maps, variation, tau=params.tau)
    image = view.image(image_id) if params.crf else None
    if params.pmg:
        if image is not None and params.preset == "official":
            image = image[..., ::-1]  # the released PMG code hands the CRF what OpenCV read, which is BGR
        marginals = method.class_marginals(smoothed, image, alpha=alpha, device=device, crf_side=params.kernel_side)
        foreground = marginals > 0.5
        mask = method.proportional_labels(maps, foreground, classes)
    else:
        mask = method.joint_labels(smoothed, classes, image, alpha=alpha, device=device, crf_side=params.kernel_side)
    planes = method.smooth(stored.astype(np.float32), variation, tau=params.tau)
    return PseudoLabel(image_id, mask, SoftScores(classes, np.clip(planes, 0, 1).astype(np.float16), scores.size))
