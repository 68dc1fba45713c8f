"""Scoring from integer counts: per-image confusions, metrics, intervals, the threshold sweep. Light to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.common.lazy import lazy_face

if TYPE_CHECKING:
    from harness.scoring.confusion import Confusions, image_confusion, score
    from harness.scoring.oracle import sweep
    from harness.scoring.statistics import Interval, miou_interval, seed_spread

__all__ = ["Confusions", "Interval", "image_confusion", "miou_interval", "score", "seed_spread", "sweep"]

__getattr__, __dir__ = lazy_face(__name__)
