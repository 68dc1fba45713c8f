"""Parameters of the built-in refiners. Importing this module loads neither numpy nor torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from harness.contract.errors import ConfigError

CrfBackend = Literal["numba", "torch", "pydensecrf2"]
"""What computes a dense CRF."""


_ALPHA = "soft scores: background score (1 - max)^alpha; null = ties where the protocol's CAM rule does"


def _field(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class DenseCrfParams:
    """Parameters of ``dense_crf``. The kernels' defaults are those of the usual CAM post-processing."""

    iterations: int = _field(10, "mean field updates")
    gaussian_sxy: float = _field(3.0, "smoothness kernel: standard deviation in pixels")
    gaussian_compat: float = _field(3.0, "smoothness kernel: weight")
    bilateral_sxy: float = _field(80.0, "appearance kernel: standard deviation in pixels")
    bilateral_srgb: float = _field(13.0, "appearance kernel: standard deviation in grey levels, 0-255")
    bilateral_compat: float = _field(10.0, "appearance kernel: weight")
    alpha: float | None = _field(4.0, _ALPHA)
    certainty: float = _field(0.7, "labels without soft scores: probability of the labelled class")
    backend: CrfBackend = field(
        default="numba",
        metadata={"help": "numba (CPU), torch (on the stage's device) or pydensecrf2 (CPU, if it is installed)"},
    )

    def __post_init__(self) -> None:
        if self.iterations < 0:
            raise ConfigError(f"dense_crf: iterations must be 0 or more, got {self.iterations}")
        _check("dense_crf", self, ("gaussian_sxy", "bilateral_sxy", "bilateral_srgb", "alpha"))


@dataclass(frozen=True)
class GuidedFilterParams:
    """Parameters of ``guided_filter``."""

    radius: int = _field(8, "radius of a window in pixels; 0 leaves labels as they are")
    eps: float = _field(1e-3, "variance of the image, 0 to 1, below which edges are ignored")
    subsample: int = _field(1, "fit at a size this many times smaller; 4 is fast")
    alpha: float | None = _field(4.0, _ALPHA)
    certainty: float = _field(0.7, "labels without soft scores: probability of the label")

    def __post_init__(self) -> None:
        if self.radius < 0 or self.subsample < 1:
            raise ConfigError(
                f"guided_filter: radius must be 0 or more and subsample 1 or more, got {self.radius}, {self.subsample}"
            )
        _check("guided_filter", self, ("eps", "alpha"))


@dataclass(frozen=True)
class AffinityWalkParams:
    """Parameters of ``affinity_walk``; lengths are in cells of the feature grid."""

    levels: tuple[int, ...] = _field((1, 2), "backbone levels whose features make the affinity")
    radius: float = _field(5.0, "cells nearer than this are joined")
    tau: float = _field(0.1, "affinity exp(beta (cos - 1) / tau)")
    beta: float = _field(1.0, "exponent of the affinity; larger = stricter")
    steps: int = _field(16, "steps of the walk; 0 leaves the scores as they are")
    alpha: float | None = _field(None, _ALPHA)
    certainty: float = _field(0.7, "labels without soft scores: probability of the label")

    def __post_init__(self) -> None:
        if self.steps < 0 or not self.levels:
            raise ConfigError(
                f"affinity_walk: steps must be 0 or more and levels name a level, got {self.steps}, {list(self.levels)}"
            )
        _check("affinity_walk", self, ("radius", "tau", "beta", "alpha"))


def _check(
    refiner: str, params: DenseCrfParams | GuidedFilterParams | AffinityWalkParams, positive: tuple[str, ...]
) -> None:
    for name in positive:
        value = getattr(params, name)
        if value is not None and not value > 0:
            raise ConfigError(f"{refiner}: {name} must be positive, got {value}")
    if not 0 < params.certainty < 1:
        raise ConfigError(f"{refiner}: certainty must lie between 0 and 1, got {params.certainty}")
