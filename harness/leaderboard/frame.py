"""The result frame: everything that a rendering may show, as typed models. Its JSON is the published schema.

All shares (mIoU, percent of full, coverage) are fractions of 1 in full precision; ``None`` where there is no number. No
number in it was typed by hand or filled in.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1

Status = Literal["ok", "partial", "failed", "timeout"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReportedNumber(_Model):
    """A number from a paper with the settings that it was measured under; ``None`` = not confirmed."""

    value: float
    metric: str
    dataset: str
    split: str
    source: str
    backbone: str | None = None
    init: str | None = None
    crf: bool | None = None


class RowError(_Model):
    """Why a row has no numbers, or not those of all its seeds."""

    seed: int
    stage: str | None = None
    kind: str
    message: str = ""
    log: str | None = None


class Row(_Model):
    """One method on one backbone with one set of initial weights, over seeds.

    Attributes:
        rank: By ``val_miou`` among rows that share fingerprint, backbone and initial weights; ``None`` for rows that
            are not ``ok``.
        method: Label of the row.
        seeds: The seeds that the numbers are of (without numbers: those that were tried), ascending.
        status: ``ok``; ``partial`` when only the listed seeds succeeded; ``failed`` or ``timeout`` when none did.
        pseudo_miou: Mean over seeds on the training images, with its 95 % bootstrap interval over images.
        val_miou: Likewise on the scored validation images; ``val_miou_seed_sd`` is ``None`` for one seed.
        percent_of_full: ``val_miou`` as a share of that of the row ``full`` with the same backbone and weights.
        oracle_pseudo_miou: At the threshold that hidden masks would choose; diagnostic only.
        annotation_hours: Published labelling costs times training images (``harness.leaderboard.annotation``).
        seconds: Wall time of all distinct stages, mean over seeds.
        peak_memory_mib: Largest peak of any stage.
        verified: Whether ``wsss verify`` recomputed the numbers; ``None`` = not checked.
        class_iou: Validation IoU by class, mean over seeds; ``None`` for a class that the truth lacks.
    """

    rank: int | None
    method: str
    year: int | None
    supervision: str
    backbone: str
    init: str
    dataset: str
    seeds: list[int]
    status: Status
    pseudo_miou: float | None = None
    pseudo_miou_low: float | None = None
    pseudo_miou_high: float | None = None
    val_miou: float | None = None
    val_miou_low: float | None = None
    val_miou_high: float | None = None
    val_miou_seed_sd: float | None = None
    percent_of_full: float | None = None
    oracle_pseudo_miou: float | None = None
    annotation_hours: float | None = None
    seconds: float | None = None
    peak_memory_mib: float | None = None
    reported: list[ReportedNumber] | None = None
    verified: bool | None = None

    fingerprint: str
    init_sha256: str | None = None
    label_coverage: float | None = None
    class_iou: list[float | None] | None = None
    error: RowError | None = None
    reference: bool = False
    reconstruction: bool = False


class DatasetSummary(_Model):
    """Name, class names in index order, and images by split."""

    name: str
    classes: list[str]
    images: dict[str, int]


class Board(_Model):
    """A table.

    Attributes:
        fingerprint: Of the protocol that all rows share; ``None`` when ``mixed``.
        protocol: That protocol; ``None`` when ``mixed``.
        dataset: That data set; ``None`` when ``mixed``.
        benchmark: Name or names of the benchmark.
        mixed: True when rows of different fingerprints were put together on request: not comparable.
        notes: What a reader must know, one sentence each.
        rows: In table order.
    """

    schema_version: int = SCHEMA_VERSION
    fingerprint: str | None
    benchmark: str
    dataset: DatasetSummary | None
    mixed: bool = False
    notes: list[str] = []
    protocol: dict[str, Any] | None
    rows: list[Row]
