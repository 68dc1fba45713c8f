"""The rankings in a folder of records: the rows of each backbone, best first, and how far they can be trusted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from harness.contract.errors import ConfigError
from harness.records.groups import by_seed
from harness.scoring.ranking import DRAWS, agreement, halves, row_values

if TYPE_CHECKING:
    from harness.records.reader import Run
    from harness.scoring.confusion import Confusions
    from harness.scoring.metrics import Values


@dataclass(frozen=True)
class Ranking:
    """The rows of one backbone under one protocol.

    Attributes:
        benchmark: Its name.
        fingerprint: Of protocol and data.
        backbone: Its name.
        rows: Row and mIoU, best first.
        images: How many were scored.
        halves: (draws,) Kendall's tau between random halves of the images.
    """

    benchmark: str
    fingerprint: str
    backbone: str
    rows: dict[str, float]
    images: int
    halves: Values


@dataclass(frozen=True)
class Agreement:
    """Two rankings of the same rows.

    Attributes:
        first: Of one backbone.
        second: Of another one.
        tau: Kendall's tau over the rows that both have.
        turned: Pairs of rows whose order differs.
        pairs: All pairs.
    """

    first: Ranking
    second: Ranking
    tau: float
    turned: list[tuple[str, str]]
    pairs: int


def rankings(runs: Iterable[Run], score: str, draws: int = DRAWS) -> list[Ranking]:
    """The ranking of each backbone and fingerprint that has at least three rows with numbers.

    Args:
        runs: Sound ones (``sound_runs``).
        score: ``val`` or ``pseudo``.
        draws: How often the images are halved.

    Raises:
        ConfigError: There is none.
    """
    groups: dict[tuple[str, str], dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        groups[run.record.fingerprint, run.record.backbone][run.record.label].append(run)
    found = []
    for (fingerprint, backbone), rows in groups.items():
        scored = {label: list(by_seed(members, score).values()) for label, members in rows.items()}
        with_numbers = {label: seeds for label, seeds in scored.items() if seeds}
        if len(with_numbers) >= 3:
            benchmark = next(iter(rows.values()))[0].record.benchmark
            found.append(_ranking(benchmark, fingerprint, backbone, with_numbers, draws))
    if not found:
        raise ConfigError(f"no backbone has three rows with a score {score!r}: there is no ranking to try")
    return found


def _ranking(benchmark: str, fingerprint: str, backbone: str, rows: dict[str, list[Confusions]], draws: int) -> Ranking:
    values = dict(zip(rows, row_values(list(rows.values())), strict=True))
    best_first = sorted(values, key=lambda label: (-values[label], label))
    images = len(next(iter(rows.values()))[0])
    tau = halves(list(rows.values()), draws)
    return Ranking(benchmark, fingerprint, backbone, {label: float(values[label]) for label in best_first}, images, tau)


def agreements(found: Iterable[Ranking]) -> list[Agreement]:
    """Each two backbones of one fingerprint, over the rows that both have."""
    pairs = combinations(found, 2)
    return [_agreement(one, other) for one, other in pairs if one.fingerprint == other.fingerprint]


def _agreement(first: Ranking, second: Ranking) -> Agreement:
    common = [label for label in first.rows if label in second.rows]
    values = [np.array([ranking.rows[label] for label in common]) for ranking in (first, second)]
    pairs = list(combinations(common, 2))
    turned = [(one, other) for one, other in pairs if second.rows[one] < second.rows[other]]
    return Agreement(first, second, agreement(*values), turned, len(pairs))
