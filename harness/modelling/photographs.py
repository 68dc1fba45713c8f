"""Label maps of any photograph by a trained segmenter, in memory that does not grow with the photograph.

* Images up to ``MOST_PIXELS`` are predicted as the images of a data set are, to the bit.
* A larger one is brought to the protocol's base size first, where it has one. Scores of that size are brought to the
  size of the image strip by strip. In between they are rounded once more than those of a smaller image.
* Without a base size the network sees a larger image in overlapping tiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from harness.modelling import crf, inference

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.contract.arrays import Image, Mask
    from harness.contract.protocol import TestSettings

MOST_PIXELS = 1 << 22
"""Pixels of an image that is predicted whole."""
MOST_SCORES = 1 << 26
"""Pixels times classes of an image that is predicted whole: 256 MiB of scores."""
TILE, MARGIN = 1024, 128
"""Side of a tile, and how far it reaches under its neighbours; of the overlap each tile gives the half next to it."""


class Predictor:
    """A trained segmenter that is kept in memory.

    Args:
        folder: Artifact of the segmenter.
        settings: Scales, flip, base size and dense CRF.
        num_classes: Classes including the background.
        device: ``cpu`` or ``cuda:N``.

    Attributes:
        model: The network, in evaluation mode.

    Raises:
        StoreError: The folder holds no segmenter.
    """

    def __init__(self, folder: Path, settings: TestSettings, num_classes: int, *, device: str = "cpu") -> None:
        self.settings, self.device = settings, device
        self._classes = num_classes
        self.model = inference.load_segmenter(folder, device)

    def label(self, image: Image) -> Mask:
        """(H, W, 3) uint8 RGB of any size -> (H, W) uint8 class indices."""
        height, width = image.shape[:2]
        if self._fits(height, width):
            return self._whole(image)
        base = self.settings.base
        if base is None:
            return self._tiled(image)
        factor = base * max(1.0, *self.settings.scales) / max(height, width)
        small = (max(round(height * factor), 1), max(round(width * factor), 1))
        if factor >= 1 or not self._fits(*small):
            return self._tiled(image)
        return _enlarged(self._scores(_resized(image, small)), (height, width))

    def _fits(self, height: int, width: int) -> bool:
        return height * width <= MOST_PIXELS and height * width * self._classes <= MOST_SCORES

    def _whole(self, image: Image) -> Mask:
        softmax = len(self.settings.scales) > 1 or self.settings.flip or self.settings.crf
        return self._finished(image, lambda scores, _: scores.argmax(0).to(torch.uint8).cpu().numpy(), softmax=softmax)

    def _scores(self, image: Image) -> npt.NDArray[np.float32]:
        """(C, H, W) float32 probabilities."""
        return self._finished(image, lambda scores, _: scores.float().cpu().numpy(), softmax=True)

    def _finished(self, image: Image, last: inference.Finish, *, softmax: bool) -> npt.NDArray[Any]:
        """What ``inference`` predicts for an image, with a model that stays loaded."""
        finish = inference._finish(last, self.settings, self.device, crf.refine)
        (predicted,) = inference._predicted(self.model, [image], self.settings, finish, softmax=softmax)
        return predicted

    def _tiled(self, image: Image) -> Mask:
        mask: Mask = np.empty(image.shape[:2], np.uint8)
        for rows, given_rows in _tiles(image.shape[0]):
            for columns, given_columns in _tiles(image.shape[1]):
                tile = self._whole(np.ascontiguousarray(image[rows, columns]))
                inside = (_shifted(given_rows, rows.start), _shifted(given_columns, columns.start))
                mask[given_rows, given_columns] = tile[inside]
        return mask


def _tiles(side: int) -> Iterator[tuple[slice, slice]]:
    """What each tile sees along one side, and the part of it that it gives; the parts are the whole side."""
    count = max(-(-(side - 2 * MARGIN) // (TILE - 2 * MARGIN)), 1)
    starts = [round(number * max(side - TILE, 0) / max(count - 1, 1)) for number in range(count)]
    ends = [min(start + TILE, side) for start in starts]
    borders = [0, *((end + start) // 2 for end, start in zip(ends, starts[1:], strict=False)), side]
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        yield slice(start, end), slice(borders[number], borders[number + 1])


def _shifted(part: slice, start: int) -> slice:
    return slice(part.start - start, part.stop - start)


def _resized(image: Image, size: tuple[int, int]) -> Image:
    """(H, W, 3) uint8 bilinear, as the network's input is resized; one colour at a time."""
    planes = [torch.from_numpy(np.ascontiguousarray(image[None, None, :, :, colour])).float() for colour in range(3)]
    small = [functional.interpolate(plane, size, mode="bilinear", align_corners=False) for plane in planes]
    resized: Image = torch.cat(small, 1)[0].permute(1, 2, 0).round().to(torch.uint8).numpy()
    return resized


def _enlarged(scores: npt.NDArray[np.float32], size: tuple[int, int]) -> Mask:
    """The class of the largest of (C, h, w) scores at (H, W), bilinear; a strip of rows at a time."""
    planes: Any = torch.from_numpy(scores)
    classes, low = planes.shape[:2]
    mask = np.empty(size, np.uint8)
    rows = max(MOST_SCORES // (4 * classes * size[1]), 1)
    for top in range(0, size[0], rows):
        at = (torch.arange(top, min(top + rows, size[0])) + 0.5) * (low / size[0]) - 0.5
        at = at.clamp(0, low - 1)
        above = at.long()
        share = (at - above)[None, :, None]
        below = (above + 1).clamp(max=low - 1)
        strip = planes[:, above] * (1 - share) + planes[:, below] * share
        wide = functional.interpolate(strip[None], (len(at), size[1]), mode="bilinear", align_corners=False)
        mask[top : top + len(at)] = wide[0].argmax(0).numpy()
    return mask
