"""Run records -> the result frame. Every number comes from the records and the confusions beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from harness.contract.errors import ConfigError
from harness.contract.run_record import RunRecord
from harness.contract.scores import PREDICTIONS, VAL
from harness.contract.supervision import Supervision
from harness.leaderboard import annotation, ceiling, pretrained, stated
from harness.leaderboard.claims import answer_claims
from harness.leaderboard.frame import Board, Comparison, DatasetSummary, PairTest, ReportedNumber, Row, RowError
from harness.leaderboard.initial_weights import with_initial_weights
from harness.leaderboard.metrics import Metric, abouts, check_counted, estimates
from harness.records import code_states, truth
from harness.records.groups import by_seed, settings_key
from harness.records.reader import Run, check_same_settings, group_key, once_a_cell
from harness.records.seeds import APART, SHARED, comparable
from harness.scoring.metrics import has_scored_pixels, miou
from harness.scoring.paired import Comparison as Compared
from harness.scoring.paired import compare
from harness.scoring.statistics import row_intervals, seed_spread

if TYPE_CHECKING:
    from harness.contract import Claim

_INTERVALS = (
    "Brackets are 95 % bootstrap percentile intervals over images ({resamples} resamples, seeds resampled jointly); "
    "seed sd is the sample standard deviation over seeds and is apart from them."
)
_RANKS = (
    "A row's rank is one more than the number of rows that are significantly better: paired permutation test over "
    "images, two-sided, Holm's correction over all pairs, 5 %. Rows that share a rank have equally many better rows; "
    "that does not make them equal."
)
_RESOLVABLE = (
    "These images resolve differences of about {} points (median over pairs of 2.8 bootstrap standard errors of the "
    "paired difference: 80 % power at the 5 % level for one pair)."
)
_POLICIES = (
    "A class enters a mean when the truth of the scored images holds it; pixels whose truth is 255 are not scored, and "
    "a pseudo label of 255 on a scored pixel counts against the class of the truth."
)
_TRAIN_AND_VAL = (
    "Columns of the training images (train) and of the validation images (val) are not comparable: of the former a "
    "method knows its supervision, of the latter nothing, and their masks may come from different sources."
)
_ORACLE = (
    "The oracle column chooses its threshold on hidden masks: it is a diagnosis of the soft scores, never a result."
)
_RECONSTRUCTION = "A row marked (reconstruction) rebuilds parts that no source confirms."
_TRAINS_BACKBONE = (
    "A row marked (trains backbone) also trains a backbone, where all others keep its pretrained weights."
)
_PARTIAL = "A row marked partial is of the listed seeds only, because others failed; it has no rank."
_VERIFIED = "The numbers of a verified row were recomputed from its stored label maps and the masks (`wsss verify`)."
_MIXED = "MIXED SETTINGS: rows of different fingerprints are not comparable; ranks are within a fingerprint."

_TABLE_ORDER = {"ok": 0, "partial": 1, "timeout": 2, "failed": 3}

_RowOfRuns = tuple[Row, Sequence[Run]]
"""A row and its runs, one for each seed."""


def build_board(
    runs: Sequence[Run],
    *,
    allow_mixed: bool = False,
    claims: Iterable[Claim] = (),
    strict: bool = False,
    metrics: Sequence[Metric] = (),
) -> Board:
    """Group runs over seeds into rows, compute their numbers, rank them.

    Args:
        runs: One or more runs (``load_runs``).
        allow_mixed: Put different fingerprints into one table, labelled as such.
        claims: Claims to answer (``harness.leaderboard.claims.claims_of``).
        strict: Refuse rows that different states of the code or different parameters computed, instead of saying so.
        metrics: Registered metrics to compute as further columns (``harness.leaderboard.metrics.known_metrics``).

    Raises:
        ConfigError: Fingerprints differ and ``allow_mixed`` is false; names every field that differs. Or ``strict``. Or
            a metric needs counts that the runs do not have.
        DataError: A confusion file is missing, damaged or changed, seeds scored different images, or two records of the
            same cell have different numbers.
        PluginError: One of the ``metrics`` cannot be built or computed.
    """
    runs = once_a_cell(runs)
    if not allow_mixed:
        check_same_settings(runs)
    check_counted(runs, metrics)
    groups: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: run.record.seed):
        groups[group_key(run.record)].append(run)
    named = code_states.named(groups.values())
    warnings = [*code_states.mixed_code(named), *code_states.mixed_parameters(named)]
    if strict and warnings:
        raise ConfigError(f"--strict: {' '.join(warnings).removesuffix('.')}")
    codes = code_states.code_of_rows(named)
    rows_of_runs = [(_row(group, codes.get(name), metrics), group) for name, group in named.items()]
    full = ceiling.full_rows(rows_of_runs)
    rows, comparisons = _ranked((ceiling.with_percent_of_full(row, full), group) for row, group in rows_of_runs)
    rows = ceiling.marked_above(rows, full, comparisons)
    records = [run.record for run in runs]
    first = records[0]
    mixed = len({record.fingerprint for record in records}) > 1
    dataset = DatasetSummary.model_validate(first.dataset.model_dump(include=set(DatasetSummary.model_fields)))
    return Board(
        fingerprint=None if mixed else first.fingerprint,
        benchmark=" + ".join(sorted({record.benchmark for record in records})),
        dataset=None if mixed else dataset,
        mixed=mixed,
        notes=[*_notes(rows, records, comparisons, mixed=mixed), *abouts(metrics)],
        warnings=warnings,
        protocol=None if mixed else first.protocol,
        metrics={metric.name: metric.column for metric in metrics},
        rows=rows,
        comparisons=comparisons,
        claims=answer_claims(runs, claims),
    )


def _notes(
    rows: Sequence[Row], records: Sequence[RunRecord], comparisons: Sequence[Comparison], *, mixed: bool
) -> list[str]:
    """The sentences under the table, in the order of a reader, each where something in the table calls for it."""
    resamples = " or ".join(map(str, sorted({record.scoring.bootstrap for record in records})))
    resolvable = {comparison.backbone: comparison.resolvable for comparison in comparisons if comparison.resolvable}
    points = [f"{100 * value:.1f}" for value in resolvable.values()]
    if len(points) > 1:
        points = [f"{value} ({backbone})" for value, backbone in zip(points, resolvable, strict=True)]
    conditional = {
        _MIXED: mixed,
        **dict.fromkeys(truth.notes_of(records), True),
        _INTERVALS.format(resamples=resamples): True,
        _RANKS: any(row.rank is not None for row in rows),
        SHARED: len({tuple(row.seeds) for row in rows if row.val_miou is not None}) > 1,
        APART: any(row.status == "ok" and row.val_miou is not None and row.rank is None for row in rows),
        _RESOLVABLE.format(", ".join(points)): bool(points),
        _POLICIES: True,
        _TRAIN_AND_VAL: any(row.pseudo_miou is not None and row.val_miou is not None for row in rows),
        _ORACLE: any(row.oracle_pseudo_miou is not None for row in rows),
        annotation.note(): any(row.annotation_hours is not None for row in rows),
        **dict.fromkeys([*_boxes_notes(rows, records), *_marks_notes(rows)], True),
        **dict.fromkeys([*stated.notes_of(records), *pretrained.notes_of(records)], True),
        **dict.fromkeys(_noise_notes(rows, records), True),
        ceiling.note(rows): any(row.above_full for row in rows),
        ceiling.STEPS: any(row.trainings for row in rows),
        _RECONSTRUCTION: any(row.reconstruction for row in rows),
        _TRAINS_BACKBONE: any(row.trains_backbone for row in rows),
        _PARTIAL: any(row.status == "partial" for row in rows),
        _VERIFIED: any(row.verified for row in rows),
    }
    return [note for note, holds in conditional.items() if holds]


def _boxes_notes(rows: Iterable[Row], records: Iterable[RunRecord]) -> list[str]:
    """One sentence per data set whose boxes some row uses although nobody drew them."""
    marked = {row.dataset for row in rows if row.boxes_from_masks}
    said = [record.dataset for record in records if record.dataset.boxes_from_masks]
    data = {info.name: info for info in said if info.name in marked}
    return [annotation.boxes_note(info.boxes_from_masks, info.classes[1:]) for info in data.values()]


def _made(record: RunRecord) -> list[str]:
    """The points or scribbles of a row that nobody drew; of somebody's files nothing of this data set was seen."""
    made = [] if record.stated is not None else record.dataset.made_from_masks
    return [kind.value for kind in Supervision if kind in made and annotation.uses(kind, record.supervision)]


