"""Class activation maps of whole data sets: several scales, flipped, batched over different photographs.

What is unusual here:

* Views of different photographs that share a network input size go through the network together, each with its mirror.
* Only the classes that an image is tagged with are kept, and they are added up at the stored stride: an image costs
  kilobytes, not the full resolution of every class.
* Resizing a map is two small matrix products (rows, columns). The mirrored map uses the same columns reversed, and the
  matrices follow where the network really samples, see ``InputRule``.
* A tile is a view like any other: a box of the image and a network input size. Tiles of all scales and photographs
  share batches, and each adds to the stored cells whose centres it covers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from harness.contract.arrays import SoftScores
from harness.contract.inputs import IMAGENET, InputRule
from harness.maps.normalise import max_normalise, minmax_normalise

if TYPE_CHECKING:
    from harness.contract.arrays import Image
    from harness.contract.protocol import CamSettings, TileSettings


ForwardCam = Callable[[torch.Tensor], torch.Tensor]
"""(B, 3, h, w) float32 RGB as the network wants it -> (B, C, h', w') float >= 0, channel i = class i + 1."""

Normalise = Callable[[torch.Tensor], torch.Tensor]
"""(1, K, h, w) float32 sums -> the same shape."""

Span = tuple[int, int]
"""Half-open range of pixels along one side."""


class CamItem(NamedTuple):
    """One image: id, (H, W, 3) uint8 RGB, ascending class indices >= 1 that it is tagged with."""

    image_id: str
    image: Image
    classes: tuple[int, ...]


class Tile(NamedTuple):
    """A box of an image in pixels, half-open: rows ``y0 <= y < y1``, columns ``x0 <= x < x1``."""

    x0: int
    y0: int
    x1: int
    y1: int


def tile_boxes(size: tuple[int, int], scale: float, tiles: TileSettings) -> list[Tile]:
    """Tiles of an image, column by column ("Pseudo-mask matters", arXiv 2108.12995, multi-crop inference).

    Args:
        size: (H, W) of the image.
        scale: The grid is laid over the image at this scale.
        tiles: Crop, stride and kind of grid.

    Returns:
        Boxes in pixels of the unscaled image, which they cover.
    """
    nearly = 1e-6  # a product that is a whole number may come out just below it
    width = tiles.stride if tiles.grid == "released" else tiles.crop
    spans: list[list[Span]] = []
    for side in size:
        furthest = max(int(side * scale + nearly) - tiles.crop, 0)  # where the last tile begins: it ends with the image
        begins = range(0, furthest, tiles.stride)
        pixels = [(int(begin / scale + nearly), int((begin + width) / scale + nearly)) for begin in begins]
        pixels.append((int(furthest / scale + nearly), side))
        spans.append([(begin, end) for begin, end in pixels if begin < end])
    rows, columns = spans
    return [Tile(x0, y0, x1, y1) for x0, x1 in columns for y0, y1 in rows]


def infer_cams(
    forward_cam: ForwardCam,
    items: Iterable[tuple[str, Image, tuple[int, ...]]],
    *,
    settings: CamSettings,
    device: str | torch.device = "cpu",
    batch_pixels: int | None = None,
    window_pixels: int = 1 << 24,
    inputs: InputRule = IMAGENET,
    normalise: Normalise | None = None,
) -> Iterator[tuple[str, SoftScores]]:
    """CAMs of the present classes, summed over scales and mirror images (averaged over tiles), then normalised.

    Args:
        forward_cam: The network; in evaluation mode, on ``device``.
        items: ``CamItem`` or plain (id, image, classes); read ahead in a thread, one window at a time.
        settings: Scales, flip, base size, tiles, normalisation and stored stride.
        device: Where ``forward_cam`` runs and the maps are added up.
        batch_pixels: Network input pixels of one batch, mirror images included; at least one view runs at a time.
        window_pixels: Image pixels kept in memory at a time (twice that, with the window being read).
        inputs: Mean, standard deviation and sides that the network wants.
        normalise: Replaces the normalisation that ``settings`` names.

    Yields:
        (id, scores) in the order of ``items``; scores (K, ceil(H / stride), ceil(W / stride)) float16 in [0, 1], one
        plane per present class; K is 0 for an image without tags.
    """
    device = torch.device(device)
    limit = batch_pixels or (1 << 23 if device.type == "cuda" else 1 << 18)
    normalise = normalise or {"max": max_normalise, "minmax": minmax_normalise}[settings.normalise]
    for window in _windows(items, window_pixels):
        images = [_Accumulator(item, settings, device) for item in window]
        for (height, width), group in _by_input_size(images, settings, inputs).items():
            views = max(limit // (height * width * (2 if settings.flip else 1)), 1)
            for start in range(0, len(group), views):
                _add_views(forward_cam, group[start : start + views], settings.flip, inputs)
        for image in images:
            yield image.item.image_id, image.finish(normalise)


class _Accumulator:
    """One image on the device and the running sum of its maps."""

    def __init__(self, item: CamItem, settings: CamSettings, device: torch.device) -> None:
        self.item = item
        height, width = item.image.shape[:2]
        self.size = (height, width)
        self.stored = (-(-height // settings.stride), -(-width // settings.stride))
        self.channels = torch.tensor([c - 1 for c in item.classes], dtype=torch.long, device=device)
        self.sum = torch.zeros(len(item.classes), *self.stored, device=device)
        self.count = torch.zeros(self.stored, device=device) if settings.tiles else None
        self.pixels: torch.Tensor | None = None
        if item.classes:
            pixels = torch.from_numpy(np.array(item.image, dtype=np.uint8))
            # Only from pinned memory can the copy to a GPU overlap with computation.
            self.pixels = pixels.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else pixels

    def network_input(self, box: Tile, size: tuple[int, int]) -> torch.Tensor:
        """The pixels of ``box``, resized to (1, 3, h, w) float32 in 0-255."""
        assert self.pixels is not None
        planes = self.pixels[box.y0 : box.y1, box.x0 : box.x1].permute(2, 0, 1)[None].float()
        return functional.interpolate(planes, size=size, mode="bilinear", align_corners=False)

    def add(self, view: _View, maps: torch.Tensor, mirrored: torch.Tensor | None, rule: InputRule) -> None:
        """Add the maps (C, h', w') of one view, and those of its mirror image, to the cells that it covers."""
        spans = (view.box.y0, view.box.y1), (view.box.x0, view.box.x1)
        covered, weights = [], []
        for features, length, *side in zip(maps.shape[1:], view.size, spans, self.size, self.stored, strict=True):
            shown = _Side(*side)
            covered.append(shown.covered())
            weights.append(_resampling(features, length, shown, rule.corners, maps.device))
        kept = maps[self.channels].float()
        if mirrored is not None:
            kept = kept + mirrored[self.channels].float().flip(-1)
        self.sum[:, covered[0], covered[1]] += weights[0] @ kept @ weights[1].T
        if self.count is not None:
            self.count[covered[0], covered[1]] += 1 if mirrored is None else 2

    def finish(self, normalise: Normalise) -> SoftScores:
        """Normalise the sum; (K, h, w) float16 on the host."""
        if not self.item.classes:
            return SoftScores((), np.zeros((0, *self.stored), dtype=np.float16), self.size)
        maps = self.sum if self.count is None else self.sum / self.count.clamp(min=1)
        return SoftScores(tuple(self.item.classes), normalise(maps[None])[0].half().cpu().numpy(), self.size)


class _View(NamedTuple):
    """A box of an image that goes through the network at ``size`` (h, w)."""

    image: _Accumulator
    box: Tile
    size: tuple[int, int]


def _add_views(forward_cam: ForwardCam, views: list[_View], flip: bool, rule: InputRule) -> None:
    """Run one batch of views of equal size and add their maps to those of their images."""
    with torch.inference_mode():
        batch = torch.cat([view.image.network_input(view.box, view.size) for view in views])
        mean, std = (torch.tensor(values, device=batch.device).view(1, 3, 1, 1) for values in (rule.mean, rule.std))
        batch = (batch - mean) / std
        if flip:
            batch = torch.cat([batch, batch.flip(-1)])
        maps = forward_cam(batch)
        for index, view in enumerate(views):
            view.image.add(view, maps[index], maps[len(views) + index] if flip else None, rule)


def _by_input_size(
    images: list[_Accumulator], settings: CamSettings, rule: InputRule
) -> dict[tuple[int, int], list[_View]]:
    """The views that share a network input size: each image whole or in tiles, at each scale.

    An image may stand twice in a group, when two scales round to the same size.
    """
    groups, tiles = defaultdict(list), settings.tiles
    for scale in settings.scales:
        for image in (image for image in images if image.item.classes):
            height, width = image.size
            factor = scale * (settings.base / max(height, width) if settings.base else 1.0)
            for box in tile_boxes(image.size, factor, tiles) if tiles else [Tile(0, 0, width, height)]:
                sides = ((box.y1 - box.y0) * factor, (box.x1 - box.x0) * factor)
                if tiles and tiles.grid == "released":
                    sides = (tiles.crop, tiles.crop)
                view = _View(image, box, (rule.side(sides[0]), rule.side(sides[1])))
                groups[view.size].append(view)
    return groups


class _Side(NamedTuple):
    """One side of an image: ``pixels`` of them in ``cells`` equal cells, and the span of pixels that a view shows."""

    span: Span
    pixels: int
    cells: int

    def covered(self) -> slice:
        """The cells whose centres lie in the span."""
        first, last = (-((self.pixels - 2 * pixel * self.cells) // (2 * self.pixels)) for pixel in self.span)
        return slice(first, last)


@lru_cache(maxsize=1024)  # the few sizes of a data set come again and again; a matrix has some kilobytes
def _resampling(features: int, length: int, side: _Side, corners: bool, device: torch.device) -> torch.Tensor:
    """(cells, features) float32 weights of bilinear sampling of a feature row at the centres of the covered cells.

    The row covers a network input of ``length`` pixels, to which the span of ``side`` was resized. Coordinates beyond
    the outer features take their value.
    """
    begin, end = side.span
    cells = np.arange(side.cells)[side.covered()]
    pixel = ((cells + 0.5) * side.pixels - begin * side.cells) * length / (side.cells * (end - begin)) - 0.5
    spread = (features - 1) / (length - 1) if corners else features / length
    at = pixel * spread if corners else (pixel + 0.5) * spread - 0.5
    at = np.clip(at, 0, features - 1)
    low = np.minimum(at.astype(int), max(features - 2, 0))
    weights = np.zeros((len(cells), features), dtype=np.float32)
    rows = np.arange(len(cells))
    weights[rows, np.minimum(low + 1, features - 1)] = at - low
    weights[rows, low] += 1 - (at - low)
    return torch.from_numpy(weights).to(device)


def _windows(items: Iterable[tuple[str, Image, tuple[int, ...]]], pixels: int) -> Iterator[list[CamItem]]:
    """Consecutive items of about ``pixels`` image pixels, the next window being read while one is used."""
    source = iter(items)

    def read() -> list[CamItem]:
        window: list[CamItem] = []
        taken = 0
        while taken < pixels and (item := next(source, None)) is not None:
            window.append(CamItem(*item))
            taken += window[-1].image.shape[0] * window[-1].image.shape[1]
        return window

    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
        ahead = pool.submit(read)
        while window := ahead.result():
            ahead = pool.submit(read)
            yield window
