"""The arrays that cross the border between harness and plugin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Mask: TypeAlias = "npt.NDArray[np.uint8]"
"""(H, W) class indices, 255 = ignore; a text at run time, because the contract imports no numpy."""

Image: TypeAlias = "npt.NDArray[np.uint8]"
"""(H, W, 3) RGB."""

IGNORE = 255
"""The index of pixels that are neither trained on nor scored."""

BACKGROUND = 0
"""The class index of the background."""


class Box(NamedTuple):
    """A class-labelled rectangle in pixels, half-open: columns ``x0 <= x < x1``, rows ``y0 <= y < y1``."""

    cls: int
    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def area(self) -> int:
        """Pixels inside the box."""
        return max(self.x1 - self.x0, 0) * max(self.y1 - self.y0, 0)


class Point(NamedTuple):
    """A pixel of which somebody said what it shows: column ``x``, row ``y``, class index ``cls`` (0 = background)."""

    cls: int
    x: int
    y: int


@dataclass(frozen=True)
class SoftScores:
    """Per-class scores of one image, stored compactly.

    Attributes:
        classes: Class index of each plane, ascending; present classes only (0 = background allowed).
        values: (K, h, w) float16, usually in [0, 1]; h and w may be smaller than the image.
        size: (H, W) of the image that the planes cover; up-sampling is bilinear with
            ``align_corners=False``.
    """

    classes: tuple[int, ...]
    values: npt.NDArray[np.float16]
    size: tuple[int, int]


@dataclass(frozen=True)
class PseudoLabel:
    """What a generator yields for one training image.

    Attributes:
        image_id: Id of the image in the training list.
        mask: (H, W) uint8 class indices at the image's own size, 255 = ignore.
        scores: Optional soft scores behind the mask.
    """

    image_id: str
    mask: Mask
    scores: SoftScores | None = None