def _marks_notes(rows: Iterable[Row]) -> list[str]:
    """One sentence where some row uses points or scribbles that nobody drew."""
    made = {kind for row in rows for kind in row.made_from_masks}
    return [annotation.marks_note([kind for kind in Supervision if kind in made])] if made else []


def _noise_notes(rows: Iterable[Row], records: Iterable[RunRecord]) -> list[str]:
    """One sentence for each noise of tags that some row used."""
    marked = {row.dataset for row in rows if row.noisy_tags}
    noises = (record.dataset.tag_noise for record in records if record.dataset.name in marked)
    return list(dict.fromkeys(annotation.noise_note(noise) for noise in noises if noise is not None))


def _saw_noise(record: RunRecord) -> bool:
    """Whether a row learned from tags with mistakes; of somebody's files nothing of this data set was seen."""
    noisy = record.dataset.tag_noise is not None and record.stated is None
    return noisy and annotation.uses(Supervision.TAGS, record.supervision)


def _row(group: Sequence[Run], code: str | None, metrics: Sequence[Metric]) -> Row:
    """The row of one method, backbone and weights; ``group`` holds its seeds, ascending."""
    done = [run for run in group if run.record.status == "ok"]
    broken = [run.record for run in group if run.record.status != "ok"]
    record = group[0].record
    derived = bool(record.dataset.boxes_from_masks) and record.stated is None
    status, error = "ok", _unscored(done)
    if broken:
        status = "partial" if done else broken[0].status
        failure = broken[0].error
        fields = {"kind": broken[0].status} if failure is None else failure.model_dump()
        error = RowError(seed=broken[0].seed, **fields)
    return Row(
        rank=None,
        method=record.label,
        year=record.year,
        supervision=with_initial_weights(record.all_supervision, record.init),
        backbone=record.backbone,
        init=record.init,
        dataset=record.dataset.name,
        seeds=[run.record.seed for run in done or group],
        status=status,
        annotation_hours=stated.hours_of(record),
        stated=record.stated is not None,
        reported=[ReportedNumber.model_validate(number.model_dump()) for number in record.reported] or None,
        fingerprint=record.fingerprint,
        init_sha256=record.init_sha256,
        # Not False: a row that nobody verified says nothing about itself.
        verified=True if done and all(run.verified for run in done) else None,
        error=error,
        reference=record.reference,
        reconstruction=record.reconstruction,
        trains_backbone=record.trains_backbone,
        boxes_from_masks=derived and annotation.needs_boxes(record.supervision),
        made_from_masks=_made(record),
        noisy_tags=_saw_noise(record),
        trainings=record.trainings if record.trainings > 1 else None,
        code=code,
        **(_numbers(done, metrics) if done else {}),
    )


