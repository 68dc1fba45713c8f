"""The kernels of a dense CRF: between which pixels it passes messages, and how strongly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from harness.contract.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.contract.arrays import Image

Floats = npt.NDArray[np.float32]


REFERENCE_SIDE = 500
"""Long side in pixels of the photographs of PASCAL VOC, for which papers choose their kernels."""


@dataclass(frozen=True)
class Gaussian:
    """Smoothness kernel: standard deviation ``sxy`` in pixels, weight ``compat``."""

    sxy: float = 3.0
    compat: float = 3.0

    of_image: ClassVar[bool] = False
    """Whether the features depend on more than the size of the image."""

    def features(self, image: Image) -> Floats:
        """(2, H * W) float32 positions over standard deviations."""
        rows, columns = np.indices(image.shape[:2], dtype=np.float32)
        return np.stack([columns.ravel(), rows.ravel()]) / _positive(sxy=self.sxy)


@dataclass(frozen=True)
class Bilateral:
    """Appearance kernel: standard deviations ``sxy`` in pixels and ``srgb`` in grey levels, weight ``compat``."""

    sxy: float = 80.0
    srgb: float = 13.0
    compat: float = 10.0

    of_image: ClassVar[bool] = True

    def features(self, image: Image) -> Floats:
        """(5, H * W) float32 positions and colours over standard deviations."""
        colours = image.reshape(-1, 3).T.astype(np.float32, order="C") / _positive(srgb=self.srgb)
        return np.concatenate([Gaussian(self.sxy).features(image), colours])


def kernels_for(
    size: tuple[int, int], pairwise: Iterable[Gaussian | Bilateral], *, reference: float | None = REFERENCE_SIDE
) -> tuple[Gaussian | Bilateral, ...]:
    """``pairwise`` with positions measured in parts of the image, as on images whose long side is ``reference``.

    Args:
        size: (H, W) of the image.
        pairwise: Kernels for images of the reference size.
        reference: Long side in pixels; ``None`` = the kernels as they are, in pixels of any image.
    """
    factor = 1.0 if reference is None else max(size) / reference
    return tuple(replace(kernel, sxy=factor * kernel.sxy) for kernel in pairwise)


def _positive(**deviation: float) -> np.float32:
    ((name, value),) = deviation.items()
    if not value > 0:
        raise ConfigError(f"{name} of a dense CRF must be positive, got {value}")
    return np.float32(value)
