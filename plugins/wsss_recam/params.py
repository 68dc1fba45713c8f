"""Parameters of the generator and of the method, and what the records make of them; free of torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from harness.contract import ConfigError, Round, Use


def _field(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class RecamParams:
    """Parameters of ``recam``; ``null`` = as the preset says, or as the optimiser asks for."""

    preset: Literal["intended", "official"] = _field(
        "intended", "official: as the released code has it, see weights and momentum"
    )
    lam: float = _field(1.0, "lambda, weight of the softmax cross-entropy; 0 = the classifier trained longer")
    schedule: float = _field(0.8, "iterations as a share of the classifier's")
    lr_mult: float | None = _field(
        None,
        "rate of backbone and first classifier as a share of the classifier's; null = 0.0005 for SGD, 0.1 for AdamW",
    )
    second_lr_mult: float = _field(10.0, "rate of the second classifier as a multiple of the first one's")
    weights: Literal["product", "supporting", "first", "second"] | None = _field(
        None,
        "weights of the maps: of both classifiers multiplied (supporting: 0 where both are negative), or of one; "
        "null = preset: intended supporting, official product",
    )
    momentum: Literal["protocol", "weight_decay"] | None = _field(
        None,
        "momentum of SGD: the protocol's, or the value of the weight decay (an oversight of the released code); "
        "null = preset: intended protocol, official weight_decay",
    )
    threshold: float | None = _field(None, "background score; null = the protocol's cam.threshold")

    def __post_init__(self) -> None:
        for name in ("schedule", "lr_mult", "second_lr_mult"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"recam: {name} must be positive, got {value}")
        if not self.lam >= 0:
            raise ConfigError(f"recam: lam must be 0 or more, got {self.lam}")
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise ConfigError(f"recam: threshold must lie between 0 and 1, got {self.threshold}")

    @property
    def decay_as_momentum(self) -> bool:
        """Whether SGD gets the weight decay for a momentum."""
        return (self.momentum or ("weight_decay" if self.preset == "official" else "protocol")) == "weight_decay"

    @property
    def map_weights(self) -> str:
        """Which weights make the maps; without the softmax loss the second classifier has learned nothing."""
        if self.lam == 0:
            return "first"
        return self.weights or ("product" if self.preset == "official" else "supporting")


def rounds(params: RecamParams) -> tuple[Round, ...]:
    """One round: the labels train the protocol's segmenter."""
    return (Round(Use("recam", asdict(params))),)
