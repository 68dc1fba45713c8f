"""Stored features of a frozen backbone: of a fixed set of views of the training images, and of the predicted images.

    row = index * views + view        of image ``index`` of the training list

* Of the training views each level of the backbone is one file, a plain ``.npy`` array (rows, h, w, c) float16, channels
  last as networks compute.
* The predicted images differ in size: one file holds all levels of all their views one after another, float32, so that
  a prediction from them is the very prediction of the network alone.
* Files are read and written piece by piece and never as a whole: memory grows with a batch, not with the data set.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.contract.errors import StoreError
from harness.contract.shared import FEATURES
from harness.modelling.augment import Draw, draw

if TYPE_CHECKING:
    from harness.contract import Context
    from harness.contract.protocol import AugmentSettings

ABOUT = "features.json"
SEED = 0
"""Of the views: they are alike for every run."""

_LEVEL = "level/"
_WEIGHTS, _COUNT = "levels_of", "levels_in_all"
"""Names in a batch: a level with its number behind, the digest of the backbone's weights, its number of levels."""

Rows = npt.NDArray[np.float16]
"""(h, w, c) float16: a level of one view."""


def level_file(level: int) -> str:
    """Name of the file of a level."""
    return f"level{level}.npy"


def fixed_draw(settings: AugmentSettings, row: int) -> Draw:
    """What is random about the view of a row."""
    return draw(settings, SEED, row)


def read_header(path: Path) -> tuple[tuple[int, ...], int]:
    """Shape of a ``.npy`` file and where its numbers begin."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, _ = np.lib.format.read_array_header_1_0(file)
        return tuple(shape), file.tell()


@dataclass(frozen=True)
class Levels:
    """Stored levels as they travel in a batch.

    Attributes:
        values: Level to (B, c, h, w) float16 or float32.
        weights: Digest of the weights of the network that computed them.
        count: Levels of that network.
    """

    values: Mapping[int, Tensor]
    weights: str
    count: int

    @classmethod
    def of(cls, batch: Any) -> Levels | None:
        """Those in a batch of any kind, if it has any; levels stand for themselves."""
        if isinstance(batch, cls):
            return batch
        if not isinstance(batch, Mapping) or _WEIGHTS not in batch:
            return None
        values = {int(name.removeprefix(_LEVEL)): value for name, value in batch.items() if name.startswith(_LEVEL)}
        return cls(values, batch[_WEIGHTS], batch[_COUNT])


class FeatureReader:
    """The stored features in ``folder``.

    Attributes:
        views: Views of each image.

    Raises:
        StoreError: The folder holds none.
    """

    def __init__(self, folder: Path) -> None:
        try:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            files = {int(level): folder / level_file(level) for level in about["levels"]}
            self._files = {level: (path, *read_header(path)) for level, path in files.items()}
            self.views = int(about["views"])
            self._weights, self._count = str(about["weights"]), int(about["count"])
            self._index = {image_id: index for index, image_id in enumerate(about["ids"])}
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(f"{folder}: no readable features ({type(error).__name__}: {error})") from None

    def row(self, image_id: str, seed: int, position: int) -> int:
        """Row of the view of an image that is seen at ``position`` of a stream of samples."""
        view = np.random.default_rng((seed, position)).integers(self.views)
        return self._index[image_id] * self.views + int(view)

    def levels(self, row: int) -> list[Rows]:
        """The stored levels of a row, shallow to deep.

        Raises:
            StoreError: A file has been cut short.
        """
        levels = []
        for path, shape, offset in self._files.values():
            size = int(np.prod(shape[1:]))
            values = np.fromfile(path, np.float16, count=size, offset=offset + 2 * size * row)
            if values.size != size:
                raise StoreError(f"{path}: ends before row {row}")
            levels.append(values.reshape(shape[1:]))
        return levels

    def collated(self, samples: Sequence[Sequence[Rows]]) -> dict[str, Any]:
        """Levels of several rows as entries of a batch: ``Levels.of`` reads them."""
        stacked = zip(self._files, zip(*samples, strict=True), strict=True)
        levels = {
            f"{_LEVEL}{level}": torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2)  # channels last in memory
            for level, rows in stacked
        }
        return {**levels, _WEIGHTS: self._weights, _COUNT: self._count}


def stored_features(ctx: Context) -> FeatureReader | None:
    """The features that a training is supplied with, where the protocol freezes the backbone."""
    return FeatureReader(ctx.input(FEATURES.name)) if "freeze" in ctx.settings else None


PREDICTED = "levels.bin"
"""File of the features of the predicted images; ``ABOUT`` lies beside it."""


class PredictionWriter:
    """Writes the features of the views of predicted images, as ``PredictionReader`` reads them.

    A context manager: leaving it closes the file.

    Args:
        folder: Where they go.
        levels: Levels to keep.
    """

    def __init__(self, folder: Path, levels: Sequence[int]) -> None:
        self.levels = tuple(levels)
        self._folder = folder
        self._images: dict[str, list[dict[str, Any]]] = {}
        self._file = (folder / PREDICTED).open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._file.close()

    def write(self, ids: Sequence[str], levels: Sequence[Tensor]) -> None:
        """Append the next view of some images: all levels of the network, (B, c, h, w) float32 each."""
        kept = {level: levels[level].permute(0, 2, 3, 1).contiguous().cpu().numpy() for level in self.levels}
        for index, image_id in enumerate(ids):
            view: dict[str, Any] = {"offset": self._file.tell(), "shapes": [kept[k].shape[1:] for k in self.levels]}
            self._images.setdefault(image_id, []).append(view)
            for level in self.levels:
                self._file.write(kept[level][index].data)

    def publish(self, *, weights: str, count: int) -> None:
        """Say what was written: the digest of the network's weights and its number of levels."""
        about = {"levels": self.levels, "weights": weights, "count": count, "images": self._images}
        (self._folder / ABOUT).write_text(json.dumps(about) + "\n", encoding="utf-8")


class PredictionReader:
    """The stored features of predicted images in ``folder``.

    Attributes:
        weights: Digest of the weights of the network that computed them.

    Raises:
        StoreError: The folder holds none.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / PREDICTED
        try:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            self._levels = tuple(int(level) for level in about["levels"])
            self.weights, self._count = str(about["weights"]), int(about["count"])
            self._images: dict[str, list[dict[str, Any]]] = about["images"]
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(f"{folder}: no readable features ({type(error).__name__}: {error})") from None

    def levels(self, ids: Sequence[str], view: int) -> Levels:
        """Stored levels of one view of images of one size.

        Args:
            ids: Of the images, in the order of the batch.
            view: Number of the view among those that the test-time settings ask for.

        Raises:
            StoreError: The file has been cut short.
        """
        rows = [self._row(self._images[image_id][view]) for image_id in ids]
        stacked = (torch.from_numpy(np.stack(level)).permute(0, 3, 1, 2) for level in zip(*rows, strict=True))
        return Levels(dict(zip(self._levels, stacked, strict=True)), self.weights, self._count)

    def _row(self, view: Mapping[str, Any]) -> list[npt.NDArray[np.float32]]:
        shapes = [tuple(shape) for shape in view["shapes"]]
        sizes = [math.prod(shape) for shape in shapes]
        values = np.fromfile(self._file, np.float32, count=sum(sizes), offset=view["offset"])
        if values.size != sum(sizes):
            raise StoreError(f"{self._file}: ends before its last image")
        parts = np.split(values, np.cumsum(sizes)[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
