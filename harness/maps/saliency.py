"""Saliency from the image alone: minimum barrier distance to the border, and colours that the border does not have.

Zhang, Sclaroff, Lin, Shen, Price, Mech: Minimum Barrier Salient Object Detection at 80 FPS (ICCV 2015), method MB+.
Nothing is learned. Different here: a median filter in place of the morphological reconstruction, no preference for the
centre of the image, and Otsu's threshold is moved to 0.5, so that ``theta = 0.5`` is a rule and not a choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import cv2
import numba
import numpy as np
import numpy.typing as npt

from harness.contract.arrays import SoftScores
from harness.maps.scores import ScoreWriter

if TYPE_CHECKING:
    from harness.contract.arrays import Image
    from harness.contract.interfaces import Context, View

SIDE = 240
"""Long side at which distances are computed."""
CONTRAST = 10.0
"""Slope of the final sigmoid."""

Plane = npt.NDArray[np.float32]


def write_saliency(params: Mapping[str, Any], view: View, ctx: Context) -> None:
    """Shared stage: maps of all training images into ``ctx.out``."""
    cv2.setNumThreads(0)
    with ScoreWriter(ctx.out) as writer:
        for done, image_id in enumerate(view.ids, start=1):
            image = view.image(image_id)
            writer.write(
                image_id, SoftScores((1,), minimum_barrier_saliency(image)[None].astype(np.float16), image.shape[:2])
            )
            ctx.progress(done, len(view.ids))


def minimum_barrier_saliency(image: Image) -> Plane:
    """Saliency of one image.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        (h, w) float32 in [0, 1], above 0.5 = salient; the long side is at most ``SIDE``.
    """
    height, width = image.shape[:2]
    factor = min(SIDE / max(height, width), 1.0)
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    lab = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB).astype(np.float32)
    distance = sum(barrier_distance(np.ascontiguousarray(lab[:, :, channel])) for channel in range(3))
    both = _scaled(_scaled(np.asarray(distance)) + _scaled(foreign_colours(lab)))
    grey = cv2.medianBlur(np.round(255 * both).astype(np.uint8), 7)
    threshold, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    smooth = grey.astype(np.float32) - np.float32(threshold + 0.5)
    return np.asarray(1.0 / (1.0 + np.exp(-CONTRAST * smooth / 255.0)), np.float32)


def foreign_colours(lab: Plane, share: float = 0.1) -> Plane:
    """How much colours differ from those at the four borders (section 5 of the paper).

    Args:
        lab: (h, w, 3) float32.
        share: Width of a border as a share of the side.

    Returns:
        (h, w) float32: sum of the four Mahalanobis distances, each scaled to peak 1, without the largest.
    """
    rows, columns = (max(int(share * side), 1) for side in lab.shape[:2])
    borders = (lab[:rows], lab[-rows:], lab[:, :columns], lab[:, -columns:])
    distances = []
    for border in borders:
        colours = border.reshape(-1, 3).astype(np.float64)
        spread = np.atleast_2d(np.cov(colours, rowvar=False)) + np.eye(3) if len(colours) > 1 else np.eye(3)
        offset = lab - colours.mean(0)
        distances.append(_scaled(np.sqrt(np.einsum("hwi,ij,hwj->hw", offset, np.linalg.inv(spread), offset))))
    stacked = np.stack(distances)
    return np.asarray(stacked.sum(0) - stacked.max(0), np.float32)


@numba.njit(cache=False)
def barrier_distance(plane: Plane, sweeps: int = 3) -> Plane:
    """Smallest range of values on a path to the border, by raster scans there and back (FastMBD, algorithm 1).

    Args:
        plane: (h, w) float32.
        sweeps: Number of scans.

    Returns:
        (h, w) float32 >= 0, zero on the border.
    """
    height, width = plane.shape
    distance = np.full((height, width), np.float32(np.inf), np.float32)
    distance[0], distance[-1], distance[:, 0], distance[:, -1] = 0, 0, 0, 0
    high, low = plane.copy(), plane.copy()
    for sweep in range(sweeps):
        step = 1 if sweep % 2 == 0 else -1
        for i in range(1, height - 1):
            row = i if step == 1 else height - 1 - i
            for j in range(1, width - 1):
                column = j if step == 1 else width - 1 - j
                value = plane[row, column]
                for r, c in ((row - step, column), (row, column - step)):
                    top, bottom = max(high[r, c], value), min(low[r, c], value)
                    if top - bottom < distance[row, column]:
                        distance[row, column] = top - bottom
                        high[row, column], low[row, column] = top, bottom
    return distance


def _scaled(plane: npt.NDArray[np.floating[Any]]) -> Plane:
    """Peak 1; a map without values above zero stays zero."""
    peak = float(plane.max())
    return np.asarray(plane / peak if peak > 0 else plane, np.float32)
