"""The columns that people read, as text: one definition for Markdown, LaTeX and the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from harness.leaderboard.frame import Board, ReportedNumber, Row


class Column(NamedTuple):
    """A header, the text of a row's cell (``None`` = no value), and whether it is set to the right."""

    header: str
    text: Callable[[Row], str | None]
    number: bool = True


def percent(value: float | None) -> str | None:
    """A fraction of 1 as per cent with one decimal."""
    return None if value is None else f"{100 * value:.1f}"


def interval(value: float | None, low: float | None, high: float | None) -> str | None:
    """For example ``54.3 [51.2, 57.0]``."""
    return None if value is None else f"{percent(value)} [{percent(low)}, {percent(high)}]"


def _decimals(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}f}"


def method(row: Row) -> str:
    """The label, with what a reader must know about the row."""
    marks = [mark for mark, holds in (("reference", row.reference), ("reconstruction", row.reconstruction)) if holds]
    return f"{row.method} ({', '.join(marks)})" if marks else row.method


def status(row: Row) -> str:
    """``ok``, or what went wrong: the exception class, the stage and the seed."""
    if row.error is None:
        return row.status
    where = f" in {row.error.stage}" if row.error.stage else ""
    return f"{row.status}: {row.error.kind}{where}, seed {row.error.seed}"


def closest_reported(row: Row) -> ReportedNumber | None:
    """The reported number to set beside the measured one: a validation number, of the same backbone if there is one."""
    return min(
        row.reported or (),
        key=lambda number: (number.split != "val", _plain(number.backbone) != _plain(row.backbone)),
        default=None,
    )


def _plain(name: str | None) -> str:
    return "".join(char for char in (name or "").lower() if char.isalnum())


def reported_protocol(number: ReportedNumber) -> str:
    """The settings of a reported number in short, for example ``voc2012 val, VGG16, ImageNet, CRF``."""
    crf = {True: "CRF", False: "no CRF", None: None}[number.crf]
    parts = (f"{number.dataset} {number.split}", number.backbone, number.init, crf)
    return ", ".join(part for part in parts if part)


def _reported(row: Row) -> str | None:
    number = closest_reported(row)
    return None if number is None else f"{percent(number.value)} ({reported_protocol(number)})"


RANK = Column("rank", lambda row: None if row.rank is None else str(row.rank))
METHOD = Column("method", method, number=False)
YEAR = Column("year", lambda row: None if row.year is None else str(row.year))
SUPERVISION = Column("supervision", lambda row: row.supervision, number=False)
BACKBONE = Column("backbone", lambda row: row.backbone, number=False)
INIT = Column("init", lambda row: row.init, number=False)
SEEDS = Column("seeds", lambda row: " ".join(map(str, row.seeds)), number=False)
PSEUDO = Column("pseudo mIoU (train)", lambda row: interval(row.pseudo_miou, row.pseudo_miou_low, row.pseudo_miou_high))
ORACLE = Column("oracle pseudo mIoU (train, diagnosis)", lambda row: percent(row.oracle_pseudo_miou))
VAL = Column("val mIoU", lambda row: interval(row.val_miou, row.val_miou_low, row.val_miou_high))
SEED_SD = Column("seed sd", lambda row: _decimals(row.val_miou_seed_sd and 100 * row.val_miou_seed_sd, 2))
OF_FULL = Column("% of full", lambda row: percent(row.percent_of_full))
HOURS = Column(
    "annotation h", lambda row: _decimals(row.annotation_hours, 1 if (row.annotation_hours or 0) >= 10 else 2)
)
SECONDS = Column("compute s", lambda row: _decimals(row.seconds, 1))
PEAK = Column("peak MiB", lambda row: _decimals(row.peak_memory_mib, 0))
REPORTED = Column("reported", _reported, number=False)
STATUS = Column("status", status, number=False)
FINGERPRINT = Column("fingerprint", lambda row: row.fingerprint[:8], number=False)


def main_columns(board: Board) -> list[Column]:
    """The columns of the table; status and fingerprint only where rows differ in them."""
    columns = [RANK, METHOD, YEAR, SUPERVISION, BACKBONE, INIT, SEEDS, PSEUDO, ORACLE, VAL, SEED_SD, OF_FULL]
    columns += [HOURS, SECONDS, PEAK, REPORTED]
    return columns + _conditional(board)


def terminal_columns(board: Board) -> list[Column]:
    """The columns that fit a terminal."""
    return [RANK, METHOD, SUPERVISION, BACKBONE, PSEUDO, VAL, SEED_SD, OF_FULL, HOURS, SECONDS, *_conditional(board)]


def _conditional(board: Board) -> list[Column]:
    status_column = [STATUS] if any(row.status != "ok" for row in board.rows) else []
    return status_column + ([FINGERPRINT] if board.mixed else [])


def class_columns(board: Board) -> list[Column]:
    """Method, backbone and one column of validation IoU for each class; none when no row has them."""
    if board.dataset is None or all(row.class_iou is None for row in board.rows):
        return []
    classes = [Column(name, _class_text(index)) for index, name in enumerate(board.dataset.classes)]
    return [METHOD, BACKBONE, *classes]


def _class_text(index: int) -> Callable[[Row], str | None]:
    return lambda row: percent(row.class_iou[index]) if row.class_iou else None


def title(board: Board) -> str:
    """Benchmark, data set and fingerprint in one line."""
    if board.dataset is None:
        return f"Benchmark {board.benchmark}, mixed settings"
    images = ", ".join(f"{split} {count}" for split, count in sorted(board.dataset.images.items()))
    return (
        f"Benchmark {board.benchmark}, data set {board.dataset.name} ({len(board.dataset.classes)} classes; images: "
        f"{images}), fingerprint {(board.fingerprint or '')[:8]}"
    )
