"""The record of one cell (method x backbone x seed): what was run, with what, and where its confusions lie.

A record is one JSON file, its confusions are ``.npz`` files beside it. Every number of a table is computed from these
files alone. Import this module where it is needed: it loads pydantic.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Score(_Model):
    """One scored set of label maps.

    Attributes:
        split: ``train`` or ``val``.
        confusion: File name of the per-image confusions, beside the record.
        sha256: Content hash of that file.
        images: How many images were scored.
    """

    split: str
    confusion: str
    sha256: str
    images: int


class Oracle(_Model):
    """Threshold sweep of soft scores against hidden masks: diagnostic only, never used for a choice.

    Attributes:
        thresholds: Background scores that were tried, ascending.
        miou: Data-set mIoU at each, fractions of 1.
        best_threshold: The threshold of the largest mIoU.
        best_miou: That mIoU.
        area: Mean of ``miou`` over the thresholds (area under the IoU-threshold curve).
    """

    thresholds: list[float]
    miou: list[float]
    best_threshold: float
    best_miou: float
    area: float


class Failure(_Model):
    """Why a cell has no numbers: stage, exception class, its sentence and the log file."""

    stage: str
    kind: str
    message: str
    log: str | None = None


class StageInfo(_Model):
    """One stage of the cell. Time and peaks are those of the run that computed the artifact; no GPU, no GPU peak."""

    name: str
    key: str
    seconds: float | None = None
    peak_mib: float | None = None
    peak_gpu_mib: float | None = None
    device: str | None = None


class Access(_Model):
    """How often a kind of supervision was read, and of how many different images."""

    reads: int
    images: int


class PluginInfo(_Model):
    """A plugin that took part: distribution, version and a hash of its source."""

    name: str
    distribution: str | None
    version: str | None
    source_sha256: str


class DatasetInfo(_Model):
    """The data set as the protocol sees it: classes, split sizes and content hashes by ``split/kind``."""

    name: str
    classes: list[str]
    images: dict[str, int]
    digests: dict[str, str]
    show_images: bool = False


class RunRecord(_Model):
    """One cell."""

    schema_version: int = SCHEMA_VERSION
    benchmark: str
    fingerprint: str
    protocol: dict[str, Any]
    dataset: DatasetInfo
    label: str = Field(description="name of the table row")
    method: str
    params: dict[str, Any]
    rounds: list[dict[str, Any]]
    reference: bool = False
    reconstruction: bool = False
    paper: str | None = None
    year: int | None = None
    reported: list[dict[str, Any]] = []
    supervision: str
    backbone: str
    init: str = Field(description="what the initial weights were trained on; 'random' without weights")
    init_sha256: str | None = None
    seed: int
    status: Literal["ok", "failed", "timeout"]
    error: Failure | None = None
    scores: dict[str, Score] = Field(default={}, description="'pseudo' (last round, train), 'pseudo_r1', ..., 'val'")
    oracle: Oracle | None = None
    label_coverage: float | None = Field(None, description="share of training pixels whose pseudo label is not 255")
    stages: list[StageInfo] = []
    meter: dict[str, Access] = {}
    plugins: list[PluginInfo] = []
    environment: dict[str, Any] = {}
