"""Every pair of comparable rows as one square: the difference, and whether the paired test resolves it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.leaderboard.frame import Comparison, PairTest
from harness.leaderboard.page.claims import signed
from harness.records.seeds import names_of


@dataclass(frozen=True)
class PairView:
    """One pair, seen from the row of the table; ``words`` is the whole result in a sentence."""

    text: str
    words: str
    significant: bool


@dataclass(frozen=True)
class PairTable:
    """All pairs of one group: ``lines`` holds a name and its differences to every column (``None`` on the diagonal)."""

    caption: str
    names: list[str]
    lines: list[tuple[str, list[PairView | None]]]


def pairs_of(comparisons: Iterable[Comparison]) -> list[PairTable]:
    """One table for each group of two or more comparable rows."""
    tables = []
    for comparison in comparisons:
        if comparison.pairs:
            names = list(dict.fromkeys(name for pair in comparison.pairs for name in (pair.left, pair.right)))
            views = {(pair.left, pair.right): _view(pair, 1) for pair in comparison.pairs}
            views |= {(pair.right, pair.left): _view(pair, -1) for pair in comparison.pairs}
            lines = [(name, [views.get((name, other)) for other in names]) for name in names]
            tables.append(PairTable(f"{comparison.backbone}, {comparison.init}", names, lines))
    return tables


def _view(pair: PairTest, sign: int) -> PairView:
    left, right = (pair.left, pair.right) if sign > 0 else (pair.right, pair.left)
    low, high = sorted((sign * pair.low, sign * pair.high))
    words = (
        f"{left} minus {right}: {signed(sign * pair.difference)} points [{signed(low)}, {signed(high)}], "
        f"p = {pair.p_holm:.2g} after Holm's correction, {names_of(pair.seeds)}"
    )
    return PairView(signed(sign * pair.difference), words, pair.significant)
