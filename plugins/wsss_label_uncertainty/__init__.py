"""Label uncertainty: boxes for all images, pixel masks for a fixed share of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from harness.contract import (
    BOXES,
    Card,
    Claim,
    ConfigError,
    GeneratorRecord,
    MethodRecord,
    Need,
    Reported,
    Round,
    SegmenterRecord,
    Use,
    hookimpl,
    masks,
)


@dataclass(frozen=True)
class PixelShare:
    """Which images carry pixel masks."""

    fraction: float = field(default=0.18, metadata={"help": "share of the training images with a pixel mask"})


@dataclass(frozen=True)
class BoxAndPixelsParams(PixelShare):
    """Parameters of the generator ``box_and_pixels``."""

    shrink_certain: int = field(default=0, metadata={"help": "pixels around every box that are ignored (loose boxes)"})
    interior: Literal["box", "ignore"] = field(
        default="box", metadata={"help": "label inside boxes: their class, or 255 (ablation)"}
    )

    def __post_init__(self) -> None:
        if self.shrink_certain < 0:
            raise ConfigError(f"shrink_certain must not be negative, got {self.shrink_certain}")


@dataclass(frozen=True)
class LabelUncertaintyParams(PixelShare):
    """Parameters of the segmenter ``label_uncertainty``; section numbers are those of the plugin's README."""

    attenuate: Literal["off", "box", "all"] = field(
        default="box", metadata={"help": "where the variance acts: nowhere, inside boxes, on every pixel"}
    )
    form: Literal["scaled", "pairwise"] = field(
        default="scaled", metadata={"help": "expected softmax: scaled means, or the pairwise form"}
    )
    shared_variance: bool = field(
        default=False, metadata={"help": "one variance for all classes; with two classes it always is one"}
    )
    exact_share: float | None = field(
        default=0.5, metadata={"help": "share of every batch from images with a mask; null = as they come"}
    )
    exact_weight: float = field(default=1.0, metadata={"help": "weight of pixels of images with a mask"})
    rule: Literal["off", "fill", "fill_mean", "threshold", "mean"] = field(
        default="fill", metadata={"help": "which box labels turn into background while training"}
    )
    start: float = field(default=1 / 3, metadata={"help": "share of the training before the first label turns"})
    min_fill: float = field(default=0.2, metadata={"help": "a box that would keep less than this share keeps all"})
    min_variance: float = field(
        default=0.5, metadata={"help": "variance from which rule 'threshold' distrusts a label"}
    )
    overlap: bool = field(default=False, metadata={"help": "a label may turn into the class of the box beneath"})

    def __post_init__(self) -> None:
        if self.exact_share is not None and not 0.0 < self.exact_share < 1.0:
            raise ConfigError(f"exact_share must lie between 0 and 1 or be null, got {self.exact_share}")
        for name in ("start", "min_fill"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        for name in ("exact_weight", "min_variance"):
            if getattr(self, name) < 0.0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}")


@dataclass(frozen=True)
class MethodParams(LabelUncertaintyParams, BoxAndPixelsParams):
    """Parameters of the method ``label_uncertainty``: those of its generator and of its segmenter."""

    preset: Literal["intended", "official"] = field(
        default="intended", metadata={"help": "'intended'; there is no released code that 'official' could follow"}
    )

    def __post_init__(self) -> None:
        BoxAndPixelsParams.__post_init__(self)
        LabelUncertaintyParams.__post_init__(self)
        if self.preset == "official":
            raise ConfigError("preset 'official' does not exist: no code of arXiv 2110.05926 is publicly confirmed")


def _needs(params: PixelShare) -> tuple[Need, ...]:
    return (BOXES, masks(params.fraction))


def _rounds(params: MethodParams) -> tuple[Round, ...]:
    given = asdict(params)

    def share(component: type) -> dict[str, Any]:
        return {entry.name: given[entry.name] for entry in fields(component)}

    return (
        Round(
            Use("box_and_pixels", share(BoxAndPixelsParams)),
            segmenter=Use("label_uncertainty", share(LabelUncertaintyParams)),
        ),
    )


_SOURCE = "arXiv 2110.05926, abstract"
_CARD = Card(
    "Weakly-Supervised Semantic Segmentation by Learning Label Uncertainty",
    paper="Neven et al., ICCV 2021 Workshops (ILDAV), arXiv 2110.05926",
    year=2021,
    reconstruction=True,
    reported=(
        Reported(
            0.775, "val mIoU", "cityscapes vehicles and persons", "not confirmed", f"{_SOURCE}; 18 % masks, 82 % boxes"
        ),
        Reported(
            0.798, "val mIoU", "cityscapes vehicles and persons", "not confirmed", f"{_SOURCE}; baseline, all masks"
        ),
    ),
    notes=(
        "Reconstruction: the abstract and one line of third-party code that names section 3.2.1 are all that is known. "
        "Rank it by boxes with 18 % masks, never with methods that use boxes only."
    ),
    claims=(
        Claim(
            "label_uncertainty",
            "full",
            _SOURCE,
            size=0.9833,
            direction=">=",
            metric="val IoU of the object",
            relative=True,
            setting="binary tasks (names not confirmed), 18 % masks and 82 % boxes",
            text="On binary tasks 18 % of the masks and boxes reach about 98.33 % of the IoU of all masks.",
        ),
        Claim(
            "label_uncertainty",
            "full",
            _SOURCE,
            size=0.9712,
            direction=">=",
            relative=True,
            setting="Cityscapes vehicles and persons, 18 % masks and 82 % boxes",
            text="On a multi-class task they reach 97.12 % of the mIoU of all masks (77.5 against 79.8).",
        ),
        Claim(
            "label_uncertainty",
            "label_uncertainty_no_bootstrap",
            _SOURCE,
            text="Turning boxes into masks while training is what makes the boxes useful.",
        ),
        Claim(
            "label_uncertainty",
            "pixel_subset",
            "implied by " + _SOURCE,
            text="Boxes add to the pixel masks of the subset.",
        ),
        Claim("label_uncertainty", "box_fill", "implied by " + _SOURCE, text="Boxes are not used as masks."),
    ),
)


@hookimpl
def wsss_generators() -> Iterator[GeneratorRecord]:
    """Masks where they are declared, painted boxes elsewhere."""
    yield GeneratorRecord(
        "box_and_pixels",
        "wsss_label_uncertainty.method:BoxAndPixels",
        params=BoxAndPixelsParams,
        needs=_needs,
        summary="pixel masks of a fixed fraction, painted boxes on the rest",
    )


@hookimpl
def wsss_segmenters() -> Iterator[SegmenterRecord]:
    """Any mmseg head with a variance beside every mean."""
    yield SegmenterRecord(
        "label_uncertainty",
        "wsss_label_uncertainty.method:LabelUncertainty",
        params=LabelUncertaintyParams,
        needs=_needs,
        reads=("segmenter",),
        card=_CARD,
        summary="learns which box labels are wrong and turns them into background while training",
    )


@hookimpl
def wsss_methods() -> Iterator[MethodRecord]:
    """The method of the paper, reconstructed."""
    yield MethodRecord(
        "label_uncertainty",
        _rounds,
        params=MethodParams,
        card=_CARD,
        summary="boxes for all and pixel masks for 18 %: boxes turn into masks while training",
    )
