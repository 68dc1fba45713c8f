"""Reference methods: the rows that every table is read against, and examples for plugin authors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.contract import (
    BOXES,
    CAMS,
    MASKS,
    TAGS,
    Card,
    GeneratorRecord,
    MethodRecord,
    Need,
    Round,
    SegmenterRecord,
    Use,
    hookimpl,
    masks,
)


@dataclass(frozen=True)
class CamParams:
    """Parameters of ``cam``."""

    threshold: float | None = field(
        default=None, metadata={"help": "background score; null = the protocol's fixed cam.threshold"}
    )


@dataclass(frozen=True)
class GrabCutParams:
    """Parameters of ``box_grabcut``."""

    iterations: int = field(default=5, metadata={"help": "GrabCut iterations in each box"})
    margin: float = field(default=0.5, metadata={"help": "context around the box, as a share of its sides"})
    min_fill: float = field(default=0.05, metadata={"help": "a box whose object gets less than this share is filled"})


@dataclass(frozen=True)
class SubsetParams:
    """Parameters of ``pixel_subset``."""

    fraction: float = field(default=0.18, metadata={"help": "share of the training images with a pixel mask"})


def _subset_needs(params: SubsetParams) -> tuple[Need, ...]:
    return (masks(params.fraction),)


def _one_round(generator: str) -> Callable[[Any], tuple[Round, ...]]:
    """The method of one generator that hands its parameters on."""

    def rounds(params: Any) -> tuple[Round, ...]:
        return (Round(Use(generator, asdict(params))),)

    return rounds


_CAM = Card(
    "Class activation maps",
    paper="Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016",
    year=2016,
)
_GRABCUT = Card(
    "GrabCut inside each box",
    paper="Rother et al., GrabCut, SIGGRAPH 2004; as a box baseline: Khoreva et al., CVPR 2017",
    year=2004,
)
_FILL = Card("Filled boxes", paper="the Bbox-Rect baseline of Papandreou et al., ICCV 2015", year=2015)


@hookimpl
def wsss_generators() -> Iterator[GeneratorRecord]:
    """The generators of the reference rows."""
    at = "wsss_baselines.method:"
    yield GeneratorRecord("full", at + "Full", needs=(MASKS,), summary="the hidden masks themselves")
    yield GeneratorRecord("background", at + "Background", summary="everything is background")
    yield GeneratorRecord(
        "cam",
        at + "Cam",
        params=CamParams,
        needs=(TAGS,),
        uses=(CAMS,),
        reads=("cam",),
        card=_CAM,
        summary="thresholded CAMs of the shared classifier",
    )
    yield GeneratorRecord(
        "box_fill",
        at + "BoxFill",
        needs=(BOXES,),
        card=_FILL,
        summary="boxes painted with their class, smaller in front",
    )
    yield GeneratorRecord(
        "box_grabcut",
        at + "BoxGrabCut",
        params=GrabCutParams,
        needs=(BOXES,),
        card=_GRABCUT,
        summary="OpenCV GrabCut inside each box, smaller in front",
    )
    yield GeneratorRecord(
        "pixel_subset",
        at + "PixelSubset",
        params=SubsetParams,
        needs=_subset_needs,
        summary="pixel masks of a fixed fraction, nothing else",
    )


@hookimpl
def wsss_segmenters() -> Iterator[SegmenterRecord]:
    """The protocol's segmenter as it is, and one that always answers background."""
    yield SegmenterRecord("plain", "wsss_baselines.method:Plain", summary="the protocol's segmenter, cross entropy")
    yield SegmenterRecord(
        "constant", "wsss_baselines.method:Constant", summary="predicts background, is not trained", trains=False
    )


@hookimpl
def wsss_methods() -> Iterator[MethodRecord]:
    """One reference row each."""
    yield MethodRecord("full", (Round(Use("full")),), reference=True, summary="full supervision, the ceiling")
    yield MethodRecord(
        "background",
        (Round(Use("background"), segmenter=Use("constant")),),
        reference=True,
        summary="all background, the floor",
    )
    yield MethodRecord("cam", _one_round("cam"), params=CamParams, reference=True, card=_CAM, summary="plain CAM")
    yield MethodRecord("box_fill", (Round(Use("box_fill")),), reference=True, card=_FILL, summary="filled boxes")
    yield MethodRecord(
        "box_grabcut",
        _one_round("box_grabcut"),
        params=GrabCutParams,
        reference=True,
        card=_GRABCUT,
        summary="GrabCut in boxes",
    )
    yield MethodRecord(
        "pixel_subset",
        _one_round("pixel_subset"),
        params=SubsetParams,
        reference=True,
        summary="the same segmenter trained only on the pixel-labelled subset",
    )
