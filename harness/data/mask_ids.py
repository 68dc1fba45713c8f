"""Ids that a mask stores, and what to say of those that nobody listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.contract import IGNORE, DataError

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.data.params import VocLayout

_BINARY_SHARE = 0.01
"""Share of 255 above which masks of 0 and 255 are binary, not background with an ignored outline."""


def unknown_ids(ids: npt.NDArray[np.integer]) -> str:
    """Says which ids no class lists, and why there may be so many; the end of a sentence."""
    shown = ", ".join(map(str, ids[:8])) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
    blurred = "; so many ids come of smoothing or of JPEG, a mask needs whole ids" if len(ids) > 32 else ""
    return f"mask id {shown} is in no class, see fields classes and other{blurred}"


def explained(held: Mapping[int, int], folder: Path, params: VocLayout, classes: Sequence[str]) -> str:
    """What masks hold in place of ``classes``, and what to do; the end of a sentence.

    Args:
        held: Stored mask id -> pixels.
        folder: Where the masks lie.
        params: How mask ids become classes.
        classes: Names that no mask shows.
    """
    if classes and set(held) == {0, IGNORE} and held[IGNORE] >= _BINARY_SHARE * sum(held.values()):
        example = f"classes: {{background: 0, {classes[0]}: 255}}"
        return f"the masks in {folder} are binary, 0 and 255; write {example}, which ignores nothing"
    wanted = params.class_ids()
    meant = "".join(f", {name} is {'/'.join(map(str, wanted[name]))}" for name in classes[:3])
    shown = ", ".join(map(str, list(held)[:20])) + (", ..." if len(held) > 20 else "")
    ignored = ", ".join(map(str, params.ignore_ids)) or "none"
    return f"the masks in {folder} hold the ids {shown} (ignored: {ignored}{meant}); see classes, other and ignore_ids"


def narrowed(stored: npt.NDArray[np.integer], path: Path) -> npt.NDArray[np.uint8]:
    """Ids as uint8; raises ``DataError`` where one needs more bits."""
    if stored.size and (stored.min() < 0 or stored.max() > 255):
        raise DataError(f"{path}: values up to {stored.max()}, but 8 bits are the most that is understood")
    return stored.astype(np.uint8)