def _unscored(runs: Iterable[Run]) -> RowError | None:
    """Why a row whose runs all succeeded has no validation mIoU although its predictions were scored."""
    for run in runs:
        scored = run.confusions("val")
        if scored is not None and not has_scored_pixels(scored):
            message = f"the truth of all {len(scored)} validation images is 255 everywhere: a mIoU does not exist"
            return RowError(seed=run.record.seed, stage=PREDICTIONS, kind="no scored pixel", message=message)
    return None


def _numbers(runs: Sequence[Run], metrics: Sequence[Metric]) -> dict[str, Any]:
    """Every measured field of a row; only validation numbers go down to the classes."""
    records = [run.record for run in runs]
    resamples = records[0].scoring.bootstrap
    oracles = [record.oracle for record in records]
    stages = [stage for record in records for stage in record.stages]
    gpu_peaks = [stage.peak_gpu_mib for stage in stages if stage.peak_gpu_mib is not None]
    # Two rounds may share a stage, which took its time only once.
    seconds = [_of_all(sum, {stage.key: stage.seconds for stage in record.stages}.values()) for record in records]
    numbers: dict[str, Any] = {
        "oracle_pseudo_miou": _of_all(fmean, [oracle.best_miou if oracle else None for oracle in oracles]),
        "label_coverage": _of_all(fmean, [record.label_coverage for record in records]),
        "seconds": _of_all(fmean, seconds),
        "peak_memory_mib": _of_all(max, [stage.peak_mib for stage in stages]),
        "peak_gpu_memory_mib": max(gpu_peaks, default=None),
        "metrics": estimates(runs, metrics, resamples=resamples),
    }
    for name in ("pseudo", "val"):
        confusions = [run.confusions(name) for run in runs]
        scored = [counts for counts in confusions if counts is not None and has_scored_pixels(counts)]
        if len(scored) < len(runs):
            continue
        intervals = row_intervals(scored, resamples=resamples)
        seeds = [float(miou(counts.total())) for counts in scored]
        value, low, high = intervals.miou
        numbers |= {f"{name}_miou": value, f"{name}_miou_low": low, f"{name}_miou_high": high}
        numbers[f"{name}_miou_seeds"] = seeds
        if name == "val":
            numbers["val_miou_seed_sd"] = seed_spread(seeds)[1]
            numbers["class_iou"] = [ends and ends.value for ends in intervals.classes]
            numbers["class_iou_low"] = [ends and ends.low for ends in intervals.classes]
            numbers["class_iou_high"] = [ends and ends.high for ends in intervals.classes]
    return numbers


