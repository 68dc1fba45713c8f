"""What changed between two rows on the same images: class by class with the paired test, and image by image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.scoring.metrics import miou_of_areas
from harness.scoring.paired import ALPHA, ROUNDING, SeedConfusions, Table, holm, p_value, permutations
from harness.scoring.statistics import Interval, aligned_areas, percentiles


@dataclass(frozen=True)
class ClassChange:
    """Change of one class's IoU, mean over the seeds that both rows have.

    Attributes:
        cls: Class index; the truth holds the class.
        before: IoU of the first row.
        after: IoU of the second row.
        change: ``after - before`` with its 95 % paired bootstrap interval over images.
        p: Of the two-sided paired permutation test over images.
        p_holm: The same after Holm's correction over the classes.
    """

    cls: int
    before: float
    after: float
    change: Interval
    p: float
    p_holm: float

    @property
    def significant(self) -> bool:
        """Whether the change is called real."""
        return self.p_holm <= ALPHA


@dataclass(frozen=True)
class ImageChange:
    """MIoU of one image over the classes that its truth holds, mean over the seeds that both rows have."""

    image_id: str
    before: float
    after: float

    @property
    def change(self) -> float:
        """``after - before``."""
        return self.after - self.before


def class_changes(before: SeedConfusions, after: SeedConfusions, *, resamples: int = 1000) -> list[ClassChange]:
    """The change of every class that the truth holds, in class order.

    Args:
        before: Confusions by seed; at least one seed is also in ``after``.
        after: Confusions of the same images.
        resamples: Bootstrap resamples.

    Raises:
        DataError: The rows scored different images or different truth, or no pixel is scored.
    """
    seeds = sorted(before.keys() & after.keys())
    table = Table({"before": {s: before[s] for s in seeds}, "after": {s: after[s] for s in seeds}})
    held = np.flatnonzero(table.truth.any(0))
    whole, drawn = table.whole(), table.bootstrap(resamples)
    first, second = (table.row(whole, name, seeds)[0] for name in ("before", "after"))
    resampled = table.row(drawn, "after", seeds) - table.row(drawn, "before", seeds)
    change = (second - first)[held]
    count = permutations(len(held))
    as_large = np.zeros(len(held), np.int64)
    for sums in table.exchanges(count):
        left, right = table.exchanged_iou(sums, "after", "before", seeds)
        as_large += (np.abs((left - right).mean(1)) >= np.abs(change) - ROUNDING).sum(0)
    p = [p_value(int(large), count, images=len(table.ids)) for large in as_large]
    return [
        ClassChange(
            cls=int(cls),
            before=float(first[cls]),
            after=float(second[cls]),
            change=Interval(float(second[cls] - first[cls]), *percentiles(resampled[:, cls])),
            p=p_class,
            p_holm=adjusted,
        )
        for cls, p_class, adjusted in zip(held, p, holm(p), strict=True)
    ]


def image_changes(before: SeedConfusions, after: SeedConfusions) -> list[ImageChange]:
    """The change of every image that has a scored pixel, the largest change first, equal ones by id.

    Raises:
        DataError: The rows scored different images.
    """
    seeds = sorted(before.keys() & after.keys())
    ids = sorted(before[seeds[0]].ids)
    values = (
        np.mean([miou_of_areas(aligned_areas(row[seed], ids)) for seed in seeds], axis=0) for row in (before, after)
    )
    changes = [
        ImageChange(image_id, float(first), float(second))
        for image_id, first, second in zip(ids, *values, strict=True)
        if not np.isnan(first)
    ]
    return sorted(changes, key=lambda item: (-abs(item.change), item.image_id))
