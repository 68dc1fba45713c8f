"""The rows of the page's main table: texts, sort values, and the geometry of the interval bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from harness.contract.supervision import legend
from harness.leaderboard import columns as text
from harness.leaderboard import pretrained
from harness.leaderboard.frame import Board, MetricColumn, Row
from harness.leaderboard.reported import closest_reported, kind_of, reported_images
from harness.records.groups import FULL
from harness.records.seeds import names_of

WIDTH = 120
"""Pixels of the interval bar of ``val mIoU``; that of the pseudo labels takes two thirds of it."""

First = Literal["ascending", "descending"]


@dataclass(frozen=True)
class Scale:
    """A linear axis: data from ``low`` to ``high`` onto pixels from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Pixel of ``value``, to a tenth."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)

    @property
    def ends(self) -> tuple[str, str]:
        """Both ends in per cent."""
        return f"{100 * self.low:.0f}", f"{100 * self.high:.0f}"


@dataclass(frozen=True)
class Interval:
    """Pixels of one interval bar."""

    width: int
    low: float
    mean: float
    high: float
    seeds: list[float]
    ceiling: float | None = None


@dataclass(frozen=True)
class Cell:
    """A cell: text, a second line, the value that it is sorted by (``None`` = always last)."""

    text: str
    value: float | str | None = None
    sub: str = ""
    style: str = ""
    tag: str = "td"
    interval: Interval | None = None
    tick: bool = False


@dataclass(frozen=True)
class Column:
    """A heading: what it means, and the direction of its first sorting."""

    header: str
    help: str
    cell: Callable[[Row], Cell]
    first: First = "descending"
    style: str = "number"
    scale: tuple[str, str] | None = None


@dataclass(frozen=True)
class RowView:
    """One row of the table."""

    index: int
    name: str
    long_name: str
    supervision: str
    backbone: str
    dataset: str
    status: str
    reference: bool
    cells: list[Cell]
    class_iou: list[tuple[float | None, str]]


@dataclass(frozen=True)
class Table:
    """The main table."""

    columns: list[Column]
    rows: list[RowView]
    ceiling: float | None


def table_of(board: Board) -> Table:
    """Columns and rows of the main table; columns without any value are left out."""
    ceiling = full_of(board)
    columns = [
        column
        for column in _columns(board, ceiling)
        if column.header not in _OPTIONAL or any(column.cell(row).value is not None for row in board.rows)
    ]
    rows = [
        RowView(
            index=index,
            name=row.method,
            long_name=long_name(row),
            supervision=row.supervision,
            backbone=row.backbone,
            dataset=row.dataset,
            status=row.status,
            reference=row.reference,
            cells=[column.cell(row) for column in columns],
            class_iou=[(value, text.percent(value) or "") for value in row.class_iou or ()],
        )
        for index, row in enumerate(board.rows)
    ]
    return Table(columns, rows, ceiling)


def full_of(board: Board) -> float | None:
    """Validation mIoU of the row ``full`` where there is just one, for the dashed line."""
    full = [row.val_miou for row in board.rows if row.method == FULL and row.val_miou is not None]
    return full[0] if len(full) == 1 else None


def long_name(row: Row) -> str:
    """Method and backbone; with the fingerprint that tells rows of a mixed table apart."""
    return f"{row.method} · {row.backbone}"


_OPTIONAL = frozenset({"data set", "oracle", "peak GPU, MiB", "reported", "fingerprint"})


