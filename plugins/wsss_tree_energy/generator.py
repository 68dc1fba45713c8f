"""Points and scribbles as sparse labels: what the data set says of single pixels, and 255 everywhere else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from harness.contract import IGNORE, Context, Generator, Mask, Point, PseudoLabel, View
from wsss_tree_energy.params import PointsParams


class Points(Generator):
    """A disc around each point."""

    def __init__(self, params: PointsParams) -> None:
        self._diameter = params.diameter

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """One label for each image."""
        for image_id in view.ids:
            label = discs(view.points(image_id), view.size(image_id), diameter=self._diameter)
            yield PseudoLabel(image_id, label)


class Scribbles(Generator):
    """The scribbles as they are."""

    def __init__(self, params: object) -> None: ...

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """One label for each image."""
        for image_id in view.ids:
            yield PseudoLabel(image_id, view.scribbles(image_id))


def discs(points: Sequence[Point], size: tuple[int, int], *, diameter: int) -> Mask:
    """The class of the nearest point, 255 farther than half a ``diameter`` from all.

    Args:
        points: In pixels of the image; of two that are equally near, the first counts.
        size: (H, W) of the image.
        diameter: In pixels, odd.

    Returns:
        (H, W) uint8.
    """
    label, nearest = np.full(size, IGNORE, np.uint8), np.full(size, np.inf)
    reach = diameter // 2
    for cls, x, y in points:
        rows, columns = slice(max(y - reach, 0), y + reach + 1), slice(max(x - reach, 0), x + reach + 1)
        grid_y, grid_x = np.ogrid[rows.start : min(rows.stop, size[0]), columns.start : min(columns.stop, size[1])]
        distance = (grid_y - y) ** 2 + (grid_x - x) ** 2
        closer = (distance < nearest[rows, columns]) & (distance <= diameter**2 / 4)
        label[rows, columns][closer] = cls
        nearest[rows, columns][closer] = distance[closer]
    return label
