"""Scoring from integer counts: per-image confusions, metrics, intervals, the threshold sweep. Light to import."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.scoring.confusion import Confusions, image_confusion, score
    from harness.scoring.oracle import sweep
    from harness.scoring.statistics import Interval, miou_interval, seed_spread

__all__ = ["Confusions", "Interval", "image_confusion", "miou_interval", "score", "seed_spread", "sweep"]

_HOMES = {
    "Confusions": "confusion",
    "image_confusion": "confusion",
    "score": "confusion",
    "sweep": "oracle",
    "Interval": "statistics",
    "miou_interval": "statistics",
    "seed_spread": "statistics",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
