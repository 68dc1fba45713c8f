"""Training samples of the generator: a pair (image, class), a random crop, the target (specification section 3.3).

Unusual here: a draw is a function of (seed, position in the stream), so a resumed training sees the same samples; an
image is decoded once and stays in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.contract import IGNORE, Box, ConfigError, View
from wsss_bilevel_box.method import box_mask, classes_in_order
from wsss_bilevel_box.network import STRIDE

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5)
PAD_RGB = (123, 117, 104)
"""The mean of both networks, rounded, so that padding is nearly zero once the mean is subtracted."""

Planes = Mapping[tuple[str, int], npt.NDArray[np.float32]]
"""(id, class) -> p_c over the image, at some stride: the cache of ``prob_cache``."""


@dataclass(frozen=True)
class Scene:
    """One auxiliary image with all that is known of it."""

    image_id: str
    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Batch:
    """Crops of P pairs.

    Attributes:
        images: (N, S, S, 3) uint8 RGB.
        owner: (P,) int64, which crop each pair looks at.
        classes: (P,) int64 class indices.
        masks: (P, S, S) uint8, filled boxes of the class.
        targets: (P, h, w) int64 at stride 4, 1 = the class, 0 = anything else, 255 = not learned from.
        cached: (P, S, S) float32 probabilities from the cache, or ``None``.
    """

    images: Tensor
    owner: Tensor
    classes: Tensor
    masks: Tensor
    targets: Tensor
    cached: Tensor | None

    def to(self, device: str) -> Batch:
        """The batch on ``device``."""
        moved: dict[str, Any] = {
            name: None if value is None else value.to(device) for name, value in vars(self).items()
        }
        return Batch(**moved)


@dataclass(frozen=True)
class Draw:
    """What is random of a sample: scale, place of the crop as fractions of its play, mirror."""

    scale: float
    y: float
    x: float
    flip: bool


def draw(seed: int, position: int) -> Draw:
    """The draw at ``position`` of the stream."""
    u = np.random.default_rng((seed, position)).random(4)
    return Draw(SCALES[int(u[0] * len(SCALES))], float(u[1]), float(u[2]), bool(u[3] < 0.5))


def order(seed: int, position: int, count: int) -> int:
    """Which of ``count`` pairs comes at ``position``; every epoch has a permutation of its own."""
    epoch, place = divmod(position, count)
    return int(np.random.default_rng((seed, 1 << 40, epoch)).permutation(count)[place])


def canvas_side(sizes: Sequence[tuple[int, int]], limit: int, multiple: int, *, corners: bool = False) -> int:
    """The square canvas: the smallest side of ``k * multiple`` (+ 1 with ``corners``) that holds every image.

    At most ``limit`` rounded down to a multiple; the pixel more that ``corners`` asks for does not count.

    Raises:
        ConfigError: The limit is below one multiple.
    """
    if limit < multiple:
        raise ConfigError(f"canvas: {limit} is below {multiple}, the least side that the generator takes")
    largest = max((max(size) for size in sizes), default=multiple) - int(corners)
    return min(max(-(-largest // multiple), 1), limit // multiple) * multiple + int(corners)


def refuse_shared_classes(view: View) -> None:
    """Masks of a class of the target must not be learned from.

    Raises:
        ConfigError: A class of the target is a class of the auxiliary data set.
    """
    target = {name.casefold() for name in view.classes[1:]}
    shared = [name for name in view.auxiliary.classes[1:] if name.casefold() in target]
    if shared:
        raise ConfigError(f"dataset: auxiliary classes must differ from those of the target, both hold {shared[0]!r}")


def read_scenes(view: View) -> list[Scene]:
    """Every auxiliary image that has a box.

    Raises:
        ConfigError: A class of the target is a class of the auxiliary data set, or no image has a box.
    """
    refuse_shared_classes(view)
    aux = view.auxiliary
    scenes = [Scene(i, aux.image(i), aux.mask(i), tuple(aux.boxes(i))) for i in aux.ids]
    boxed = [scene for scene in scenes if scene.boxes]
    if not boxed:
        raise ConfigError("no image of the auxiliary data set has a box: the generator has nothing to learn from")
    return boxed


def reduced(scene: Scene, canvas: int) -> Scene:
    """``scene`` at the size at which labels are made: no larger than the canvas."""
    height, width = scene.image.shape[:2]
    factor = min(1.0, canvas / max(height, width))
    if factor == 1.0:
        return scene
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    image = np.asarray(cv2.resize(scene.image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    mask = np.asarray(cv2.resize(scene.mask, size, interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)
    return Scene(scene.image_id, image, mask, tuple(scaled(scene.boxes, factor)))


def _window(low: float, high: float, side: int, crop: int, play: float) -> int:
    """Start of the crop on one axis: uniform in [max(0, low - crop), min(high, side - crop)]."""
    first, last = max(0, int(low) - crop), min(int(high), side - crop)
    return first + int(play * (last - first + 1))


class PairStream:
    """Random crops of (image, class) pairs.

    Args:
        scenes: Auxiliary images.
        crop: S, side of the square crop.
        seed: Of order and draws.
        pad_label: Target outside the image, 255 or 0.
        centred: Targets at the cells' centres; otherwise at their top left pixel, where features lie on the corners.
        planes: Cached probabilities, see ``Planes``.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        *,
        crop: int,
        seed: int,
        pad_label: int = IGNORE,
        centred: bool = True,
        planes: Planes | None = None,
    ) -> None:
        self.scenes, self.crop, self.seed = scenes, crop, seed
        self.pairs = [(n, cls) for n, scene in enumerate(scenes) for cls in classes_in_order(scene.boxes)]
        self.planes = planes
        self._pad_label = pad_label
        self._offset = STRIDE // 2 if centred else 0

    def batch(self, first: int, count: int) -> Batch:
        """Pairs at positions ``first`` .. ``first + count``; each has a crop of its own."""
        samples = []
        for position in range(first, first + count):
            scene, cls = self.pairs[order(self.seed, position, len(self.pairs))]
            samples.append(self._sample(self.scenes[scene], (cls,), cls, draw(self.seed, position)))
        return self._collate(samples)

    def image_batch(self, first: int, count: int) -> Batch:
        """Like ``batch``, but every crop comes with all classes that the image's boxes name."""
        samples = []
        for position in range(first, first + count):
            number, cls = self.pairs[order(self.seed, position, len(self.pairs))]
            scene = self.scenes[number]
            samples.append(self._sample(scene, classes_in_order(scene.boxes), cls, draw(self.seed, position)))
        return self._collate(samples)

    def _sample(self, scene: Scene, classes: tuple[int, ...], hull_of: int, drawn: Draw) -> _Sample:
        height, width = (max(round(side * drawn.scale), 1) for side in scene.image.shape[:2])
        boxes = [box for box in scene.boxes if box.cls == hull_of]
        rows = min(b.y0 for b in boxes) * drawn.scale, max(b.y1 for b in boxes) * drawn.scale
        columns = min(b.x0 for b in boxes) * drawn.scale, max(b.x1 for b in boxes) * drawn.scale
        y0 = _window(*rows, max(height, self.crop), self.crop, drawn.y)
        x0 = _window(*columns, max(width, self.crop), self.crop, drawn.x)
        cut = _Cut(self.crop, (height, width), y0, x0, drawn.flip)
        size = scene.image.shape[:2]
        targets = [np.where(scene.mask == IGNORE, IGNORE, scene.mask == cls).astype(np.uint8) for cls in classes]
        offset = self._offset
        return _Sample(
            cut(scene.image, PAD_RGB, cv2.INTER_LINEAR),
            classes,
            [cut(box_mask(scene.boxes, cls, size), 0, cv2.INTER_NEAREST_EXACT) for cls in classes],
            [
                cut(target, self._pad_label, cv2.INTER_NEAREST_EXACT)[offset::STRIDE, offset::STRIDE]
                for target in targets
            ],
            [cut(self.planes[scene.image_id, cls], 0, cv2.INTER_LINEAR) for cls in classes] if self.planes else [],
        )

    @staticmethod
    def _collate(samples: Sequence[_Sample]) -> Batch:
        owner = [n for n, sample in enumerate(samples) for _ in sample.classes]
        cached = [plane for sample in samples for plane in sample.cached]
        return Batch(
            images=torch.from_numpy(np.stack([sample.image for sample in samples])),
            owner=torch.tensor(owner),
            classes=torch.tensor([cls for sample in samples for cls in sample.classes]),
            masks=torch.from_numpy(np.stack([mask for sample in samples for mask in sample.masks])),
            targets=torch.from_numpy(np.stack([target for sample in samples for target in sample.targets])).long(),
            cached=torch.from_numpy(np.stack(cached)) if cached else None,
        )


