"""Parameters of the components; defaults are the paper's for VOC. Free of numpy and torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from harness.contract import MINIMUM_BARRIER, SALIENCY, ConfigError, Need, Round, SharedStage, Use

INSIDE = "inside"
"""Extra target: 1 in the image, 255 in padding."""
OBJECTNESS = "objectness"
"""Extra target: how much a pixel looks like an object, in 254 steps."""
STEPS = 254


def _help(text: str, default: Any) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class PointsParams:
    """Parameters of the generator ``points``."""

    diameter: int = _help("pixels across the disc that a point labels, an odd number; 1 = the pixel itself", 3)

    def __post_init__(self) -> None:
        if self.diameter < 1 or self.diameter % 2 == 0:
            raise ConfigError(f"diameter must be an odd number of at least 1, got {self.diameter}")


@dataclass(frozen=True)
class TreeEnergyParams:
    """Parameters of the segmenter ``tree_energy``."""

    preset: Literal["intended", "official"] = _help(
        "'official' lets trees run through padding and samples image and labels as the released code does", "intended"
    )
    weight: float = _help("lambda, weight of the loss", 0.4)
    sigma: float = _help(
        "of the low level: squared distance of two colours in [0, 1] (Cityscapes, ADE20K: 0.002)", 0.02
    )
    levels: Literal["low_high", "high_low", "low", "high"] = _help(
        "trees along which probabilities are filtered, in order: colours (low), embedded features (high)", "low_high"
    )

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise ConfigError(f"weight must be 0 or more, got {self.weight}")
        if not self.sigma > 0:
            raise ConfigError(f"sigma must be positive, got {self.sigma}")


@dataclass(frozen=True)
class WhatsThePointParams:
    """Parameters of the segmenter ``whats_the_point``."""

    image_level: bool = _help("each class of the image somewhere, all others nowhere", True)
    objectness: Literal["off", "dataset", "minimum_barrier"] = _help(
        "prior of objects: none, the data set's saliency (supervision S), or a classical method on the image alone",
        "off",
    )


@dataclass(frozen=True)
class PartialParams(PointsParams):
    """Parameters of the method ``partial_ce``."""

    labels: Literal["points", "scribbles"] = _help("which labels the data set is asked for", "scribbles")


@dataclass(frozen=True)
class TreeMethodParams(TreeEnergyParams, PartialParams):
    """Parameters of the method ``tree_energy``: those of its labels and of its segmenter."""

    def __post_init__(self) -> None:
        PartialParams.__post_init__(self)
        TreeEnergyParams.__post_init__(self)


@dataclass(frozen=True)
class PointMethodParams(WhatsThePointParams, PointsParams):
    """Parameters of the method ``whats_the_point``."""


def _part(params: Any, kind: type) -> dict[str, Any]:
    given = asdict(params)
    return {entry.name: given[entry.name] for entry in fields(kind)}


def _labels(params: PartialParams) -> Use:
    return Use("points", _part(params, PointsParams)) if params.labels == "points" else Use("scribbles")


def partial_rounds(params: PartialParams) -> tuple[Round, ...]:
    """The labels that the data set has, and cross entropy on them."""
    return (Round(_labels(params), segmenter=Use("partial_ce")),)


def tree_rounds(params: TreeMethodParams) -> tuple[Round, ...]:
    """The labels that the data set has, and tree energy loss beside cross entropy."""
    return (Round(_labels(params), segmenter=Use("tree_energy", _part(params, TreeEnergyParams))),)


def point_rounds(params: PointMethodParams) -> tuple[Round, ...]:
    """Points, and the losses of What's the Point."""
    segmenter = Use("whats_the_point", _part(params, WhatsThePointParams))
    return (Round(Use("points", _part(params, PointsParams)), segmenter=segmenter),)


def point_needs(params: WhatsThePointParams) -> tuple[Need, ...]:
    """Saliency, where the data set's is the prior."""
    return (Need(SALIENCY.kind, instead="set objectness: minimum_barrier"),) if params.objectness == "dataset" else ()


def point_uses(params: WhatsThePointParams) -> tuple[SharedStage, ...]:
    """Saliency from the images alone, where that is the prior."""
    return (MINIMUM_BARRIER,) if params.objectness == "minimum_barrier" else ()
