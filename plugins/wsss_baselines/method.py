"""What the reference methods compute on arrays: GrabCut in a box (Rother et al., SIGGRAPH 2004), salient classes.

Unusual here: a box is cut out with some context first, so the cost follows the boxes and not the image; a box in which
GrabCut finds next to nothing is filled, because an object is known to be in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from harness.contract import BACKGROUND, Box, Image, Mask
from wsss_baselines.params import GrabCutParams


def largest_first(boxes: Iterable[Box]) -> list[Box]:
    """Boxes by falling area, so that painting in this order leaves the smaller in front; ties keep their order."""
    return sorted((box for box in boxes if box.area > 0), key=lambda box: -box.area)


def grabcut(image: Image, box: Box, params: GrabCutParams) -> npt.NDArray[np.bool_]:
    """Foreground of one box by GrabCut on the box and some context around it.

    Args:
        image: (H, W, 3) uint8 RGB.
        box: The object's box.
        params: Iterations, context and the smallest believable share of foreground.

    Returns:
        (box height, box width) bool.
    """
    height, width = image.shape[:2]
    dx, dy = (max(8, round(params.margin * side)) for side in (box.x1 - box.x0, box.y1 - box.y0))
    left, top = max(box.x0 - dx, 0), max(box.y0 - dy, 0)
    crop = np.ascontiguousarray(image[top : min(box.y1 + dy, height), left : min(box.x1 + dx, width)])
    rows = slice(box.y0 - top, box.y1 - top)
    columns = slice(box.x0 - left, box.x1 - left)
    state = np.full(crop.shape[:2], cv2.GC_BGD, np.uint8)
    state[rows, columns] = cv2.GC_PR_FGD
    filled = np.ones((box.y1 - box.y0, box.x1 - box.x0), np.bool_)
    if (state == cv2.GC_BGD).sum() < 16 or filled.size < 16:  # the colour models need a few pixels of each side
        return filled
    cv2.setRNGSeed(0)  # its k-means initialisation draws from OpenCV's global generator
    models = np.zeros((1, 65)), np.zeros((1, 65))
    # the stub wants a rectangle, in place of which the state is given
    cv2.grabCut(crop, state, None, *models, params.iterations, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    foreground = (state[rows, columns] & 1).astype(np.bool_)  # GC_FGD = 1, GC_PR_FGD = 3
    return foreground if foreground.mean() >= params.min_fill else filled


def grabcut_label(image: Image, boxes: Iterable[Box], params: GrabCutParams) -> Mask:
    """(H, W) uint8: the object of each box cut out of ``image (H, W, 3) uint8``, largest box first."""
    label = np.full(image.shape[:2], BACKGROUND, np.uint8)
    for box in largest_first(boxes):
        inside = label[box.y0 : box.y1, box.x0 : box.x1]
        inside[grabcut(image, box, params)] = box.cls
    return label


def salient_classes(salient: npt.NDArray[np.bool_], maps: npt.NDArray[np.float32], classes: Sequence[int]) -> Mask:
    """Background where nothing is salient, elsewhere the class with the highest map; a tie goes to the first.

    Args:
        salient: (H, W) bool.
        maps: (K, H, W) float32, one plane for each class, K at least 1.
        classes: Class index of each plane.

    Returns:
        (H, W) uint8.
    """
    strongest = np.asarray(classes, np.uint8)[maps.argmax(axis=0)]
    return np.where(salient, strongest, np.uint8(BACKGROUND))
