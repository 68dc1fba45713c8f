"""Parameters of the generator and of the method, and what the records make of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from harness.contract import CAMS, CLASSIFIER, ConfigError, Round, SharedStage, Use


def _field(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class SelfGuidedParams:
    """Parameters of ``self_guided``; lengths are in cells of the feature grid or in pixels of the image."""

    preset: str = _field("intended", "intended; official does not exist, because no code was published")
    affinity: bool = _field(True, "spread the maps by the affinity walk")
    guided_filter: bool = _field(True, "refine the maps by the guided filter")
    alternation: bool = _field(True, "train on the refined maps and make them anew; false = labels of the warm-up")
    alpha: float | None = _field(
        None, "background is (1 - max)^alpha; larger = more foreground; null = ties where the protocol's CAM rule does"
    )
    levels: tuple[int, ...] = _field((1, 2), "backbone levels whose features make the affinity")
    radius: float = _field(5.0, "affinity: cells nearer than this are joined")
    tau: float = _field(0.1, "affinity: exp((cos - 1) / tau)")
    steps: int = _field(16, "affinity: steps of the walk")
    affinity_loss: float = _field(0.0, "weight of the affinity energy of the maps in training; the other reading")
    filter_radius: int = _field(8, "guided filter: radius of a window in pixels")
    filter_eps: float = _field(1e-3, "guided filter: variance of the image, 0 to 1, below which edges are ignored")
    filter_subsample: int = _field(1, "guided filter: fit at a size this many times smaller; 4 is fast")
    min_peak: float = _field(
        0.05, "a tagged class whose strongest score lies below this is left out of an image; 0 = none"
    )
    margin: float = _field(0.0, "labels whose lead over the second class is smaller become 255")
    schedule: float = _field(0.2, "alternation: iterations as a share of the classifier's")
    lr_mult: float = _field(0.1, "alternation: learning rate as a share of the classifier's")
    freeze_bn: bool = _field(True, "alternation: the trunk's BatchNorm layers stay as the warm-up left them")
    seg_weight: float = _field(1.0, "alternation: weight of the segmentation loss")
    period: int = _field(0, "alternation: epochs between two makings of the labels; 0 = at every step")
    drift_guard: bool = _field(True, "freeze the label network when the foreground leaves [0.5, 2] of its first share")

    def __post_init__(self) -> None:
        if self.preset != "intended":
            raise ConfigError(
                f"self_guided: preset {self.preset!r} does not exist: no code was published; use 'intended'"
            )
        for name in ("tau", "filter_eps", "schedule", "lr_mult"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"self_guided: {name} must be positive, got {getattr(self, name)}")
        for name in ("steps", "filter_radius", "min_peak", "margin", "affinity_loss", "seg_weight", "period"):
            if getattr(self, name) < 0:
                raise ConfigError(f"self_guided: {name} must be 0 or more, got {getattr(self, name)}")
        if self.filter_subsample < 1 or not self.levels or (self.alpha is not None and not self.alpha > 0):
            raise ConfigError("self_guided: filter_subsample and alpha must be positive, levels must name a level")


def uses(params: SelfGuidedParams) -> tuple[SharedStage, ...]:
    """The warm-up, and its CAMs where they are the final maps."""
    return (CLASSIFIER,) if params.alternation else (CLASSIFIER, CAMS)


def rounds(params: SelfGuidedParams) -> tuple[Round, ...]:
    """One round: the final labels train the protocol's segmenter."""
    return (Round(Use("self_guided", asdict(params))),)
