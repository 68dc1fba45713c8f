"""Parameters of the generator and of the method, and what the records make of them; free of torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from harness.contract import CLASSIFIER, ConfigError, Round, SharedStage, Use

_SWITCHES = ("start", "compete", "resolution", "hard_count", "momentum")
PRESETS = {
    "intended": dict(zip(_SWITCHES, ("classifier", "tagged", "cells", "classes", "protocol"), strict=True)),
    "official": dict(zip(_SWITCHES, ("initial", "all", "pixels", "21", "weight_decay"), strict=True)),
}
"""What a switch is that was left to the preset (``null``)."""


def _field(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class SeamParams:
    """Parameters of ``seam``; ``null`` = as the preset says."""

    preset: Literal["intended", "official"] = _field(
        "intended", "official: as the released code has it, see start, compete, resolution, hard_count and momentum"
    )
    start: Literal["classifier", "initial"] | None = _field(
        None,
        "begin with the shared classifier, or with the backbone's initial weights as it does (the paper); "
        "null = preset: intended classifier, official initial",
    )
    schedule: float | None = _field(
        None, "iterations as a share of the classifier's; null = 0.25 behind the classifier, 1 from initial weights"
    )
    lr_mult: float | None = _field(
        None, "learning rate as a share of the classifier's; null = 0.1 behind the classifier, 1 from initial weights"
    )
    scale: float = _field(0.3, "side of the second view relative to the first one's")
    hard: float = _field(0.2, "equivariant cross regularisation: share of the values that count, the largest ones")
    min_pool: bool = _field(True, "low scores where the correlated maps are lowest")
    er: bool = _field(True, "equivariant regularisation: the maps of both views agree")
    ecr: bool = _field(
        True, "equivariant cross regularisation: each view's maps agree with the other's correlated ones"
    )
    pcm: bool = _field(True, "pixel correlation module; false = the maps stand for the correlated ones")
    levels: tuple[int, int] = _field((-3, -2), "backbone levels that pixel correlation sees beside the image")
    dropout: float = _field(0.5, "share of the deepest level's channels that are left out in a step")
    resolution: Literal["cells", "pixels"] | None = _field(
        None,
        "losses on the cells of the first view's maps, or on pixels; null = preset: intended cells, official pixels",
    )
    compete: Literal["tagged", "all"] | None = _field(
        None, "classes that pixel correlation chooses among in each cell; null = preset: intended tagged, official all"
    )
    hard_count: Literal["classes", "21"] | None = _field(
        None,
        "hard is a share of the values of all classes, or of 21 classes; null = preset: intended classes, official 21",
    )
    momentum: Literal["protocol", "weight_decay"] | None = _field(
        None,
        "momentum of SGD: the protocol's, or the value of the weight decay (an oversight of the released code); "
        "null = preset: intended protocol, official weight_decay",
    )
    threshold: float | None = _field(None, "background score; null = the protocol's cam.threshold")

    def __post_init__(self) -> None:
        for name in ("schedule", "lr_mult"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"seam: {name} must be positive, got {value}")
        for name in ("scale", "hard"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"seam: {name} must lie in (0, 1], got {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"seam: dropout must lie in [0, 1), got {self.dropout}")
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise ConfigError(f"seam: threshold must lie between 0 and 1, got {self.threshold}")

    def chosen(self, name: str) -> str:
        """The value of a switch, from the preset where it was left open."""
        return str(getattr(self, name) or PRESETS[self.preset][name])


def uses(params: SeamParams) -> tuple[SharedStage, ...]:
    """The shared classifier, where the training begins with it."""
    return (CLASSIFIER,) if params.chosen("start") == "classifier" else ()


def rounds(params: SeamParams) -> tuple[Round, ...]:
    """One round: the labels train the protocol's segmenter."""
    return (Round(Use("seam", asdict(params))),)
