"""Boxes as maps: which class, which box, and what lies beneath (section 3.5 of the README).

Unusual here: the boxes travel with the label as a map of box numbers, so that they follow every augmentation, and the
part of a box that a crop shows is what is left of its number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from harness.contract import BACKGROUND, IGNORE, Box, Mask
from wsss_label_uncertainty.params import EXACT, OUTSIDE


class Painted(NamedTuple):
    """The boxes of one image as maps, each (H, W) uint8; the smallest box is in front.

    Attributes:
        label: Class of the front box, 0 outside all boxes.
        origin: Number of the front box, 1 to 253 (an image with more boxes shares numbers), 0 outside all boxes.
        beneath: Class of the box behind it that shows another class, 0 where there is none.
    """

    label: Mask
    origin: Mask
    beneath: Mask


def paint(boxes: Iterable[Box], size: tuple[int, int]) -> Painted:
    """Paint boxes, largest first; of equal boxes the later is in front."""
    label, origin, beneath = (np.zeros(size, np.uint8) for _ in range(3))
    for number, box in enumerate(sorted(boxes, key=lambda box: -box.area)):
        inside = (slice(box.y0, box.y1), slice(box.x0, box.x1))
        other = label[inside] != box.cls
        beneath[inside][other] = label[inside][other]
        label[inside] = box.cls
        origin[inside] = OUTSIDE + 1 + number % (EXACT - 1)
    return Painted(label, origin, beneath)


def grown(box: Box, pixels: int) -> Box:
    """The box with ``pixels`` more on every side, where the image has them."""
    return Box(box.cls, max(box.x0 - pixels, 0), max(box.y0 - pixels, 0), box.x1 + pixels, box.y1 + pixels)


def fill_ratios(masked: Iterable[tuple[Mask, Mask]], num_classes: int) -> list[float]:
    """Phi (3.5): object pixels divided by box pixels, for each class.

    Args:
        masked: (H, W) pixel mask and painted boxes of each image that has a mask.
        num_classes: With the background.

    Returns:
        One number for each class. A class without a box on these images takes the ratio of all classes together,
        background (never used) has 1.
    """
    area, filled = np.zeros(num_classes, np.int64), np.zeros(num_classes, np.int64)
    for mask, painted in masked:
        boxed = painted[(painted != BACKGROUND) & (mask != IGNORE)]
        object_ = painted[(painted != BACKGROUND) & (mask == painted)]
        area += np.bincount(boxed, minlength=num_classes)
        filled += np.bincount(object_, minlength=num_classes)
    overall = filled.sum() / area.sum() if area.any() else 1.0
    ratios = np.where(area > 0, filled / np.maximum(area, 1), overall)
    return [1.0, *ratios[1:].tolist()]
