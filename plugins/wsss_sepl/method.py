"""SEPL's merging rule (Chen et al., arXiv 2305.05803; the authors' default, ``max_iou_imp2``).

A class c takes a class-agnostic mask m when it covers most of the mask, or the mask holds nearly all of the class:

    2 |c and m| > |m|    or    |c and m| / |c| >= 0.85                                                          (1)

    merged c = union of the masks taken  +  pixels of c that no mask on offer covers                            (2)

Classes come in the order of their indices; a mask that one has taken is not on offer to later ones, and a later class
paints over an earlier one. Whether c takes m depends on c and m alone, so the order of masks changes nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.contract import BACKGROUND, IGNORE, Mask


def merge(
    label: Mask, masks: npt.NDArray[np.bool_], *, share: float = 0.5, cover: float = 0.85, keep_ignored: bool = True
) -> Mask:
    """Merge the label of an image with class-agnostic masks, eqs. 1 and 2.

    Args:
        label: (H, W) uint8, 255 = ignore.
        masks: (N, H, W) bool.
        share: Of a mask, in eq. 1 on the left.
        cover: Of a class, in eq. 1 on the right.
        keep_ignored: Whether pixels of 255 that no class takes stay so; else they become background.

    Returns:
        (H, W) uint8.
    """
    merged = np.where((label == IGNORE) & keep_ignored, IGNORE, BACKGROUND).astype(np.uint8)
    offered = masks
    for cls in np.unique(label):
        if cls in (BACKGROUND, IGNORE):
            continue
        region = label == cls
        taken = chosen(region, offered, share=share, cover=cover)
        uncovered = region & ~offered.any(axis=0)
        merged[offered[taken].any(axis=0) | uncovered] = cls
        offered = offered[~taken]
    return merged


def chosen(
    region: npt.NDArray[np.bool_], masks: npt.NDArray[np.bool_], *, share: float, cover: float
) -> npt.NDArray[np.bool_]:
    """Which masks a class takes, eq. 1.

    Args:
        region: (H, W) bool, the pixels of the class, one or more.
        masks: (N, H, W) bool.
        share: Of a mask.
        cover: Of the class.

    Returns:
        (N,) bool.
    """
    common = masks[:, region].sum(axis=1)
    areas = masks.sum(axis=(1, 2))
    return (common > share * areas) | (common / region.sum() >= cover)