def _of_all(function: Callable[[list[float]], float], values: Iterable[float | None]) -> float | None:
    """``function(values)``, or ``None`` when a value is unknown or there is none: nothing is filled in."""
    values = list(values)
    measured = [value for value in values if value is not None]
    return float(function(measured)) if measured and len(measured) == len(values) else None


def _ranked(rows: Iterable[_RowOfRuns]) -> tuple[list[Row], list[Comparison]]:
    """Rows in table order, by settings, rank and ``val_miou``, rows without a rank last; and the tests behind it."""
    groups: dict[tuple[str, ...], list[_RowOfRuns]] = defaultdict(list)
    for row, runs in sorted(rows, key=lambda item: settings_key(item[0])):
        groups[settings_key(row)].append((row, runs))
    ranked: list[Row] = []
    comparisons = []
    for group in groups.values():
        placed, comparison = _rank_group(group)
        ranked += placed
        comparisons += [comparison] if comparison else []
    return ranked, comparisons


def _rank_group(group: Iterable[_RowOfRuns]) -> tuple[list[Row], Comparison | None]:
    """Rank comparable rows; the one place that decides which of them get which rank."""
    runs_of = {row.method: runs for row, runs in group}
    rows = sorted(
        (row for row, _ in group),
        key=lambda row: (_TABLE_ORDER[row.status], -(row.val_miou or 0), row.val_miou is None, row.method),
    )
    scored = {row.method: row.seeds for row in rows if row.status == "ok" and row.val_miou is not None}
    entered = comparable(scored)
    if not entered:
        return rows, None
    resamples = runs_of[entered[0]][0].record.scoring.bootstrap
    compared = compare({name: by_seed(runs_of[name], VAL) for name in entered}, resamples=resamples)
    for place, row in enumerate(rows):
        if row.method in entered:
            ranks = {"rank": compared.rank(row.method), "tied_with": compared.ties(row.method)}
            rows[place] = row.model_copy(update=ranks)
    comparison = _comparison(rows[0], compared)
    return sorted(rows, key=lambda row: (row.rank is None, row.rank or 0)), comparison


def _comparison(row: Row, compared: Compared) -> Comparison:
    return Comparison(
        **row.model_dump(include={"fingerprint", "backbone", "init", "init_sha256"}),
        permutations=compared.permutations,
        resolvable=compared.resolvable,
        pairs=[
            PairTest(
                left=pair.left,
                right=pair.right,
                seeds=list(pair.seeds),
                difference=pair.difference.value,
                low=pair.difference.low,
                high=pair.difference.high,
                p=pair.p,
                p_holm=pair.p_holm,
                significant=pair.significant,
            )
            for pair in compared.pairs
        ],
    )
