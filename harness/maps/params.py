"""Parameters of the refiners; free of numpy and torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from harness.contract.errors import ConfigError

CrfBackend = Literal["numba", "torch", "pydensecrf2"]
"""What computes a dense CRF."""


def _help(text: str, default: float) -> float:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class DenseCrfParams:
    """Parameters of ``dense_crf``. The kernels' defaults are those of the usual CAM post-processing."""

    iterations: int = field(default=10, metadata={"help": "mean field updates"})
    gaussian_sxy: float = _help("smoothness kernel: standard deviation in pixels", 3.0)
    gaussian_compat: float = _help("smoothness kernel: weight", 3.0)
    bilateral_sxy: float = _help("appearance kernel: standard deviation in pixels", 80.0)
    bilateral_srgb: float = _help("appearance kernel: standard deviation in grey levels, 0-255", 13.0)
    bilateral_compat: float = _help("appearance kernel: weight", 10.0)
    alpha: float = _help("soft scores: background score (1 - max)^alpha", 4.0)
    certainty: float = _help("labels without soft scores: probability of the labelled class", 0.7)
    backend: CrfBackend = field(
        default="numba",
        metadata={"help": "numba (CPU), torch (on the stage's device) or pydensecrf2 (CPU, if it is installed)"},
    )

    def __post_init__(self) -> None:
        if self.iterations < 0:
            raise ConfigError(f"dense_crf: iterations must be 0 or more, got {self.iterations}")
        for name in ("gaussian_sxy", "bilateral_sxy", "bilateral_srgb", "alpha"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"dense_crf: {name} must be positive, got {getattr(self, name)}")
        if not 0 < self.certainty < 1:
            raise ConfigError(f"dense_crf: certainty must lie between 0 and 1, got {self.certainty}")
