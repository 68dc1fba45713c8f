"""Parameters of the components; the numbers of sections are those of the README."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from harness.contract import BOXES, ConfigError, Need, Round, Use, masks

OUTSIDE = 0
"""Origin of a pixel's label: outside every box, hence certain background."""
EXACT = 254
"""Origin of a pixel's label: a pixel mask. Boxes are numbered from 1 to 253."""


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
        default=True,
        metadata={
            "help": "one variance per pixel for all classes, which grows exactly where the label is contradicted; "
            "false = one for each class, of which form 'scaled' does not say how far the label is trusted"
        },
    )
    exact_share: float | None = field(
        default=0.5, metadata={"help": "share of every batch from images with a mask; null = as they come"}
    )
    exact_weight: float = field(default=1.0, metadata={"help": "weight of pixels of images with a mask"})
    rule: Literal["off", "fill", "fill_mean", "threshold", "mean"] = field(
        default="fill", metadata={"help": "which box labels turn into background while training"}
    )
    start: float = field(default=1 / 3, metadata={"help": "share of the training before the first label turns"})
    warmup: Literal["both", "variance"] = field(
        default="both", metadata={"help": "what box labels teach before that: mean and variance, or the variance alone"}
    )
    min_fill: float = field(default=0.2, metadata={"help": "a box that would keep less than this share keeps all"})
    min_variance: float = field(
        default=0.5, metadata={"help": "variance from which rule 'threshold' distrusts a label"}
    )
    overlap: bool = field(default=False, metadata={"help": "a label may turn into the class of the box beneath"})
    attenuate_kept: bool = field(
        default=True,
        metadata={
            "help": "labels that are kept against the mean stay attenuated; false = attenuation before start alone"
        },
    )

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


def needs(params: PixelShare) -> tuple[Need, ...]:
    """Boxes of all images, pixel masks of a share."""
    return (BOXES, masks(params.fraction))


def rounds(params: MethodParams) -> tuple[Round, ...]:
    """One round: each component gets its own parameters."""
    given = asdict(params)

    def share(component: type) -> dict[str, Any]:
        return {entry.name: given[entry.name] for entry in fields(component)}

    return (
        Round(
            Use("box_and_pixels", share(BoxAndPixelsParams)),
            segmenter=Use("label_uncertainty", share(LabelUncertaintyParams)),
        ),
    )
