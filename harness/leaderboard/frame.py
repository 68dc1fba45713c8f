"""The result frame: everything that a rendering may show, as typed models. Its JSON is the published schema.

All shares (mIoU, percent of full, coverage) are fractions of 1 in full precision; ``None`` where there is no number. No
number in it was typed by hand or filled in.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.leaderboard.page.panels import Gallery

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


class Estimate(_Model):
    """A number, mean over seeds, with its 95 % bootstrap interval over images."""

    value: float
    low: float
    high: float


class MetricColumn(_Model):
    """A registered metric that somebody asked for.

    Attributes:
        header: Of its column.
        about: What it is, in one line.
        percent: Whether texts show it in per cent.
    """

    header: str
    about: str
    percent: bool = True


class Row(_Model):
    """One method on one backbone with one set of initial weights, over seeds.

    Attributes:
        rank: One more than the number of rows that are significantly better, among rows that share fingerprint,
            backbone and initial weights; rows may share a rank. ``None`` for rows that are not ``ok`` or share no seed
            with the others.
        method: Label of the row.
        seeds: The seeds that the numbers are means over, or without numbers those that were tried; ascending.
        status: ``ok``; ``partial`` when only the listed seeds succeeded; ``failed`` or ``timeout`` when none did.
        pseudo_miou: Mean over seeds on the training images, with its 95 % bootstrap interval over images.
        val_miou: Likewise on the scored validation images; ``val_miou_seed_sd`` is ``None`` for one seed.
        percent_of_full: ``val_miou`` as a share of that of the row ``full`` with the same backbone and weights, and as
            many ``trainings`` where there is one, over the seeds that both have.
        code: What tells the code of this row from that of other rows; left out where all rows are of one state.
        percent_of_full_seeds: These seeds, left out where they are all seeds of both rows.
        above_full: Whether the paired interval of this row minus that row ``full`` lies above 0.
        stated: Whether the author of the benchmark file states supervision and annotation hours, of labels or
            predictions in files; left out where the harness knows them.
        boxes_from_masks: Whether boxes are among its supervision that nobody drew; there are no annotation hours then.
        made_from_masks: Further kinds among its supervision that nobody drew; there are no annotation hours then.
        noisy_tags: Whether tags are among its supervision that hold mistakes on purpose.
        trainings: How many trainings of the protocol's steps its last segmenter has seen, where it is more than one.
        oracle_pseudo_miou: At the threshold that hidden masks would choose; diagnostic only.
        annotation_hours: Published labelling costs times training images (``harness.leaderboard.annotation``).
        seconds: Wall time of all distinct stages, mean over seeds.
        peak_memory_mib: Largest peak of any stage; ``peak_gpu_memory_mib`` likewise, left out without a GPU.
        verified: Whether ``wsss verify`` recomputed the numbers; ``None`` = not checked.
        class_iou: Validation IoU by class, mean over seeds, with its 95 % bootstrap interval; ``None`` for a class that
            the truth lacks.
        tied_with: Ranked rows from which this one does not differ significantly, in table order.
        val_miou_seeds: ``val_miou`` of each of ``seeds``; ``pseudo_miou_seeds`` likewise.
        metrics: The metrics of ``Board.metrics`` that this row has a value of; left out where nobody asked for any.
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
    peak_gpu_memory_mib: float | None = Field(None, exclude_if=lambda value: value is None)

    fingerprint: str
    init_sha256: str | None = None
    label_coverage: float | None = None
    class_iou: list[float | None] | None = None
    class_iou_low: list[float | None] | None = None
    class_iou_high: list[float | None] | None = None
    val_miou_seeds: list[float] | None = None
    pseudo_miou_seeds: list[float] | None = None
    tied_with: list[str] = []
    error: RowError | None = None
    reference: bool = False
    reconstruction: bool = False
    trains_backbone: bool = Field(default=False, exclude_if=lambda value: not value)
    percent_of_full_seeds: list[int] | None = Field(None, exclude_if=lambda value: value is None)
    above_full: bool = Field(default=False, exclude_if=lambda value: not value)
    boxes_from_masks: bool = Field(default=False, exclude_if=lambda value: not value)
    made_from_masks: list[str] = Field([], exclude_if=lambda value: not value)
    stated: bool = Field(default=False, exclude_if=lambda value: not value)
    noisy_tags: bool = Field(default=False, exclude_if=lambda value: not value)
    trainings: int | None = Field(None, exclude_if=lambda value: value is None)
    code: str | None = Field(None, exclude_if=lambda value: value is None)
    metrics: dict[str, Estimate] = Field({}, exclude_if=lambda value: not value)


class DatasetSummary(_Model):
    """Name, class names in index order, images by split; the splits without masks, left out where there are none."""

    name: str
    classes: list[str]
    images: dict[str, int]
    unmasked: list[str] = Field([], exclude_if=lambda value: not value)


