"""Reference methods: the rows that every table is read against, and examples for plugin authors.

Hooks import the cards, so that what a paper reports is no part of the code of a stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.contract import (
    BOXES,
    CAMS,
    MASKS,
    TAGS,
    GeneratorRecord,
    MethodRecord,
    NoParams,
    Round,
    SegmenterRecord,
    Use,
    hookimpl,
)
from harness.maps import AffinityWalkParams
from wsss_baselines import params


@hookimpl
def wsss_generators() -> Iterator[GeneratorRecord]:
    """The generators of the reference rows."""
    from wsss_baselines.card import CARDS

    cams: dict[str, Any] = {"uses": (CAMS,), "reads": ("cam",)}
    salient: dict[str, Any] = {"uses": params.saliency_uses}
    subset, mixed = params.subset_needs, params.grabcut_pixels_needs
    generators: tuple[tuple[str, str, type, Any, dict[str, Any], str], ...] = (
        ("full", "Full", NoParams, (MASKS,), {}, "the hidden masks themselves"),
        ("background", "Background", NoParams, (), {}, "everything is background"),
        ("cam", "Cam", params.CamParams, (TAGS,), cams, "thresholded CAMs of the shared classifier"),
        ("saliency_tags", "SaliencyTags", params.SaliencyTagsParams, params.saliency_needs, salient, params.SALIENT),
        ("box_fill", "BoxFill", NoParams, (BOXES,), {}, "boxes painted with their class, smaller in front"),
        ("box_grabcut", "BoxGrabCut", params.GrabCutParams, (BOXES,), {}, "GrabCut inside each box, smaller in front"),
        ("box_grabcut_pixels", "BoxGrabCutPixels", params.GrabCutPixelsParams, mixed, {}, params.MIXED),
        ("pixel_subset", "PixelSubset", params.SubsetParams, subset, {}, "pixel masks of a fixed fraction, no other"),
        ("none", "Nothing", NoParams, (), {"placeholder": True}, "no labels, for a segmenter that makes its own"),
    )
    for name, factory, kind, needs, reads, summary in generators:
        at, card = f"wsss_baselines.generator:{factory}", CARDS.get(name)
        yield GeneratorRecord(name, at, params=kind, needs=needs, card=card, summary=summary, **reads)


@hookimpl
def wsss_segmenters() -> Iterator[SegmenterRecord]:
    """The protocol's segmenter as it is, and one that always answers background."""
    at = "wsss_baselines.segmenter:"
    yield SegmenterRecord("plain", at + "Plain", summary="the protocol's segmenter, cross entropy")
    yield SegmenterRecord("constant", at + "Constant", summary="predicts background, is not trained", trains=False)


@hookimpl
def wsss_methods() -> Iterator[MethodRecord]:
    """One reference row each."""
    from wsss_baselines.card import CARDS

    floor, one = (Round(Use("background"), segmenter=Use("constant")),), params.one_round
    text = "the same segmenter trained only on the pixel-labelled subset"
    for name, rounds, kind, summary in (
        ("full", (Round(Use("full")),), NoParams, "full supervision, the ceiling"),
        ("background", floor, NoParams, "all background, the floor"),
        ("cam", one("cam"), params.CamParams, "plain CAM"),
        ("cam_crf", params.CAM_CRF, NoParams, "plain CAM, then a dense CRF"),
        ("cam_walk", params.cam_walk, AffinityWalkParams, "plain CAM, then a walk on the classifier's features"),
        ("saliency_tags", one("saliency_tags"), params.SaliencyTagsParams, params.SALIENT),
        ("box_fill", (Round(Use("box_fill")),), NoParams, "filled boxes"),
        ("box_grabcut", one("box_grabcut"), params.GrabCutParams, "GrabCut in boxes"),
        ("box_grabcut_pixels", one("box_grabcut_pixels"), params.GrabCutPixelsParams, params.MIXED),
        ("pixel_subset", one("pixel_subset"), params.SubsetParams, text),
    ):
        yield MethodRecord(name, rounds, params=kind, reference=True, card=CARDS.get(name), summary=summary)
