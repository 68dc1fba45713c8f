"""The row ``full`` as what others are a share of, and the rows that lie above it.

``full`` is a ceiling only where it is trained to its end. A row lies above it when the whole 95 % paired bootstrap
interval of the row minus ``full`` lies above 0: the rule by which claims are answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from harness.records.groups import FULL, settings_key

if TYPE_CHECKING:
    from harness.leaderboard.frame import Comparison, Row
    from harness.records.reader import Run

STEPS = (
    "A row marked 3x steps (or another number) trained its segmenter that many times as long as the protocol says, for "
    "its rounds go on from one another's weights. Its % of full is of a row of method `full` with as many steps where "
    "the table has one (`repeat: 3`), else of `full`."
)


def full_rows(rows: Iterable[tuple[Row, Sequence[Run]]]) -> list[Row]:
    """The finished rows of method ``full``, under whatever labels."""
    return [row for row, group in rows if group[0].record.method == FULL and row.status == "ok"]


def ceiling_of(row: Row, full: Iterable[Row]) -> Row | None:
    """The one of the rows ``full`` that ``row`` is set against: of its settings, of as many steps if there is one."""
    alike = [other for other in full if settings_key(other) == settings_key(row)]
    return min(alike, key=lambda other: (other.trainings != row.trainings, other.method != FULL), default=None)


def with_percent_of_full(row: Row, full: Sequence[Row]) -> Row:
    """The row with its share of ``full``, over the seeds that both have, where they have any."""
    ceiling = ceiling_of(row, full)
    if ceiling is None:
        return row
    shared = [seed for seed in row.seeds if seed in ceiling.seeds]
    value, best = _mean_of_seeds(row, shared), _mean_of_seeds(ceiling, shared)
    if value is None or not best:
        return row
    seeds = None if shared == row.seeds == ceiling.seeds else shared
    return row.model_copy(update={"percent_of_full": value / best, "percent_of_full_seeds": seeds})


def _mean_of_seeds(row: Row, seeds: Sequence[int]) -> float | None:
    """Validation mIoU of the row, mean over some of its seeds."""
    if seeds == row.seeds or row.val_miou_seeds is None:
        return row.val_miou if seeds == row.seeds else None
    values = [value for seed, value in zip(row.seeds, row.val_miou_seeds, strict=True) if seed in seeds]
    return fmean(values) if values else None


def marked_above(rows: Iterable[Row], full: Sequence[Row], comparisons: Iterable[Comparison]) -> list[Row]:
    """The rows, each that lies above its ``full`` marked so."""
    pairs = {settings_key(comparison): comparison.pairs for comparison in comparisons}
    marked = []
    for row in rows:
        ceiling = ceiling_of(row, full)
        tests = pairs.get(settings_key(row), [])
        above = ceiling is not None and any(
            (test.low > 0 and (test.left, test.right) == (row.method, ceiling.method))
            or (test.high < 0 and (test.left, test.right) == (ceiling.method, row.method))
            for test in tests
        )
        marked.append(row.model_copy(update={"above_full": True}) if above else row)
    return marked


def note(rows: Iterable[Row]) -> str:
    """What stands under a table in which ``full`` is no ceiling; empty where no row lies above it."""
    above = list(dict.fromkeys(row.method for row in rows if row.above_full))
    if not above:
        return ""
    return (
        f"`full` is no ceiling in this table: the 95 % paired interval of {' and of '.join(above)} minus `full` lies "
        "above 0. Under these settings % of full does not say what supervision is worth."
    )
