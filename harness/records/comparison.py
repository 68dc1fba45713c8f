"""Two rows compared: their settings, the paired statistics of a score, the classes and images that changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.contract.errors import ConfigError
from harness.records.code_states import mixed_parameters
from harness.records.pairing import Difference, RowPair, code_differences, settings_differences
from harness.records.seeds import names_of
from harness.records.truth import why_unmeasured
from harness.scoring import paired
from harness.scoring.changes import ClassChange, ImageChange, class_changes, image_changes

if TYPE_CHECKING:
    from harness.scoring.statistics import Interval

SCORES = {"val": "val mIoU", "pseudo": "pseudo-label mIoU"}
"""Scores that two rows can be compared by, and how a reader knows them."""


@dataclass(frozen=True)
class Statistics:
    """The second row minus the first one, over the seeds and images that both have; shares of 1.

    Attributes:
        difference: Of the mIoU, with its 95 % paired bootstrap interval over images.
        p: Of the two-sided paired permutation test over images.
        seeds: The seeds that both rows have.
        images: How many images were compared.
        resolvable: The smallest difference that these images resolve: 80 % power at the 5 % level.
        classes: What changed in each class that the truth holds.
        changes: What changed in each image, the largest change first.
    """

    difference: Interval
    p: float
    seeds: tuple[int, ...]
    images: int
    resolvable: float
    classes: list[ClassChange]
    changes: list[ImageChange]

    @property
    def significant(self) -> bool:
        """Whether the difference is called real at the 5 % level."""
        return self.p <= paired.ALPHA


@dataclass(frozen=True, repr=False)
class RowComparison:
    """Two rows side by side; its text is the sentence that ``wsss compare`` prints.

    Attributes:
        pair: The rows.
        score: ``val`` or ``pseudo``.
        settings: Fields of protocol, data set, method and seeds in which they differ.
        code: Files, plugins and libraries in which they differ.
        warnings: What is wrong with one of the rows, one sentence each.
        statistics: What changed; ``None`` where nothing can be compared.
        reason: Why there are no statistics, else ``None``.
    """

    pair: RowPair
    score: str
    settings: list[Difference]
    code: list[Difference]
    warnings: list[str]
    statistics: Statistics | None
    reason: str | None

    def __repr__(self) -> str:
        names = "A = {}, B = {}".format(*self.pair.names)
        return f"{names}: {self.sentence()}"

    def sentence(self) -> str:
        """The difference in points with interval and test, or why there is none."""
        found = self.statistics
        if found is None:
            return f"no statistics: {self.reason}"
        value, low, high = (f"{100 * number:+z.2f}" for number in found.difference)
        verdict = "real at the 5 % level" if found.significant else "not told apart"
        return (
            f"{SCORES[self.score]}: B - A = {value} points, 95 % interval [{low}, {high}], p = {found.p:.4f} "
            f"({verdict}; {found.images} images, {names_of(found.seeds)} that both rows have; these images "
            f"resolve about {100 * found.resolvable:.1f} points)"
        )


def compare_rows(pair: RowPair, score: str = "val") -> RowComparison:
    """Compare two rows by ``score``, ``val`` (predictions) or ``pseudo`` (pseudo labels).

    Raises:
        ConfigError: There is no such score.
        DataError: A confusion file is missing, damaged or changed.
    """
    if score not in SCORES:
        raise ConfigError(f"--score: {score!r} is none of {', '.join(SCORES)}")
    statistics, reason = _statistics(pair, score)
    return RowComparison(
        pair,
        score,
        settings=settings_differences(pair),
        code=code_differences(pair),
        warnings=mixed_parameters(dict(zip(pair.names, (pair.before, pair.after), strict=True))),
        statistics=statistics,
        reason=reason,
    )


def _statistics(pair: RowPair, score: str) -> tuple[Statistics | None, str | None]:
    """The statistics, or the reason why there are none."""
    before, after = pair.scores(score)
    reasons = (why_unmeasured(runs[0].record, score) for runs in (pair.before, pair.after))
    reason = pair.different_images or next(filter(None, reasons), None)
    reason = reason or (None if before else f"the rows share no seed with {SCORES[score]}")
    if reason:
        return None, reason
    resamples = pair.before[0].record.scoring.bootstrap
    (test,) = paired.compare({"B": after, "A": before}, resamples=resamples).pairs
    statistics = Statistics(
        difference=test.difference,
        p=test.p,
        seeds=tuple(test.seeds),
        images=len(before[test.seeds[0]]),
        resolvable=paired.POWER_FACTOR * test.standard_error,
        classes=class_changes(before, after, resamples=resamples),
        changes=image_changes(before, after),
    )
    return statistics, None
