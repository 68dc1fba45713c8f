"""Ids that a mask stores, and the class indices that they become."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.contract import IGNORE, DataError

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.contract.arrays import Mask
    from harness.data.params import VocLayout


def lookup(params: VocLayout) -> tuple[Mask, npt.NDArray[np.bool_]]:
    """Mask id -> class index (256,) uint8, and which ids are unknown (256,) bool."""
    rest = {"error": 0, "background": 0, "ignore": IGNORE}[params.other]
    lookup = np.full(256, rest, dtype=np.uint8)
    legal = np.full(256, params.other != "error")
    for cls, ids in enumerate(params.class_ids().values()):
        lookup[list(ids)] = cls
        legal[list(ids)] = True
    lookup[params.ignore_ids] = IGNORE
    legal[params.ignore_ids] = True
    return lookup, ~legal


def unknown_ids(ids: npt.NDArray[np.integer]) -> str:
    """Says which ids no class lists, and why there may be so many; the end of a sentence."""
    shown = ", ".join(map(str, ids[:8])) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
    blurred = "; so many ids come of smoothing or of JPEG, a mask needs whole ids" if len(ids) > 32 else ""
    return f"mask id {shown} is in no class, see fields classes and other{blurred}"


def narrowed(stored: npt.NDArray[np.integer], path: Path) -> npt.NDArray[np.uint8]:
    """Ids as uint8; raises ``DataError`` where one needs more bits."""
    if stored.size and (stored.min() < 0 or stored.max() > 255):
        raise DataError(f"{path}: values up to {stored.max()}, but 8 bits are the most that is understood")
    return stored.astype(np.uint8)
