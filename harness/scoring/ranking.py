"""Whether a ranking of rows holds: on one half of the images and the other, and with another backbone.

Rankings are set against each other by Kendall's tau-b: 1 where all pairs of rows stand alike, -1 where all are turned
round, 0 where as many are turned as are not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import kendalltau

from harness.contract.errors import DataError
from harness.scoring.confusion import Confusions
from harness.scoring.metrics import Values, miou_of_areas
from harness.scoring.statistics import aligned_areas, random_state

DRAWS = 100
"""Random halves, unless somebody asks for more."""


def row_values(rows: Sequence[Sequence[Confusions]]) -> Values:
    """(M,) mIoU of each row on all its images, mean over its seeds."""
    return np.array([miou_of_areas(_areas(seeds, sorted(seeds[0].ids)).sum(0)).mean() for seeds in rows])


def agreement(first: Values, second: Values) -> float:
    """Kendall's tau-b of two (M,) values of the same rows; NaN where one of them tells no rows apart."""
    return float(kendalltau(first, second).statistic)


def halves(rows: Sequence[Sequence[Confusions]], draws: int = DRAWS) -> Values:
    """Kendall's tau between the rankings on a random half of the images and on the other half, again and again.

    The halves are drawn from a hash of the image ids: every call gives the same numbers.

    Args:
        rows: At least two, for each its seeds; all of the same images.
        draws: How many times the images are halved.

    Returns:
        (draws,) float64.

    Raises:
        DataError: The rows scored different images, or fewer than two.
    """
    ids = sorted(rows[0][0].ids)
    if len(ids) < 2:
        raise DataError("one image has no halves")
    random = random_state("halves", ids)
    first = np.zeros((draws, len(ids)))
    for half in first:
        half[random.permutation(len(ids))[: len(ids) // 2]] = 1.0
    values = [_of_parts(_areas(seeds, ids), np.concatenate([first, 1.0 - first])) for seeds in rows]
    table = np.stack(values, axis=1)  # (2 draws, M)
    return np.array([agreement(one, other) for one, other in zip(table[:draws], table[draws:], strict=True)])


def _areas(seeds: Sequence[Confusions], ids: list[str]) -> Values:
    """(N, S, 3, C) areas of each image and seed."""
    return np.stack([aligned_areas(confusions, ids) for confusions in seeds], axis=1).astype(np.float64)


def _of_parts(areas: Values, parts: Values) -> Values:
    """(P,) mIoU of each part of the images, (P, N) zeros and ones; mean over seeds."""
    sums = (parts @ areas.reshape(len(areas), -1)).reshape(-1, *areas.shape[1:])
    values: Values = miou_of_areas(sums).mean(-1)
    return values
