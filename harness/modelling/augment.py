"""Training augmentation: random scale, crop, flip and colour jitter on uint8 arrays.

What is unusual here:

* Every draw is a pure function of (seed, position in the sample stream), so a training sees the same samples for every
  method, for any number of loader threads, and after a resume.
* The image is never resized as a whole: one affine warp fills just the crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from harness.contract.arrays import IGNORE
from harness.contract.inputs import IMAGENET

if TYPE_CHECKING:
    from harness.contract.arrays import Image, Mask
    from harness.contract.protocol import AugmentSettings

Colour = tuple[int, int, int]

PAD_COLOUR = IMAGENET.padding
"""ImageNet mean, RGB: zero after normalisation."""
_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Luma weights of R, G and B (ITU-R BT.601)."""


@dataclass(frozen=True)
class Draw:
    """What is random about one sample.

    Attributes:
        scale: Factor of the sides.
        x: Where the crop begins, as a fraction of the room that it has.
        y: The same for the rows.
        flip: Whether the view is mirrored.
        brightness: Factor around 1, as the next two are.
        contrast: Of the difference to the mean grey.
        saturation: Of the difference to the grey of each pixel.
    """

    scale: float
    x: float
    y: float
    flip: bool
    brightness: float
    contrast: float
    saturation: float


def draw(settings: AugmentSettings, seed: int, position: int) -> Draw:
    """The draw of sample ``position``; turning one kind of augmentation off leaves the others as they were."""
    u = np.random.default_rng((seed, position)).random(7)
    low, high = settings.scale
    jitter = 1.0 + settings.colour * (2.0 * u[4:7] - 1.0)
    return Draw(
        scale=float(low + (high - low) * u[0]),
        x=float(u[1]),
        y=float(u[2]),
        flip=bool(settings.flip and u[3] < 0.5),
        brightness=float(jitter[0]),
        contrast=float(jitter[1]),
        saturation=float(jitter[2]),
    )


def shrink(image: Image, maps: Sequence[Mask], settings: AugmentSettings) -> tuple[Image, list[Mask]]:
    """Reduce an image that is larger than its largest view; without ``base`` nothing changes.

    Args:
        image: (H, W, 3) uint8.
        maps: (H, W) uint8 each, resized to the nearest pixel.
        settings: ``base`` and ``scale`` bound the size.

    Returns:
        The image and its maps at the same smaller size, or as they are.
    """
    height, width = image.shape[:2]
    factor = settings.base * settings.scale[1] / max(height, width) if settings.base else 1.0
    if factor >= 1.0:
        return image, list(maps)
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    nearest = cv2.INTER_NEAREST_EXACT
    return small, [np.asarray(cv2.resize(m, size, interpolation=nearest), dtype=np.uint8) for m in maps]


def augment(
    image: Image,
    maps: Sequence[Mask],
    settings: AugmentSettings,
    drawn: Draw,
    *,
    long_side: int,
    padding: Colour = PAD_COLOUR,
) -> tuple[Image, list[Mask]]:
    """One training view.

    Args:
        image: (H, W, 3) uint8 RGB.
        maps: (H, W) uint8 each; they follow the image, nearest neighbour.
        settings: Crop side, base size.
        drawn: The random part.
        long_side: Long side in pixels of the image before ``shrink``; used without ``base``.
        padding: R, G, B uint8 of what lies outside the image.

    Returns:
        (crop, crop, 3) uint8 and as many (crop, crop) uint8 maps; outside the image lie ``padding`` and 255.
    """
    crop = settings.crop
    height, width = image.shape[:2]
    factor = drawn.scale * (settings.base or long_side) / max(height, width)
    scaled_h, scaled_w = max(round(height * factor), 1), max(round(width * factor), 1)
    left, right, x0 = _window(scaled_w, crop, drawn.x)
    top, bottom, y0 = _window(scaled_h, crop, drawn.y)

    step_x, step_y = width / scaled_w, height / scaled_h
    source = np.array(
        [
            [step_x, 0.0, (x0 + left + 0.5) * step_x - 0.5],
            [0.0, step_y, (y0 + top + 0.5) * step_y - 0.5],
        ]
    )
    size = (right - left, bottom - top)
    inside = (slice(top, bottom), slice(left, right))

    view = np.full((crop, crop, 3), padding, dtype=np.uint8)
    view[inside] = _jitter(_warp(image, source, size, cv2.INTER_LINEAR), drawn)
    warped = []
    for m in maps:
        target = np.full((crop, crop), IGNORE, dtype=np.uint8)
        target[inside] = _warp(m, source, size, cv2.INTER_NEAREST)
        warped.append(target)
    if drawn.flip:
        return view[:, ::-1], [m[:, ::-1] for m in warped]
    return view, warped


def _window(side: int, crop: int, position: float) -> tuple[int, int, int]:
    """Where the image lies on one axis of the crop (start, end), and the crop's start on the scaled image."""
    room = side - crop
    origin = int(position * (abs(room) + 1)) * (1 if room >= 0 else -1)
    start = max(-origin, 0)
    return start, min(side - origin, crop), origin


def _warp(array: Image | Mask, source: np.ndarray, size: tuple[int, int], mode: int) -> np.ndarray:
    """Sample ``array`` at the affine positions ``source``; beyond an edge its pixels are repeated."""
    return cv2.warpAffine(array, source, size, flags=mode | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)


def _jitter(image: Image, drawn: Draw) -> Image:
    """Saturation, contrast (around the mean grey) and brightness are linear in the colour: one 3x4 matrix."""
    if drawn.brightness == drawn.contrast == drawn.saturation == 1.0:
        return image
    grey = float(_GREY @ np.asarray(cv2.mean(image)[:3]))
    gain = drawn.brightness * drawn.contrast
    matrix = np.empty((3, 4), dtype=np.float32)
    matrix[:, :3] = gain * (drawn.saturation * np.eye(3) + (1.0 - drawn.saturation) * _GREY)
    matrix[:, 3] = drawn.brightness * (1.0 - drawn.contrast) * grey
    return np.asarray(cv2.transform(image, matrix))
