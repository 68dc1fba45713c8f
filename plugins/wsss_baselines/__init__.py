"""Reference methods: the rows that every table is read against, and examples for plugin authors.

Hooks import the cards, so that what a paper reports is no part of the code of a stage.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import (
    BOXES,
    CAMS,
    MASKS,
    TAGS,
    GeneratorRecord,
    MethodRecord,
    Round,
    SegmenterRecord,
    Use,
    hookimpl,
)
from wsss_baselines.params import CamParams, GrabCutParams, SubsetParams, one_round, subset_needs


@hookimpl
def wsss_generators() -> Iterator[GeneratorRecord]:
    """The generators of the reference rows."""
    from wsss_baselines.card import CAM, FILL, GRABCUT

    at = "wsss_baselines.generator:"
    maps, subset = "thresholded CAMs of the shared classifier", "pixel masks of a fixed fraction, nothing else"
    cuts, boxes = "OpenCV GrabCut inside each box, smaller in front", "boxes painted with their class, smaller in front"
    yield GeneratorRecord("full", at + "Full", needs=(MASKS,), summary="the hidden masks themselves")
    yield GeneratorRecord("background", at + "Background", summary="everything is background")
    yield GeneratorRecord(
        "cam", at + "Cam", params=CamParams, needs=(TAGS,), uses=(CAMS,), reads=("cam",), card=CAM, summary=maps
    )
    yield GeneratorRecord("box_fill", at + "BoxFill", needs=(BOXES,), card=FILL, summary=boxes)
    yield GeneratorRecord(
        "box_grabcut", at + "BoxGrabCut", params=GrabCutParams, needs=(BOXES,), card=GRABCUT, summary=cuts
    )
    yield GeneratorRecord("pixel_subset", at + "PixelSubset", params=SubsetParams, needs=subset_needs, summary=subset)


@hookimpl
def wsss_segmenters() -> Iterator[SegmenterRecord]:
    """The protocol's segmenter as it is, and one that always answers background."""
    at = "wsss_baselines.segmenter:"
    yield SegmenterRecord("plain", at + "Plain", summary="the protocol's segmenter, cross entropy")
    yield SegmenterRecord("constant", at + "Constant", summary="predicts background, is not trained", trains=False)


@hookimpl
def wsss_methods() -> Iterator[MethodRecord]:
    """One reference row each."""
    from wsss_baselines.card import CAM, FILL, GRABCUT

    floor = (Round(Use("background"), segmenter=Use("constant")),)
    cut, subset = one_round("box_grabcut"), one_round("pixel_subset")
    text = "the same segmenter trained only on the pixel-labelled subset"
    yield MethodRecord("full", (Round(Use("full")),), reference=True, summary="full supervision, the ceiling")
    yield MethodRecord("background", floor, reference=True, summary="all background, the floor")
    yield MethodRecord("cam", one_round("cam"), params=CamParams, reference=True, card=CAM, summary="plain CAM")
    yield MethodRecord("box_fill", (Round(Use("box_fill")),), reference=True, card=FILL, summary="filled boxes")
    yield MethodRecord(
        "box_grabcut", cut, params=GrabCutParams, reference=True, card=GRABCUT, summary="GrabCut in boxes"
    )
    yield MethodRecord("pixel_subset", subset, params=SubsetParams, reference=True, summary=text)