class PairTest(_Model):
    """Two ranked rows of one ``Comparison`` on the same validation images (``harness.scoring.paired``).

    Attributes:
        left: Label of a row, above ``right`` in the table.
        right: Label of the other row.
        seeds: Seeds that both rows have; they are compared seed by seed.
        difference: ``val_miou`` of ``left`` minus that of ``right`` over ``seeds``.
        low: Lower end of the difference's 95 % paired bootstrap interval over images; ``high`` the upper end.
        p: Of the two-sided paired permutation test over images.
        p_holm: The same after Holm's correction over all pairs of the comparison.
        significant: Whether ``p_holm`` is at most 0.05.
    """

    left: str
    right: str
    seeds: list[int]
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    significant: bool


class Comparison(_Model):
    """Every pair of the ranked rows that share fingerprint, backbone and initial weights.

    Attributes:
        permutations: Exchanges that a p value is computed from.
        resolvable: The smallest difference that the images can resolve: median over pairs of 2.8 bootstrap standard
            errors of the paired difference (80 % power at the 5 % level, one pair); ``None`` without a pair.
    """

    fingerprint: str
    backbone: str
    init: str
    init_sha256: str | None = None
    permutations: int
    resolvable: float | None
    pairs: list[PairTest]


class ClaimAnswer(_Model):
    """What the measured rows say about a claim of a paper (``harness.leaderboard.claims``).

    Attributes:
        left: Label of the row that the claim is about; ``right`` of the row that it is compared with.
        metric: ``val mIoU`` or ``pseudo-label mIoU``.
        direction: ``>``, ``<``, ``=`` or ``>=``, as the claim states it.
        relative: True when ``reported`` and ``measured`` are left / right, else they are left - right.
        reported: What the source states; ``None`` = only the direction.
        measured: What the rows give, with its 95 % paired bootstrap interval over images.
        seeds: The seeds that both rows have; ``measured`` is the mean over them. Left out without a measurement.
        verdict: The answer.
        reason: Why, in a few words.
        text: The claim in one sentence.
        setting: Data set, split and backbone as the source names them.
        source: Where the claim stands.
        backbone: Backbone of the two measured rows.
    """

    left: str
    right: str
    metric: str
    direction: str
    relative: bool = False
    reported: float | None = None
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: Literal["holds", "does not hold", "unresolved", "not comparable"]
    reason: str
    text: str = ""
    setting: str = ""
    source: str
    backbone: str | None = None
    seeds: list[int] | None = Field(None, exclude_if=lambda value: value is None)

    @property
    def answered(self) -> bool:
        """Whether the rows say anything about the claim."""
        return self.verdict != "not comparable"


class Board(_Model):
    """A table.

    Attributes:
        fingerprint: Of the protocol that all rows share; ``None`` when ``mixed``.
        protocol: That protocol; ``None`` when ``mixed``.
        dataset: That data set; ``None`` when ``mixed``.
        benchmark: Name or names of the benchmark.
        mixed: True when rows of different fingerprints were put together on request: not comparable.
        notes: What a reader must know, one sentence each.
        warnings: What is wrong with the table, one sentence each, naming the rows; left out where there is nothing.
        rows: In table order.
        comparisons: Paired tests behind the ranks, one for each group of comparable rows.
        claims: Answers to the claims of the papers; empty unless they were asked for.
        all_claims: Whether renderings for people list the claims that the rows cannot answer, not just their number;
            never part of the JSON, which has them all.
        metrics: The registered metrics that ``--columns`` named, by name of the column; left out where there is none.
        columns: Names of the columns that a text or CSV shows (``harness.leaderboard.chosen``); empty for all.
        gallery: Pictures for a page; never part of the JSON.
    """

    schema_version: int = SCHEMA_VERSION
    fingerprint: str | None
    benchmark: str
    dataset: DatasetSummary | None
    mixed: bool = False
    notes: list[str] = []
    warnings: list[str] = Field([], exclude_if=lambda value: not value)
    protocol: dict[str, Any] | None
    metrics: dict[str, MetricColumn] = Field({}, exclude_if=lambda value: not value)
    rows: list[Row]
    comparisons: list[Comparison] = []
    claims: list[ClaimAnswer] = []
    all_claims: bool = Field(default=False, exclude=True)
    columns: list[str] = Field(default=[], exclude=True)
    gallery: Gallery | None = Field(default=None, exclude=True)

    @property
    def listed_claims(self) -> list[ClaimAnswer]:
        """The claims that a rendering for people lists: those that are answered, then the others if asked for."""
        return [answer for answer in self.claims if self.all_claims or answer.answered]

    @property
    def folded_claims(self) -> str:
        """What stands for the claims that are not listed; empty when there are none."""
        left = len(self.claims) - len(self.listed_claims)
        if not left:
            return ""
        further = "further " if self.listed_claims else ""
        if left == 1:
            return f"1 {further}claim is not comparable: the rows cannot answer it (listed with --all-claims)."
        return f"{left} {further}claims are not comparable: the rows cannot answer them (listed with --all-claims)."
