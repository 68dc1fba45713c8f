"""Parameters of the built-in refiners. Importing this module loads neither numpy nor torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from harness.contract.errors import ConfigError

CrfBackend = Literal["numba", "torch", "pydensecrf2"]
"""What computes a dense CRF."""


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
    alpha: float = _field(4.0, "soft scores: background score (1 - max)^alpha")
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
    alpha: float = _field(4.0, "soft scores: background score (1 - max)^alpha")
    certainty: float = _field(0.7, "labels without soft scores: probability of the label")

    def __post_init__(self) -> None:
        if self.radius < 0 or self.subsample < 1:
            raise ConfigError(
                f"guided_filter: radius must be 0 or more and subsample 1 or more, got {self.radius}, {self.subsample}"
            )
        _check("guided_filter", self, ("eps", "alpha"))


def _check(refiner: str, params: DenseCrfParams | GuidedFilterParams, positive: tuple[str, ...]) -> None:
    for name in positive:
        if not getattr(params, name) > 0:
            raise ConfigError(f"{refiner}: {name} must be positive, got {getattr(params, name)}")
    if not 0 < params.certainty < 1:
        raise ConfigError(f"{refiner}: certainty must lie between 0 and 1, got {params.certainty}")