@dataclass(frozen=True)
class _Sample:
    image: npt.NDArray[np.uint8]
    classes: tuple[int, ...]
    masks: list[npt.NDArray[np.uint8]]
    targets: list[npt.NDArray[np.uint8]]
    cached: list[npt.NDArray[np.float32]]


@dataclass(frozen=True)
class _Cut:
    """Resize, pad right and bottom, crop, mirror: alike for image and maps."""

    crop: int
    size: tuple[int, int]
    y0: int
    x0: int
    flip: bool

    def __call__(self, plane: npt.NDArray[Any], pad: int | tuple[int, ...], rule: int) -> npt.NDArray[Any]:
        height, width = self.size
        if plane.shape[:2] != self.size:
            plane = cv2.resize(plane, (width, height), interpolation=rule)
        inside = plane[self.y0 : self.y0 + self.crop, self.x0 : self.x0 + self.crop]
        cut = np.full((self.crop, self.crop, *plane.shape[2:]), pad, plane.dtype)
        cut[: inside.shape[0], : inside.shape[1]] = inside
        return np.ascontiguousarray(cut[:, ::-1]) if self.flip else cut


def on_canvas(image: npt.NDArray[np.uint8], side: int) -> tuple[npt.NDArray[np.uint8], float]:
    """``image`` at the top left of a square canvas, and the factor by which it was reduced to fit.

    Args:
        image: (H, W, 3) uint8 RGB.
        side: Of the canvas.

    Returns:
        (side, side, 3) uint8, and a factor in (0, 1].
    """
    height, width = image.shape[:2]
    factor = min(1.0, side / max(height, width))
    if factor < 1.0:
        size = (max(round(width * factor), 1), max(round(height * factor), 1))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    canvas = np.full((side, side, 3), PAD_RGB, np.uint8)
    canvas[: image.shape[0], : image.shape[1]] = image
    return canvas, factor


def scaled(boxes: Sequence[Box], factor: float) -> Sequence[Box]:
    """``boxes`` on an image that was reduced by ``factor``; each keeps at least a pixel."""
    if factor == 1.0:
        return boxes
    reduced_boxes = []
    for box in boxes:
        x0, y0 = int(box.x0 * factor), int(box.y0 * factor)
        reduced_boxes.append(
            Box(box.cls, x0, y0, max(round(box.x1 * factor), x0 + 1), max(round(box.y1 * factor), y0 + 1))
        )
    return reduced_boxes
