"""The columns that people read, as text: one definition for Markdown, LaTeX and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from harness.leaderboard import stated
from harness.leaderboard.frame import Board, ClaimAnswer, MetricColumn, Row
from harness.leaderboard.reported import NAMES, closest_reported, reported_protocol
from harness.records.seeds import count_of, names_of


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
    return f"{row.method} ({', '.join(marks(row))})" if marks(row) else row.method


def marks(row: Row) -> list[str]:
    """What the label of a row is followed by."""
    found = {"reference": row.reference, "reconstruction": row.reconstruction, "trains backbone": row.trains_backbone}
    longer = [f"{row.trainings}x steps"] if row.trainings else []
    return [mark for mark, holds in found.items() if holds] + longer


def status(row: Row) -> str:
    """``ok``, or what went wrong: the exception class, the stage and the seed."""
    if row.error is None:
        return row.status
    where = f" in {row.error.stage}" if row.error.stage else ""
    return f"{row.status}: {row.error.kind}{where}, seed {row.error.seed}"


def _reported(row: Row) -> str | None:
    number = closest_reported(row)
    return None if number is None else f"{percent(number.value)} ({reported_protocol(number)})"


def _of_full(row: Row) -> str | None:
    """The share, with what a reader must know about it."""
    about = of_full_marks(row)
    return percent(row.percent_of_full) if not about else ", ".join([percent(row.percent_of_full) or "", *about])


def of_full_marks(row: Row) -> list[str]:
    """What a share of ``full`` is followed by: its seeds where they are not all of both rows, and that it is above."""
    seeds = row.percent_of_full_seeds
    return [*([] if seeds is None else [names_of(seeds)]), *(["above full"] if row.above_full else [])]


def metric_value(value: float, about: MetricColumn) -> str:
    """A number of a registered metric: in per cent where it is a share, else with two decimals."""
    return f"{100 * value:.1f}" if about.percent else f"{value:.2f}"


def metric(name: str, about: MetricColumn) -> Column:
    """The column of a registered metric, with its interval."""

    def text(row: Row) -> str | None:
        estimate = row.metrics.get(name)
        if estimate is None:
            return None
        value, low, high = (metric_value(end, about) for end in (estimate.value, estimate.low, estimate.high))
        return f"{value} [{low}, {high}]"

    return Column(about.header, text)


def metric_columns(board: Board) -> list[Column]:
    """One column for each registered metric that was asked for."""
    return [metric(name, about) for name, about in board.metrics.items()]


def _hours(row: Row) -> str | None:
    text = _decimals(row.annotation_hours, 1 if (row.annotation_hours or 0) >= 10 else 2)
    return text and text + stated.mark(row)


def supervision_marks(row: Row) -> str:
    """What is to be known of the labels behind the letters of a row; perhaps empty."""
    marks = {
        "boxes from masks": row.boxes_from_masks,
        **{f"{kind} from masks": True for kind in row.made_from_masks},
        "noisy tags": row.noisy_tags,
        "stated": row.stated,
    }
    return ", ".join(mark for mark, holds in marks.items() if holds)


RANK = Column("rank", lambda row: None if row.rank is None else str(row.rank))
METHOD = Column("method", method, number=False)
YEAR = Column("year", lambda row: None if row.year is None else str(row.year))
SUPERVISION = Column(
    "supervision",
    lambda row: f"{row.supervision} ({marks})" if (marks := supervision_marks(row)) else row.supervision,
    number=False,
)
BACKBONE = Column("backbone", lambda row: row.backbone, number=False)
INIT = Column("init", lambda row: row.init, number=False)
SEEDS = Column(
    "seeds",
    # A lone number could be taken for how many seeds there are.
    lambda row: names_of(row.seeds) if len(row.seeds) == 1 else " ".join(map(str, row.seeds)),
    number=False,
)
PSEUDO = Column("pseudo mIoU (train)", lambda row: interval(row.pseudo_miou, row.pseudo_miou_low, row.pseudo_miou_high))
PSEUDO_SHORT = Column("pseudo mIoU (train)", lambda row: percent(row.pseudo_miou))
ORACLE = Column("oracle pseudo mIoU (train, diagnosis)", lambda row: percent(row.oracle_pseudo_miou))
VAL = Column("val mIoU", lambda row: interval(row.val_miou, row.val_miou_low, row.val_miou_high))
SEED_SD = Column("seed sd", lambda row: _decimals(row.val_miou_seed_sd and 100 * row.val_miou_seed_sd, 2))
OF_FULL = Column("% of full", _of_full)
HOURS = Column("annotation h", _hours)
SECONDS = Column("compute s", lambda row: _decimals(row.seconds, 1))
PEAK = Column("peak MiB", lambda row: _decimals(row.peak_memory_mib, 0))
GPU_PEAK = Column("peak GPU MiB", lambda row: _decimals(row.peak_gpu_memory_mib, 0))
REPORTED = Column("reported", _reported, number=False)
STATUS = Column("status", status, number=False)
VERIFIED = Column("verified", lambda row: "yes" if row.verified else None, number=False)
FINGERPRINT = Column("fingerprint", lambda row: row.fingerprint[:8], number=False)


def main_columns(board: Board) -> list[Column]:
    """The columns of the table; status and fingerprint only where rows differ in them."""
    columns = [RANK, METHOD, YEAR, SUPERVISION, BACKBONE, INIT, SEEDS, PSEUDO, ORACLE, VAL, SEED_SD, OF_FULL]
    columns += metric_columns(board)
    on_gpu = [GPU_PEAK] if any(row.peak_gpu_memory_mib is not None for row in board.rows) else []
    columns += [HOURS, SECONDS, PEAK, *on_gpu, REPORTED]
    return columns + _conditional(board)


def terminal_columns(board: Board) -> list[Column]:
    """The columns for a terminal, the most important first; a table shows as many of them as fit."""
    several = len({row.backbone for row in board.rows}) > 1
    spread = [SEED_SD] if any(row.val_miou_seed_sd is not None for row in board.rows) else []
    seeds_in_short = count_of if same_seeds(board.rows) else names_of
    seeds = Column("seeds", lambda row: seeds_in_short(row.seeds), number=False)
    optional = [PSEUDO_SHORT, *spread, OF_FULL, *([] if several else [BACKBONE]), HOURS, SECONDS]
    optional += metric_columns(board)
    first = [METHOD, VAL, RANK, seeds, *([BACKBONE] if several else [])]
    return [*first, *_conditional(board), SUPERVISION, *optional]


def same_seeds(rows: Iterable[Row]) -> bool:
    """Whether all rows have the same seeds."""
    return len({tuple(row.seeds) for row in rows}) <= 1


def _conditional(board: Board) -> list[Column]:
    conditional = {
        STATUS: any(row.error is not None or row.status != "ok" for row in board.rows),
        VERIFIED: any(row.verified for row in board.rows),
        FINGERPRINT: board.mixed,
    }
    return [column for column, holds in conditional.items() if holds]


def class_columns(board: Board) -> list[Column]:
    """Method, backbone and one column of validation IoU for each class; none when no row has them."""
    if board.dataset is None or all(row.class_iou is None for row in board.rows):
        return []

    def text(row: Row, index: int) -> str | None:
        return percent(row.class_iou[index]) if row.class_iou else None

    classes = [Column(name, partial(text, index=index)) for index, name in enumerate(board.dataset.classes)]
    return [METHOD, BACKBONE, *classes]


CLAIM_HEADERS = ("claim", "metric", "reported", "measured", "verdict", "why")


def claim_cells(answer: ClaimAnswer) -> tuple[str, ...]:
    """The texts of one claim below ``CLAIM_HEADERS``; differences in points, ratios in per cent."""

    def amount(value: float) -> str:
        return f"{100 * value:.1f} %" if answer.relative else f"{100 * value:+z.1f}"

    measured = None
    if answer.measured is not None and answer.low is not None and answer.high is not None:
        measured = f"{amount(answer.measured)} [{amount(answer.low)}, {amount(answer.high)}]"
        measured += f", {names_of(answer.seeds)}" if answer.seeds else ""
    where = f" ({answer.backbone})" if answer.backbone else ""
    return (
        f"{answer.left} {answer.direction} {answer.right}{where}",
        claim_metric(answer),
        claim_reported(answer, amount),
        measured or "—",
        answer.verdict,
        answer.reason,
    )


def claim_metric(answer: ClaimAnswer) -> str:
    """The measured metric with its own split: pseudo labels are always those of the training images."""
    return NAMES["pseudo"] if answer.metric == "pseudo-label mIoU" else answer.metric


def claim_reported(answer: ClaimAnswer, amount: Callable[[float], str]) -> str:
    """The size that the source states, with what it was measured on as far as the source names it."""
    if answer.reported is None:
        return "direction only"
    return f"{amount(answer.reported)} ({answer.setting})" if answer.setting else amount(answer.reported)


def title(board: Board) -> str:
    """Benchmark, data set and fingerprint in one line."""
    if board.dataset is None:
        return f"Benchmark {board.benchmark}, mixed settings"
    data = board.dataset
    masks = {split: " without masks" if split in data.unmasked else "" for split in data.images}
    images = ", ".join(f"{split} {count}{masks[split]}" for split, count in sorted(data.images.items()))
    return (
        f"Benchmark {board.benchmark}, data set {board.dataset.name} ({len(board.dataset.classes)} classes; images: "
        f"{images}), fingerprint {(board.fingerprint or '')[:8]}"
    )
