"""Run records -> the result frame. Every number comes from the records and the confusions beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from harness.contract.run_record import RunRecord
from harness.leaderboard import annotation
from harness.leaderboard.frame import Board, DatasetSummary, ReportedNumber, Row, RowError
from harness.leaderboard.loading import Run, check_same_settings, group_key
from harness.scoring.confusion import Confusions
from harness.scoring.metrics import iou, miou
from harness.scoring.statistics import miou_interval, seed_spread

FULL = "full"
"""The method whose row is 100 % in ``percent_of_full``."""

_INTERVALS = (
    "Brackets are 95 % bootstrap percentile intervals over images ({resamples} resamples, seeds resampled jointly); "
    "seed sd is the sample standard deviation over seeds and is apart from them."
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
_MIXED = "MIXED SETTINGS: rows of different fingerprints are not comparable; ranks are within a fingerprint."


def build_board(runs: Sequence[Run], *, allow_mixed: bool = False) -> Board:
    """Group runs over seeds into rows, compute their numbers, rank them.

    Args:
        runs: One or more runs (``load_runs``).
        allow_mixed: Put different fingerprints into one table, labelled as such.

    Raises:
        ConfigError: Fingerprints differ and ``allow_mixed`` is false; names every field that differs.
        DataError: A confusion file is missing, damaged or changed, or seeds scored different images.
    """
    if not allow_mixed:
        check_same_settings(runs)
    groups: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: run.record.seed):
        groups[group_key(run.record)].append(run)
    rows = _ranked(_with_percent_of_full([(_row(group), group[0].record) for group in groups.values()]))
    records = [run.record for run in runs]
    mixed = len({record.fingerprint for record in records}) > 1
    first = records[0]
    return Board(
        fingerprint=None if mixed else first.fingerprint,
        benchmark=" + ".join(sorted({record.benchmark for record in records})),
        dataset=None if mixed else _dataset(first),
        mixed=mixed,
        notes=_notes(rows, records, mixed=mixed),
        protocol=None if mixed else first.protocol,
        rows=rows,
    )


def _dataset(record: RunRecord) -> DatasetSummary:
    return DatasetSummary.model_validate(record.dataset.model_dump(include=set(DatasetSummary.model_fields)))


def _notes(rows: Sequence[Row], records: Iterable[RunRecord], *, mixed: bool) -> list[str]:
    resamples = " or ".join(str(count) for count in sorted({_resamples(record) for record in records}))
    conditional = {
        _MIXED: mixed,
        _INTERVALS.format(resamples=resamples): True,
        _POLICIES: True,
        _ORACLE: any(row.oracle_pseudo_miou is not None for row in rows),
        annotation.NOTE: any(row.annotation_hours is not None for row in rows),
        _RECONSTRUCTION: any(row.reconstruction for row in rows),
        _PARTIAL: any(row.status == "partial" for row in rows),
    }
    return [note for note, holds in conditional.items() if holds]


def _resamples(record: RunRecord) -> int:
    return int(record.protocol.get("scoring", {}).get("bootstrap", 1000))


def _row(group: Sequence[Run]) -> Row:
    """The row of one method, backbone and weights; ``group`` holds its seeds, ascending."""
    done = [run for run in group if run.record.status == "ok"]
    broken = [run.record for run in group if run.record.status != "ok"]
    record = group[0].record
    status = "ok" if not broken else "partial" if done else broken[0].status
    return Row(
        rank=None,
        method=record.label,
        year=record.year,
        supervision=record.supervision,
        backbone=record.backbone,
        init=record.init,
        dataset=record.dataset.name,
        seeds=[run.record.seed for run in done or group],
        status=status,
        annotation_hours=_annotation_hours(record),
        reported=[ReportedNumber.model_validate(number) for number in record.reported] or None,
        fingerprint=record.fingerprint,
        init_sha256=record.init_sha256,
        error=_error(broken[0]) if broken else None,
        reference=record.reference,
        reconstruction=record.reconstruction,
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


def _numbers(runs: Sequence[Run]) -> dict[str, Any]:
    """Every measured field of a row."""
    records = [run.record for run in runs]
    numbers: dict[str, Any] = {
        "oracle_pseudo_miou": _mean(record.oracle.best_miou if record.oracle else None for record in records),
        "label_coverage": _mean(record.label_coverage for record in records),
        "seconds": _mean(_seconds(record) for record in records),
        "peak_memory_mib": _of_all(max, [stage.peak_mib for record in records for stage in record.stages]),
    }
    for name in ("pseudo", "val"):
        seeds = _seeds(runs, name)
        if seeds:
            value, low, high = miou_interval(seeds, resamples=_resamples(records[0]))
            numbers |= {f"{name}_miou": value, f"{name}_miou_low": low, f"{name}_miou_high": high}
        if seeds and name == "val":
            numbers["val_miou_seed_sd"] = seed_spread([float(miou(seed.total())) for seed in seeds])[1]
            numbers["class_iou"] = _class_iou(seeds)
    return numbers


def _seeds(runs: Iterable[Run], name: str) -> list[Confusions]:
    """The confusions of every seed, or none when a seed lacks them."""
    seeds = [run.confusions(name) for run in runs]
    return [] if None in seeds else [seed for seed in seeds if seed is not None]


def _class_iou(seeds: Sequence[Confusions]) -> list[float | None]:
    values = np.mean([iou(seed.total()) for seed in seeds], axis=0)
    return [None if np.isnan(value) else float(value) for value in values]


def _seconds(record: RunRecord) -> float | None:
    """Wall time of the distinct stages; a stage that two rounds share counts once."""
    return _of_all(sum, list({stage.key: stage.seconds for stage in record.stages}.values()))


def _mean(values: Iterable[float | None]) -> float | None:
    return _of_all(fmean, list(values))


def _of_all(function: Callable[[list[float]], float], values: Sequence[float | None]) -> float | None:
    """``function(values)``, or ``None`` when a value is unknown or there is none: nothing is filled in."""
    known = [value for value in values if value is not None]
    return float(function(known)) if known and len(known) == len(values) else None


def _settings(row: Row) -> tuple[str, ...]:
    """Rows that agree in this are comparable."""
    return row.fingerprint, row.backbone, row.init, row.init_sha256 or ""


def _with_percent_of_full(rows: Sequence[tuple[Row, RunRecord]]) -> list[Row]:
    full = {_settings(row): row.val_miou for row, record in rows if record.method == FULL and row.status == "ok"}
    return [
        row.model_copy(update={"percent_of_full": row.val_miou / ceiling})
        if row.val_miou is not None and (ceiling := full.get(_settings(row)))
        else row
        for row, _ in rows
    ]


def _ranked(rows: Iterable[Row]) -> list[Row]:
    """Rows in table order: by settings, then by ``val_miou``, rows without a rank last."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in sorted(rows, key=_settings):
        groups[_settings(row)].append(row)
    return [row for group in groups.values() for row in _rank_group(group)]


def _rank_group(group: Iterable[Row]) -> list[Row]:
    """Rank comparable rows; the one place that decides which of them get which rank."""
    order = {"ok": 0, "partial": 1, "timeout": 2, "failed": 3}
    rows = sorted(group, key=lambda row: (order[row.status], -(row.val_miou or 0), row.val_miou is None, row.method))
    ranked = [row for row in rows if row.status == "ok" and row.val_miou is not None]
    places = {row.method: place for place, row in enumerate(ranked, start=1)}
    return [row.model_copy(update={"rank": places.get(row.method)}) for row in rows]
