"""Runs and rows that belong together: those that may be compared, and the seeds of one score."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from harness.scoring.metrics import has_scored_pixels

if TYPE_CHECKING:
    from harness.records.reader import Run
    from harness.scoring.confusion import Confusions

FULL = "full"
"""The method that is trained on the true masks: the ceiling that other rows are set against."""


class Configured(Protocol):
    """A run record or a row of a table."""

    @property
    def fingerprint(self) -> str:
        """Of protocol and data."""

    @property
    def backbone(self) -> str:
        """Name."""

    @property
    def init(self) -> str:
        """What the initial weights were trained on."""

    @property
    def init_sha256(self) -> str | None:
        """Of the initial weights."""


def settings_key(item: Configured) -> tuple[str, str, str, str]:
    """What makes records and rows comparable: protocol and data, backbone, and initial weights."""
    return item.fingerprint, item.backbone, item.init, item.init_sha256 or ""


def by_seed(runs: Iterable[Run], score: str) -> dict[int, Confusions]:
    """The confusions of a score of each run that has numbers; a run without a scored pixel is left out."""
    seeds = {run.record.seed: run.confusions(score) for run in runs if run.record.status == "ok"}
    return {seed: scored for seed, scored in seeds.items() if scored is not None and has_scored_pixels(scored)}
