"""Parameters of the reference methods, and what the records make of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.contract import Need, Round, Use, masks


@dataclass(frozen=True)
class CamParams:
    """Parameters of ``cam``."""

    threshold: float | None = field(
        default=None, metadata={"help": "background score; null = the protocol's fixed cam.threshold"}
    )


@dataclass(frozen=True)
class GrabCutParams:
    """Parameters of ``box_grabcut``."""

    iterations: int = field(default=5, metadata={"help": "GrabCut iterations in each box"})
    margin: float = field(default=0.5, metadata={"help": "context around the box, as a share of its sides"})
    min_fill: float = field(default=0.05, metadata={"help": "a box whose object gets less than this share is filled"})


@dataclass(frozen=True)
class SubsetParams:
    """Parameters of ``pixel_subset``."""

    fraction: float = field(default=0.18, metadata={"help": "share of the training images with a pixel mask"})


def subset_needs(params: SubsetParams) -> tuple[Need, ...]:
    """Pixel masks of the fraction."""
    return (masks(params.fraction),)


def one_round(generator: str) -> Callable[[Any], tuple[Round, ...]]:
    """The method of one generator that hands its parameters on."""

    def rounds(params: Any) -> tuple[Round, ...]:
        return (Round(Use(generator, asdict(params))),)

    return rounds
