"""Run records -> the result frame. Every number comes from the records and the confusions beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from harness.contract.errors import ConfigError
from harness.contract.run_record import RunRecord
from harness.contract.scores import PREDICTIONS, VAL
from harness.leaderboard import annotation
from harness.leaderboard.claims import answer_claims
from harness.leaderboard.frame import Board, Comparison, DatasetSummary, PairTest, ReportedNumber, Row, RowError
from harness.leaderboard.initial_weights import with_initial_weights
from harness.leaderboard.metrics import Metric, check_counted, estimates
from harness.records import code_states
from harness.records.groups import FULL, by_seed, settings_key
from harness.records.reader import Run, check_same_settings, group_key, once_a_cell
from harness.records.seeds import APART, SHARED, comparable
from harness.scoring.confusion import Confusions
from harness.scoring.metrics import has_scored_pixels, miou
from harness.scoring.paired import Comparison as Compared
from harness.scoring.paired import compare
from harness.scoring.statistics import RowIntervals, row_intervals, seed_spread

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
_ORACLE = (
    "The oracle column chooses its threshold on hidden masks: it is a diagnosis of the soft scores, never a result."
)
_RECONSTRUCTION = "A row marked (reconstruction) rebuilds parts that no source confirms."
_PARTIAL = "A row marked partial is of the listed seeds only, because others failed; it has no rank."
_Made = tuple[Row, Sequence[Run]]
"""A row and the runs that it is of."""

_VERIFIED = "The numbers of a verified row were recomputed from its stored label maps and the masks (`wsss verify`)."
_MIXED = "MIXED SETTINGS: rows of different fingerprints are not comparable; ranks are within a fingerprint."


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
    made = [(_row(group, codes.get(name), metrics), group) for name, group in named.items()]
    rows, comparisons = _ranked(_with_percent_of_full(made))
    records = [run.record for run in runs]
    mixed = len({record.fingerprint for record in records}) > 1
    first = records[0]
    return Board(
        fingerprint=None if mixed else first.fingerprint,
        benchmark=" + ".join(sorted({record.benchmark for record in records})),
        dataset=None if mixed else _dataset(first),
        mixed=mixed,
        notes=[*_notes(rows, records, comparisons, mixed=mixed), *_about(metrics)],
        warnings=warnings,
        protocol=None if mixed else first.protocol,
        metrics={metric.name: metric.column for metric in metrics},
        rows=rows,
        comparisons=comparisons,
        claims=answer_claims(runs, claims),
    )


def _about(metrics: Iterable[Metric]) -> list[str]:
    """One note for each metric that says what it is."""
    columns = [metric.column for metric in metrics]
    return [f"{column.header}: {column.about.removesuffix('.')}." for column in columns if column.about]


def _dataset(record: RunRecord) -> DatasetSummary:
    return DatasetSummary.model_validate(record.dataset.model_dump(include=set(DatasetSummary.model_fields)))


def _notes(
    rows: Sequence[Row], records: Iterable[RunRecord], comparisons: Sequence[Comparison], *, mixed: bool
) -> list[str]:
    resolvable = {comparison.backbone: comparison.resolvable for comparison in comparisons if comparison.resolvable}
    resamples = " or ".join(str(count) for count in sorted({_resamples(record) for record in records}))
    conditional = {
        _MIXED: mixed,
        _INTERVALS.format(resamples=resamples): True,
        _RANKS: any(row.rank is not None for row in rows),
        SHARED: len({tuple(row.seeds) for row in rows if row.val_miou is not None}) > 1,
        APART: any(row.status == "ok" and row.val_miou is not None and row.rank is None for row in rows),
        _RESOLVABLE.format(_points(resolvable)): bool(resolvable),
        _POLICIES: True,
        _ORACLE: any(row.oracle_pseudo_miou is not None for row in rows),
        annotation.note(): any(row.annotation_hours is not None for row in rows),
        _RECONSTRUCTION: any(row.reconstruction for row in rows),
        _PARTIAL: any(row.status == "partial" for row in rows),
        _VERIFIED: any(row.verified for row in rows),
    }
    return [note for note, holds in conditional.items() if holds]


def _points(resolvable: dict[str, float]) -> str:
    """For example ``1.4``, or ``1.4 (resnet18), 0.9 (mit_b0)`` where backbones differ."""
    if len(resolvable) == 1:
        return f"{100 * next(iter(resolvable.values())):.1f}"
    return ", ".join(f"{100 * value:.1f} ({backbone})" for backbone, value in resolvable.items())


def _resamples(record: RunRecord) -> int:
    return record.scoring.bootstrap


def _row(group: Sequence[Run], code: str | None, metrics: Sequence[Metric]) -> Row:
    """The row of one method, backbone and weights; ``group`` holds its seeds, ascending."""
    done = [run for run in group if run.record.status == "ok"]
    broken = [run.record for run in group if run.record.status != "ok"]
    record = group[0].record
    status = "ok" if not broken else "partial" if done else broken[0].status
    return Row(
        rank=None,
        method=record.label,
        year=record.year,
        supervision=with_initial_weights(record.supervision, record.init),
        backbone=record.backbone,
        init=record.init,
        dataset=record.dataset.name,
        seeds=[run.record.seed for run in done or group],
        status=status,
        annotation_hours=_annotation_hours(record),
        reported=[ReportedNumber.model_validate(number.model_dump()) for number in record.reported] or None,
        fingerprint=record.fingerprint,
        init_sha256=record.init_sha256,
        verified=all(run.verified for run in done) or None if done else None,
        error=_error(broken[0]) if broken else _unscored(done),
        reference=record.reference,
        reconstruction=record.reconstruction,
        code=code,
        metrics=estimates(done, metrics, resamples=_resamples(record)) if done else {},
        **(_numbers(done) if done else {}),
    )


def _annotation_hours(record: RunRecord) -> float | None:
    images = record.dataset.images.get("train")
    classes = len(record.dataset.classes)
    return None if images is None else annotation.annotation_hours(record.supervision, images=images, classes=classes)


def _error(record: RunRecord) -> RowError:
    failure = record.error
    if failure is None:
        return RowError(seed=record.seed, kind=record.status)
    return RowError(seed=record.seed, **failure.model_dump())


def _unscored(runs: Iterable[Run]) -> RowError | None:
    """Why a row whose runs all succeeded has no validation mIoU although its predictions were scored."""
    for run in runs:
        scored = run.confusions("val")
        if scored is not None and not has_scored_pixels(scored):
            message = f"the truth of all {len(scored)} validation images is 255 everywhere: a mIoU does not exist"
            return RowError(seed=run.record.seed, stage=PREDICTIONS, kind="no scored pixel", message=message)
    return None


def _numbers(runs: Sequence[Run]) -> dict[str, Any]:
    """Every measured field of a row."""
    records = [run.record for run in runs]
    stages = [stage for record in records for stage in record.stages]
    gpu_peaks = [stage.peak_gpu_mib for stage in stages if stage.peak_gpu_mib is not None]
    numbers: dict[str, Any] = {
        "oracle_pseudo_miou": _mean(record.oracle.best_miou if record.oracle else None for record in records),
        "label_coverage": _mean(record.label_coverage for record in records),
        "seconds": _mean(_seconds(record) for record in records),
        "peak_memory_mib": _of_all(max, [stage.peak_mib for stage in stages]),
        "peak_gpu_memory_mib": max(gpu_peaks, default=None),
    }
    for name in ("pseudo", "val"):
        seeds = _seeds(runs, name)
        if seeds and all(map(has_scored_pixels, seeds)):
            numbers |= _scored(name, seeds, _resamples(records[0]))
    return numbers


def _scored(name: str, seeds: Sequence[Confusions], resamples: int) -> dict[str, Any]:
    """The fields of one score; only those of ``val`` go down to the classes."""
    found = row_intervals(seeds, resamples=resamples)
    each = [float(miou(seed.total())) for seed in seeds]
    value, low, high = found.miou
    numbers: dict[str, Any] = {f"{name}_miou": value, f"{name}_miou_low": low, f"{name}_miou_high": high}
    numbers[f"{name}_miou_seeds"] = each
    return numbers | ({"val_miou_seed_sd": seed_spread(each)[1], **_class_iou(found)} if name == "val" else {})


def _class_iou(found: RowIntervals) -> dict[str, list[float | None]]:
    ends = {"class_iou": "value", "class_iou_low": "low", "class_iou_high": "high"}
    return {
        field: [None if interval is None else getattr(interval, end) for interval in found.classes]
        for field, end in ends.items()
    }


def _seeds(runs: Iterable[Run], name: str) -> list[Confusions]:
    """The confusions of every seed, or none when a seed lacks them."""
    seeds = [run.confusions(name) for run in runs]
    return [] if None in seeds else [seed for seed in seeds if seed is not None]


def _seconds(record: RunRecord) -> float | None:
    """Wall time of the distinct stages; a stage that two rounds share counts once."""
    return _of_all(sum, list({stage.key: stage.seconds for stage in record.stages}.values()))


def _mean(values: Iterable[float | None]) -> float | None:
    return _of_all(fmean, list(values))


def _of_all(function: Callable[[list[float]], float], values: Sequence[float | None]) -> float | None:
    """``function(values)``, or ``None`` when a value is unknown or there is none: nothing is filled in."""
    known = [value for value in values if value is not None]
    return float(function(known)) if known and len(known) == len(values) else None


def _with_percent_of_full(rows: Sequence[_Made]) -> list[_Made]:
    full = {settings_key(row): row for row, group in rows if _is_full(group) and row.status == "ok"}
    return [(row.model_copy(update=_share(row, full.get(settings_key(row)))), group) for row, group in rows]


def _share(row: Row, full: Row | None) -> dict[str, Any]:
    """``percent_of_full`` over the seeds that both rows have; nothing where they have none in common."""
    if full is None:
        return {}
    shared = [seed for seed in row.seeds if seed in full.seeds]
    value, ceiling = _mean_of_seeds(row, shared), _mean_of_seeds(full, shared)
    if value is None or not ceiling:
        return {}
    seeds = None if shared == row.seeds == full.seeds else shared
    return {"percent_of_full": value / ceiling, "percent_of_full_seeds": seeds}


def _mean_of_seeds(row: Row, seeds: Sequence[int]) -> float | None:
    """Validation mIoU of the row, mean over some of its seeds."""
    if seeds == row.seeds or row.val_miou_seeds is None:
        return row.val_miou if seeds == row.seeds else None
    return _mean(value for seed, value in zip(row.seeds, row.val_miou_seeds, strict=True) if seed in seeds)


def _is_full(group: Sequence[Run]) -> bool:
    return group[0].record.method == FULL


def _ranked(rows: Iterable[_Made]) -> tuple[list[Row], list[Comparison]]:
    """Rows in table order, by settings, rank and ``val_miou``, rows without a rank last; and the tests behind it."""
    groups: dict[tuple[str, ...], list[_Made]] = defaultdict(list)
    for made in sorted(rows, key=lambda made: settings_key(made[0])):
        groups[settings_key(made[0])].append(made)
    ranked = [_rank_group(group) for group in groups.values()]
    return [row for rows, _ in ranked for row in rows], [found for _, found in ranked if found is not None]


def _rank_group(group: Iterable[_Made]) -> tuple[list[Row], Comparison | None]:
    """Rank comparable rows; the one place that decides which of them get which rank."""
    order = {"ok": 0, "partial": 1, "timeout": 2, "failed": 3}
    made = sorted(
        group,
        key=lambda made: (order[made[0].status], -(made[0].val_miou or 0), made[0].val_miou is None, made[0].method),
    )
    rows = [row for row, _ in made]
    scored = {row.method: (row, runs) for row, runs in made if row.status == "ok" and row.val_miou is not None}
    entered = {name: scored[name][1] for name in comparable({name: row.seeds for name, (row, _) in scored.items()})}
    if not entered:
        return rows, None
    resamples = _resamples(next(iter(entered.values()))[0].record)
    compared = compare({name: by_seed(runs, VAL) for name, runs in entered.items()}, resamples=resamples)
    placed = [row.model_copy(update=_place(row, compared)) if row.method in entered else row for row in rows]
    placed.sort(key=lambda row: (row.rank is None, row.rank or 0))
    return placed, _comparison(rows[0], compared)


def _place(row: Row, compared: Compared) -> dict[str, Any]:
    return {"rank": compared.rank(row.method), "tied_with": compared.ties(row.method)}


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
