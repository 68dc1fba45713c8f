"""Parameters of the reference methods, and what the records make of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from harness.contract import (
    BOXES,
    CAMS,
    MINIMUM_BARRIER,
    TAGS,
    ConfigError,
    Need,
    Round,
    SharedStage,
    Supervision,
    Use,
    masks,
)
from harness.maps import AffinityWalkParams

SALIENT = "salient pixels are foreground, of the image's tag or of the tag with the highest CAM"
MIXED = "pixel masks of a fixed fraction, GrabCut in the boxes of the rest"


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


def subset_needs(params: SubsetParams) -> tuple[Need, ...]:
    """Pixel masks of the fraction."""
    return (masks(params.fraction),)


@dataclass(frozen=True)
class GrabCutPixelsParams(GrabCutParams, SubsetParams):
    """Parameters of ``box_grabcut_pixels``."""


@dataclass(frozen=True)
class SaliencyTagsParams:
    """Parameters of ``saliency_tags``."""

    saliency: Literal["dataset", "minimum_barrier"] = field(
        default="dataset", metadata={"help": "the data set's maps (supervision S), or maps made from the image alone"}
    )
    theta: float = field(default=0.5, metadata={"help": "a pixel is foreground above this saliency"})

    def __post_init__(self) -> None:
        if not 0 <= self.theta < 1:
            raise ConfigError(f"saliency_tags: theta must lie in [0, 1), got {self.theta}")


def grabcut_pixels_needs(params: GrabCutPixelsParams) -> tuple[Need, ...]:
    """Boxes of all images, pixel masks of the fraction."""
    return (BOXES, *subset_needs(params))


def saliency_needs(params: SaliencyTagsParams) -> tuple[Need, ...]:
    """Tags, and saliency where it is the data set's."""
    if params.saliency == "minimum_barrier":
        return (TAGS,)
    instead = "set its parameter `saliency: minimum_barrier` for maps made from the image"
    return (TAGS, Need(Supervision.SALIENCY, instead=instead))


def saliency_uses(params: SaliencyTagsParams) -> tuple[SharedStage, ...]:
    """CAMs, which tell the classes of an image apart, and saliency where it is made from the image."""
    return (CAMS, MINIMUM_BARRIER) if params.saliency == "minimum_barrier" else (CAMS,)


CAM_CRF = (Round(Use("cam"), refiners=(Use("dense_crf", {"alpha": None}),)),)
"""Plain CAM, whose scores a dense CRF snaps to the image; the background score is the protocol's."""


def cam_walk(params: AffinityWalkParams) -> tuple[Round, ...]:
    """Plain CAM, whose scores walk on the classifier's features."""
    return (Round(Use("cam"), refiners=(Use("affinity_walk", asdict(params)),)),)


def one_round(generator: str) -> Callable[[Any], tuple[Round, ...]]:
    """The method of one generator that hands its parameters on."""

    def rounds(params: Any) -> tuple[Round, ...]:
        return (Round(Use(generator, asdict(params))),)

    return rounds
