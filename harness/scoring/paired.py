"""Rows against each other on the same images: paired bootstrap, paired permutation test, Holm, shared ranks.

* The statistic is the difference of the data-set mIoU of two rows under the same seed, averaged over the seeds that
  both rows have. The image is the unit: a resample draws it, and an exchange swaps it, with the predictions of all
  seeds. How far a new training would move the difference is another question, answered by the spread over seeds.
* Exchanging the two label maps of an image changes sums of per-image areas linearly. All rows share the same random
  signs, so every permutation of every pair comes from one exact matrix product.
* When the images are so few that all exchanges can be listed, they are, and the p value is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from harness.contract.errors import DataError
from harness.scoring.confusion import Confusions
from harness.scoring.metrics import Values, mean_of_known
from harness.scoring.statistics import (
    LEVEL,
    Interval,
    aligned_areas,
    bootstrap_weights,
    percentiles,
    random_state,
)

ALPHA = 0.05
"""Chance of calling any difference of a table real when none is (family-wise, after Holm)."""

POWER_FACTOR = 1.959964 + 0.841621
"""Standard errors that a difference needs to be found with 80 % power by a two-sided test at 5 %."""

SeedConfusions = Mapping[int, Confusions]
"""Confusions of the same images by seed."""

_LEAST, _SPARE = 1000, 4
"""Exchanges that are drawn at least, and how far the smallest p value lies below Holm's strictest threshold."""

_BATCH = 1 << 21
"""Numbers that a batch of exchanges holds at a time (16 MiB)."""

ROUNDING = 1e-12
"""Exchanges whose difference is smaller than the measured one by rounding alone count as equally large."""


@dataclass(frozen=True)
class Pair:
    """Two rows on the same images.

    Attributes:
        seeds: Seeds that both rows have; nothing else enters.
        difference: mIoU of ``left`` minus mIoU of ``right``, mean over ``seeds``, with its bootstrap interval.
        standard_error: Standard deviation of the bootstrap distribution of the difference.
        p: Of the two-sided paired permutation test.
        p_holm: ``p`` after Holm's correction over all pairs of the table.
    """

    left: str
    right: str
    seeds: tuple[int, ...]
    difference: Interval
    standard_error: float
    p: float
    p_holm: float

    @property
    def significant(self) -> bool:
        """Whether the difference is called real at ``ALPHA``."""
        return self.p_holm <= ALPHA

    @property
    def better(self) -> str | None:
        """The row that is significantly better, if one is."""
        if not self.significant or not self.difference.value:
            return None
        return self.left if self.difference.value > 0 else self.right


@dataclass(frozen=True)
class Comparison:
    """Every pair of a set of rows.

    Attributes:
        permutations: Exchanges that each p value is of.
        resolvable: Median over pairs of ``POWER_FACTOR`` standard errors of the difference: what the images can
            resolve for one pair with 80 % power at the 5 % level; ``None`` without a pair.
    """

    pairs: tuple[Pair, ...]
    permutations: int
    resolvable: float | None

    def rank(self, row: str) -> int:
        """One more than the number of rows that are significantly better than ``row``."""
        return 1 + sum(pair.better not in (None, row) for pair in self.pairs if row in (pair.left, pair.right))

    def ties(self, row: str) -> list[str]:
        """Rows that do not differ significantly from ``row``, in the order of the pairs."""
        return [
            pair.right if pair.left == row else pair.left
            for pair in self.pairs
            if row in (pair.left, pair.right) and pair.better is None
        ]


def compare(rows: Mapping[str, SeedConfusions], *, resamples: int = 1000, level: float = LEVEL) -> Comparison:
    """Compare every pair of ``rows`` that share a seed.

    Args:
        rows: Row name to its confusions by seed; all of the same images and truth.
        resamples: Bootstrap resamples.
        level: Coverage of the intervals.

    Raises:
        DataError: Rows scored different images or different truth, or no pixel is scored.
    """
    shared = {
        (left, right): tuple(sorted(rows[left].keys() & rows[right].keys()))
        for left, right in combinations(rows, 2)
        if rows[left].keys() & rows[right].keys()
    }
    count = permutations(len(shared))
    if not shared:
        return Comparison((), count, None)
    table = Table(rows)
    values, whole = mean_of_known(table.bootstrap(resamples)), mean_of_known(table.whole())
    drawn = {
        pair: table.row(values, pair[0], seeds) - table.row(values, pair[1], seeds) for pair, seeds in shared.items()
    }
    measured = {
        pair: float((table.row(whole, pair[0], seeds) - table.row(whole, pair[1], seeds))[0])
        for pair, seeds in shared.items()
    }
    p = permutation_p(table, shared, measured, count)
    adjusted = holm([p[pair] for pair in shared])
    pairs = tuple(
        Pair(
            *pair,
            seeds,
            Interval(measured[pair], *percentiles(drawn[pair], level)),
            float(np.nanstd(drawn[pair], ddof=1)),
            p[pair],
            p_holm,
        )
        for (pair, seeds), p_holm in zip(shared.items(), adjusted, strict=True)
    )
    resolvable = POWER_FACTOR * float(np.median([pair.standard_error for pair in pairs]))
    return Comparison(pairs, min(count, 2 ** min(len(table.ids), 62)), resolvable)


