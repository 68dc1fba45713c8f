"""Tags and boxes derived from a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from harness.contract import IGNORE, Box

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.contract.arrays import Mask

_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def mask_tags(mask: Mask) -> tuple[int, ...]:
    """Ascending foreground classes that ``mask`` shows.

    Args:
        mask: (H, W) uint8 class indices, 0 = background, 255 = ignore.
    """
    counts = np.bincount(mask.ravel(), minlength=IGNORE + 1)
    return tuple(int(cls) for cls in np.flatnonzero(counts[1:IGNORE]) + 1)


def binary_hint(pixels: npt.NDArray[np.int64]) -> str:
    """How to read masks of 0 and 255, where masks show no class and ignore something; empty for all others.

    Args:
        pixels: (256,) pixels of each class in all masks of a split, 255 = ignore.
    """
    if not pixels[IGNORE] or pixels[1:IGNORE].any():
        return ""
    return ", and 255 is ignored; the reader 'folder' takes masks of 0 and 255, as 'format: binary'"


def mask_boxes(mask: Mask, min_pixels: int = 1) -> tuple[Box, ...]:
    """One box for each 8-connected component of each foreground class, by class, then from the top down.

    Args:
        mask: (H, W) uint8 class indices, 0 = background, 255 = ignore.
        min_pixels: Smaller components are specks and make no box.
    """
    boxes = []
    for cls, extent in enumerate(ndimage.find_objects(mask, max_label=IGNORE - 1), start=1):
        if extent is None:
            continue
        components, _ = ndimage.label(mask[extent] == cls, structure=_EIGHT_NEIGHBOURS)
        pixels = np.bincount(components.ravel())
        top, left = extent[0].start, extent[1].start
        boxes += [
            Box(cls, left + columns.start, top + rows.start, left + columns.stop, top + rows.stop)
            for number, (rows, columns) in enumerate(ndimage.find_objects(components), start=1)
            if pixels[number] >= min_pixels
        ]
    return tuple(boxes)
