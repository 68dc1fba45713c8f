"""Parameters of the components; what each follows stands in the README."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from harness.contract import ConfigError, Round, Use

OFFICIAL: Mapping[str, Any] = {"scales": (1.0, 0.5, 1.5), "mirror": "all"}
"""What the preset ``official`` sets: the views of the released code."""


LEAST_SIDE = 32
"""Pixels: the first stages attend over cells of 32 pixels."""
MOST_RADIUS, MOST_POWER, MOST_REFINEMENTS = 1000, 64, 1000


@dataclass(frozen=True)
class AfaParams:
    """Parameters of the segmenter ``afa``."""

    affinity: bool = field(default=True, metadata={"help": "learn the affinity, and walk on it; false = maps alone"})
    par: bool = field(default=True, metadata={"help": "pixel-adaptive refinement of labels; false = maps as they are"})
    background_low: float = field(
        default=0.35, metadata={"help": "below this score a pixel is background; between both it is not learned from"}
    )
    background_high: float = field(default=0.55, metadata={"help": "above this score a pixel is of a class"})
    scales: tuple[float, ...] = field(
        default=(1.0, 0.5), metadata={"help": "scales of the activation maps; 1.0 is the training pass itself"}
    )
    mirror: Literal["all", "small", "none"] = field(
        default="small", metadata={"help": "which scales are seen mirrored too: all, those below 1, none"}
    )
    radius: int = field(default=8, metadata={"help": "cells of the last stage by which the cells of a pair may differ"})
    attention_scale: float = field(
        default=1.0,
        metadata={"help": "factor of the raw attention in the affinity, for networks whose attention is sharp"},
    )
    power: int = field(default=2, metadata={"help": "power of the affinity in the walk"})
    dilations: tuple[int, ...] = field(
        default=(1, 2, 4, 8, 12, 24), metadata={"help": "distances of the refinement's neighbours, at half size"}
    )
    refinements: int = field(default=10, metadata={"help": "how often the refinement is repeated"})
    classes_until: float = field(
        default=0.1, metadata={"help": "share of the training in which only the classes are learned"}
    )
    seeds_until: float = field(
        default=0.3, metadata={"help": "share of the training after which labels come from the walk"}
    )
    affinity_weight: float = field(default=0.1, metadata={"help": "weight of the loss of pairs"})
    segmentation_weight: float = field(default=0.1, metadata={"help": "weight of the loss of pixels"})
    freeze_norms: bool = field(default=True, metadata={"help": "the backbone's norm layers keep their weights"})

    def __post_init__(self) -> None:
        if not 0.0 < self.background_low <= self.background_high < 1.0:
            raise ConfigError(
                "background_low and background_high must lie between 0 and 1 in this order, "
                f"got {self.background_low} and {self.background_high}"
            )
        if not 0.0 <= self.classes_until <= self.seeds_until <= 1.0:
            raise ConfigError(
                "classes_until and seeds_until must lie in [0, 1] in this order, "
                f"got {self.classes_until} and {self.seeds_until}"
            )
        if not self.scales or len(set(self.scales)) < len(self.scales) or not all(0.1 <= x <= 4 for x in self.scales):
            raise ConfigError(f"scales must name at least one scale from 0.1 to 4, each once, got {list(self.scales)}")
        if not self.dilations or not all(1 <= x <= 256 for x in self.dilations):
            raise ConfigError(f"dilations must name at least one distance from 1 to 256, got {list(self.dilations)}")
        for name, most in (("radius", MOST_RADIUS), ("power", MOST_POWER), ("refinements", MOST_REFINEMENTS)):
            if not 1 <= getattr(self, name) <= most:
                raise ConfigError(f"{name} must lie in [1, {most}], got {getattr(self, name)}")
        for name in ("affinity_weight", "segmentation_weight", "attention_scale"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} must be a number from 0 on, got {getattr(self, name)}")

    def mirrors(self, scale: float) -> bool:
        """Whether the maps of that scale are made of the mirrored image too."""
        return self.mirror == "all" or (self.mirror == "small" and scale < 1.0)


@dataclass(frozen=True)
class MethodParams(AfaParams):
    """Parameters of the method ``afa``."""

    preset: Literal["intended", "official"] = field(
        default="intended",
        metadata={"help": "'official' takes the views of the released code, six passes more in each step"},
    )

    def __post_init__(self) -> None:
        if self.preset == "official":
            defaults = {entry.name: entry.default for entry in fields(AfaParams)}
            for name, value in OFFICIAL.items():
                if getattr(self, name) not in (defaults[name], value):
                    raise ConfigError(f"preset 'official' sets {name} to {value!r}; leave {name} or the preset out")
                object.__setattr__(self, name, value)
        super().__post_init__()


def check_views(params: AfaParams, crop: int) -> None:
    """Check that a Mix Transformer can see the training crop, ``crop`` pixels wide, at all scales.

    Raises:
        ConfigError: It cannot; names the scale.
    """
    scale = min(1.0, *params.scales)
    if round(scale * crop) < LEAST_SIDE:
        raise ConfigError(
            f"afa: at scale {scale:g} the training crop of {crop} pixels has {round(scale * crop)}, and a Mix "
            f"Transformer needs {LEAST_SIDE}; raise protocol.segmenter.augment.crop, or leave the scale out of scales"
        )


def unfit(backbone: str, frozen: bool) -> str:
    """Why the segmenter cannot be trained on the backbone of that name, or an empty text."""
    if backbone != "config" and not backbone.startswith("mit_"):
        return (
            "its affinity comes from the attention of a Mix Transformer's last stage, which this backbone does not "
            "have (mit_b0, mit_b2, mit_b1_dense and mit_narrow do)"
        )
    if frozen:
        return (
            "its affinity is learned in the backbone's attention, which protocol.freeze keeps as it is "
            "(-o protocol.freeze=null takes that away)"
        )
    return ""


def rounds(params: MethodParams) -> tuple[Round, ...]:
    """One round: the segmenter labels its own images."""
    given = asdict(params)
    own = {entry.name: given[entry.name] for entry in fields(AfaParams)}
    return (Round(Use("none"), segmenter=Use("afa", own)),)