def _columns(board: Board, ceiling: float | None) -> list[Column]:
    rows = board.rows
    val = _scale([end for row in rows for end in (row.val_miou_low, row.val_miou_high)], WIDTH)
    pseudo = _scale([end for row in rows for end in (row.pseudo_miou_low, row.pseudo_miou_high)], WIDTH * 2 // 3)
    same_seeds = text.same_seeds(rows)
    several = len({row.dataset for row in rows}) > 1
    return [
        Column(
            "rank",
            RANK_HELP,
            lambda row: Cell(text.RANK.text(row) or "—", row.rank, style="number rank"),
            "ascending",
            "number rank",
        ),
        Column("method", METHOD_HELP, partial(_method, name_seeds=not same_seeds), "ascending", "method"),
        Column("val mIoU", VAL_HELP, partial(_val, scale=val, ceiling=ceiling), style="wider", scale=val.ends),
        Column("% of full", OF_FULL_HELP, _of_full),
        _words(
            "supervision",
            ". ".join([legend(), *pretrained.among(board.notes)]),
            lambda row: row.supervision,
            text.supervision_marks,
        ),
        _words("backbone", BACKBONE_HELP, lambda row: row.backbone, lambda row: row.init),
        *([_words("data set", "Data set", lambda row: row.dataset)] if several else []),
        Column("pseudo mIoU (train)", PSEUDO_HELP, partial(_pseudo, scale=pseudo), style="narrow", scale=pseudo.ends),
        *(_metric(name, about) for name, about in board.metrics.items()),
        _numbers("oracle", ORACLE_HELP, text.ORACLE, "oracle_pseudo_miou"),
        _numbers("labels, h", "Published annotation costs times training images", text.HOURS, "annotation_hours"),
        _numbers("compute, s", "Wall time of all stages, mean over seeds", text.SECONDS, "seconds"),
        _numbers("peak, MiB", "Largest resident memory of any stage", text.PEAK, "peak_memory_mib"),
        _numbers("peak GPU, MiB", "Largest memory of any stage on the GPU", text.GPU_PEAK, "peak_gpu_memory_mib"),
        Column("reported", "Closest number of the paper; its protocol is below", _reported, style="reported"),
        *([_words("fingerprint", FINGERPRINT_HELP, lambda row: row.fingerprint[:8])] if board.mixed else []),
    ]


RANK_HELP = "One more than the number of significantly better rows; rows of one rank need not be equal"
METHOD_HELP = "Name of the row, year, and its seeds where rows differ in them"
VAL_HELP = "Mean over seeds, 95 % interval over images"
PSEUDO_HELP = "Pseudo labels of the training images against their hidden masks; not comparable with val"
BACKBONE_HELP = "Backbone and what its weights were trained on"
FINGERPRINT_HELP = "Rows of one fingerprint share all settings"
OF_FULL_HELP = "Share of full supervision, same backbone, weights and seeds"
ORACLE_HELP = "Pseudo mIoU at the threshold that hidden masks would choose; a diagnosis"

_CHEAPER_FIRST = frozenset({"annotation_hours", "seconds", "peak_memory_mib", "peak_gpu_memory_mib"})


def _numbers(header: str, about: str, column: text.Column, field: str) -> Column:
    """A column of plain numbers."""

    def cell(row: Row) -> Cell:
        return Cell(column.text(row) or "—", getattr(row, field), style="number")

    return Column(header, about, cell, "ascending" if field in _CHEAPER_FIRST else "descending")


def _words(
    header: str, about: str, words: Callable[[Row], str], below: Callable[[Row], str] = lambda row: ""
) -> Column:
    """A column of words that is sorted by them; ``below`` gives the second line of a cell."""
    return Column(header, about, lambda row: Cell(words(row), words(row), below(row)), "ascending", "")


def _metric(name: str, about: MetricColumn) -> Column:
    """A registered metric that was asked for: the number above its interval, without a bar, for there may be many."""

    def cell(row: Row) -> Cell:
        estimate = row.metrics.get(name)
        if estimate is None:
            return Cell("—", style="number")
        value, low, high = (text.metric_value(end, about) for end in (estimate.value, estimate.low, estimate.high))
        return Cell(value, estimate.value, f"{low}\N{EN DASH}{high}", "number")

    return Column(about.header, about.about, cell)


def _scale(values: Sequence[float | None], width: int) -> Scale:
    """An axis over all intervals, to tens of per cent."""
    ends = [value for value in values if value is not None]
    low = int(10 * min(ends, default=0.0)) / 10
    high = -int(-10 * max(ends, default=1.0) // 1) / 10
    return Scale(low, max(high, low + 0.1), 4, width - 4)


def _method(row: Row, *, name_seeds: bool) -> Cell:
    marks = text.marks(row)
    marks += [str(row.year)] if row.year else []
    marks += [names_of(row.seeds)] if name_seeds else []
    return Cell(row.method, row.method, " · ".join(marks), "method", "th", tick=bool(row.verified))


def _of_full(row: Row) -> Cell:
    about = " · ".join(text.of_full_marks(row))
    return Cell(text.percent(row.percent_of_full) or "—", row.percent_of_full, about, "number")


def _val(row: Row, *, scale: Scale, ceiling: float | None) -> Cell:
    if row.val_miou is None:  # a row of labels alone is sound without it
        return Cell("—") if row.status == "ok" else Cell(text.status(row), style="failure")
    cell = _interval(
        row.val_miou, row.val_miou_low, row.val_miou_high, scale=scale, seeds=row.val_miou_seeds or (), ceiling=ceiling
    )
    return cell if row.status == "ok" else replace(cell, sub=f"{cell.sub} {row.status}")


def _pseudo(row: Row, *, scale: Scale) -> Cell:
    if row.pseudo_miou is None:
        return Cell("—", style="narrow")
    cell = _interval(row.pseudo_miou, row.pseudo_miou_low, row.pseudo_miou_high, scale=scale)
    return replace(cell, style=f"{cell.style} narrow")


def _interval(
    mean: float,
    low: float | None,
    high: float | None,
    *,
    scale: Scale,
    seeds: Sequence[float] = (),
    ceiling: float | None = None,
) -> Cell:
    low, high = mean if low is None else low, mean if high is None else high
    bar = Interval(
        width=round(scale.end) + 4,
        low=scale.at(low),
        mean=scale.at(mean),
        high=scale.at(high),
        seeds=[scale.at(value) for value in seeds],
        ceiling=None if ceiling is None else scale.at(ceiling),
    )
    return Cell(f"{100 * mean:.1f}", mean, f"{100 * low:.1f}\N{EN DASH}{100 * high:.1f}", "estimated", interval=bar)


def _reported(row: Row) -> Cell:
    number = closest_reported(row)
    if number is None:
        return Cell("—", style="number")
    images = reported_images(number)
    about = images if kind_of(number) == "val" else f"{number.metric}, {images}"
    return Cell(text.percent(number.value) or "", number.value, about, "number")