def pair_interval(
    left: SeedConfusions, right: SeedConfusions, *, relative: bool = False, resamples: int = 1000, level: float = LEVEL
) -> Interval | None:
    """MIoU of ``left`` minus that of ``right`` (``relative``: divided by it) with its paired bootstrap interval.

    Both are means over the seeds that the rows share.

    Returns:
        The interval, or ``None`` when the rows share no seed, or when ``relative`` and ``right`` is zero.

    Raises:
        DataError: The rows scored different images or different truth, or no pixel is scored.
    """
    seeds = sorted(left.keys() & right.keys())
    if not seeds:
        return None
    table = Table({"left": {seed: left[seed] for seed in seeds}, "right": {seed: right[seed] for seed in seeds}})

    def statistic(iou: Values) -> Values:
        first, second = (table.row(mean_of_known(iou), name, seeds) for name in ("left", "right"))
        return first / np.where(second > 0, second, np.nan) if relative else first - second

    value = float(statistic(table.whole())[0])
    return None if np.isnan(value) else Interval(value, *percentiles(statistic(table.bootstrap(resamples)), level))


def permutations(pairs: int) -> int:
    """Exchanges to draw: 1,000, or more where Holm's strictest threshold needs it.

    The smallest p value that they can give is a fourth of ``ALPHA / pairs``.
    """
    return max(_LEAST, math.ceil(_SPARE * pairs / ALPHA))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction: adjusted p values, in the order given."""
    order = sorted(range(len(p)), key=lambda place: p[place])
    adjusted = [1.0] * len(p)
    largest = 0.0
    for step, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - step) * p[place]))
        adjusted[place] = largest
    return adjusted


class Table:
    """Areas of several rows on the same images, one column for each (row, seed).

    Args:
        rows: Row name to its confusions by seed.

    Attributes:
        ids: Images, sorted.
        truth: (N, C) float64 pixels of each class.
        areas: (N, K, 2, C) float64 intersection and union of each class, a column for each (row, seed).

    Raises:
        DataError: Rows scored different images or different truth, or no pixel is scored.
    """

    def __init__(self, rows: Mapping[str, SeedConfusions]) -> None:
        columns = [((name, seed), scored) for name, seeds in rows.items() for seed, scored in seeds.items()]
        self.ids = sorted(columns[0][1].ids)
        self.column = {key: place for place, (key, _) in enumerate(columns)}
        self.areas = np.empty((len(self.ids), len(columns), 2, columns[0][1].num_classes))
        for place, ((name, seed), scored) in enumerate(columns):
            hit, truth, pred = np.moveaxis(aligned_areas(scored, self.ids), 1, 0)
            if place == 0:
                self.truth = truth.astype(np.float64)
            elif not np.array_equal(truth, self.truth):
                raise DataError(f"row {name!r}, seed {seed}: its images were scored against other masks")
            self.areas[:, place, 0], self.areas[:, place, 1] = hit, truth + pred - hit
        if not self.truth.any():
            raise DataError("no scored pixel in any of the images: a mIoU does not exist")

    def whole(self) -> Values:
        """(1, K, C) IoU of every column on all images; NaN where the truth lacks the class."""
        return _iou(self.areas.sum(0)[None], self.truth.sum(0)[None])

    def bootstrap(self, resamples: int) -> Values:
        """(R, K, C) IoU of every column in every resample; NaN where the truth of the resample lacks the class."""
        flat = self.areas.reshape(len(self.ids), -1)
        return np.concatenate(
            [
                _iou((weights @ flat).reshape(-1, *self.areas.shape[1:]), weights @ self.truth)
                for weights in bootstrap_weights(self.ids, resamples)
            ]
        )

    def row(self, values: Values, name: str, seeds: Sequence[int]) -> Values:
        """(R, ...) mean over ``seeds`` of the columns of one row, of (R, K, ...) values."""
        mean: Values = values[:, self._columns(name, seeds)].mean(1)
        return mean

    def _columns(self, name: str, seeds: Sequence[int]) -> list[int]:
        return [self.column[name, seed] for seed in seeds]

    def exchanges(self, count: int) -> Iterator[Values]:
        """Batches of (B, K, 2, H) sums of the areas under random signs, H classes that the truth holds."""
        flat = self._held(self.areas).reshape(len(self.ids), -1)
        for signs in sign_batches(self.ids, count, width=flat.shape[1]):
            yield (signs @ flat).reshape(len(signs), self.areas.shape[1], 2, -1)

    def _held(self, areas: Values) -> Values:
        """The classes that the truth holds; whichever images are exchanged, these stay the same."""
        return areas[..., self.truth.any(0)]

    def exchanged_iou(self, sums: Values, left: str, right: str, seeds: Sequence[int]) -> tuple[Values, Values]:
        """(B, S, H) IoU of two rows after each exchange of ``sums``.

        An image whose sign is -1 gives its left label maps to the right row and the other way round.
        """
        lefts, rights = self._columns(left, seeds), self._columns(right, seeds)
        totals = self._held(self.areas.sum(0))
        both, apart = totals[lefts] + totals[rights], sums[:, lefts] - sums[:, rights]
        first, second = both + apart, both - apart
        return first[:, :, 0] / first[:, :, 1], second[:, :, 0] / second[:, :, 1]


def permutation_p(
    table: Table,
    pairs: Mapping[tuple[str, str], Sequence[int]],
    measured: Mapping[tuple[str, str], float],
    count: int,
) -> dict[tuple[str, str], float]:
    """Two-sided p value of each pair: the share of exchanges whose difference is at least as large.

    Drawn exchanges count themselves and the measured one: (1 + as large) / (1 + drawn).
    """
    as_large = dict.fromkeys(pairs, 0)
    for sums in table.exchanges(count):
        for pair, seeds in pairs.items():
            left, right = table.exchanged_iou(sums, *pair, seeds)
            differences = np.abs((left - right).mean((1, 2)))
            as_large[pair] += int((differences >= abs(measured[pair]) - ROUNDING).sum())
    return {pair: p_value(large, count, images=len(table.ids)) for pair, large in as_large.items()}


def p_value(as_large: int, count: int, *, images: int) -> float:
    """Share of exchanges; where they are not all there are, the measured one is counted among them."""
    every = exhaustive(images, count)
    return as_large / 2**images if every else (1 + as_large) / (1 + count)


def exhaustive(images: int, count: int) -> bool:
    """Whether all exchanges of ``images`` are no more than ``count``."""
    return images < 62 and 2**images <= count  # a number of exchanges must fit an int64


def sign_batches(ids: Sequence[str], count: int, *, width: int) -> Iterator[Values]:
    """Batches of (B, N) float64 signs, -1 = exchange the image: all 2^N where ``exhaustive``, else ``count`` drawn.

    Args:
        ids: Images.
        count: Exchanges to draw.
        width: Numbers that a sign row is turned into, for the size of a batch.
    """
    images = len(ids)
    every = exhaustive(images, count)
    random, row_bytes = random_state("exchange", ids), 4 * -(-images // 32)
    total, step = (2**images if every else count), max(1, _BATCH // max(images, width))
    for start in range(0, total, step):
        rows = min(step, total - start)
        if every:
            exchanged = (np.arange(start, start + rows)[:, None] >> np.arange(images) & 1).astype(bool)
        else:
            drawn = np.frombuffer(random.bytes(rows * row_bytes), np.uint8).reshape(rows, row_bytes)
            exchanged = np.unpackbits(drawn, axis=1, count=images).astype(bool)
        yield np.where(exchanged, -1.0, 1.0)


def _iou(areas: Values, truth: Values) -> Values:
    """(R, K, C) IoU of (R, K, 2, C) intersections and unions and the (R, C) truth."""
    result = np.full((*areas.shape[:2], areas.shape[-1]), np.nan)
    np.divide(areas[:, :, 0], areas[:, :, 1], out=result, where=(truth > 0)[:, None])
    return result
