"""Per-image confusions: the only thing that is stored of a scored set of label maps.

* Counts are integers from the pixel to the total: no float ever holds a count, whatever the size of the data set.
* One ``np.bincount`` per image over the combined value ``truth * 256 + predicted``; the 65,536 bins also hold every
  illegal value, so validation costs nothing extra.
* Stored sparsely: an image holds few class pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.common.text import one_line, printable
from harness.contract.arrays import IGNORE
from harness.contract.errors import DataError
from harness.scoring.npz import UNREADABLE, from_npz, load_npz, names_of, save_npz, to_npz

if TYPE_CHECKING:
    from harness.contract.arrays import Mask

Counts = npt.NDArray[np.int64]

_ARRAYS = {
    "ids": "<U[0-9]+",
    "num_classes": "<i8",
    "index": "<i8",
    "truth": r"\|u1",
    "pred": r"\|u1",
    "count": "<i8",
}
"""Name and type of each array of a file, in the order of the file."""

MOST_PIXELS = 1 << 53
"""Pixels of all images: sums of them stay exact."""


def image_confusion(truth: Mask, pred: Mask, num_classes: int, *, image_id: str = "?") -> Counts:
    """Count the (truth, predicted) class pairs of one image.

    Args:
        truth: (H, W) uint8 class indices, 255 = not scored.
        pred: (H, W) uint8 class indices, 255 = miss: it counts against the class of the truth and for no class.
        num_classes: Classes including background, at most 255.
        image_id: Named in errors.

    Returns:
        (K, 3) int64 rows (truth, predicted, pixels), ascending, pixels > 0, predicted 255 = miss.

    Raises:
        DataError: The sizes differ, an array is not uint8, or a value is no class.
    """
    if truth.shape != pred.shape:
        raise DataError(f"image {image_id!r}: the label map is {_size(pred)} but its mask is {_size(truth)} (H x W)")
    if truth.dtype != np.uint8 or pred.dtype != np.uint8:
        raise DataError(f"image {image_id!r}: mask is {truth.dtype} and label map is {pred.dtype}, both must be uint8")
    pair = np.left_shift(truth, 8, dtype=np.uint16)
    pair |= pred
    pixels = np.bincount(pair.ravel(), minlength=1 << 16)
    keys = np.flatnonzero(pixels)
    table: Counts = np.stack((keys >> 8, keys & 0xFF, pixels[keys]), axis=1).astype(np.int64, copy=False)
    _check_values(table[:, 0], num_classes, f"mask of image {image_id!r}")
    _check_values(table[:, 1], num_classes, f"label map of image {image_id!r}")
    scored: Counts = table[table[:, 0] != IGNORE]
    return scored


def _size(array: Mask) -> str:
    return " x ".join(str(side) for side in array.shape)


def _check_values(values: npt.NDArray[np.integer], num_classes: int, where: str) -> None:
    wrong = values[(values >= num_classes) & (values != IGNORE)]
    if wrong.size:
        raise DataError(f"{where}: value {int(wrong[0])} is no class (0 to {num_classes - 1}, or {IGNORE})")


@dataclass(frozen=True, eq=False)
class Confusions:
    """Sparse confusions of a set of images.

    Entry ``k``: ``count[k]`` pixels of class ``truth[k]`` in image ``ids[index[k]]`` were labelled ``pred[k]``.

    Attributes:
        ids: Image ids, unique; an image without scored pixels has an id and no entry.
        num_classes: Classes including background.
        index: (K,) int64 positions in ``ids``.
        truth: (K,) uint8 class indices.
        pred: (K,) uint8 class indices, 255 = miss.
        count: (K,) int64 pixels, positive.

    Raises:
        DataError: The arrays contradict each other.
    """

    ids: tuple[str, ...]
    num_classes: int
    index: Counts
    truth: Mask
    pred: Mask
    count: Counts

    def __post_init__(self) -> None:
        shapes = {array.shape for array in (self.index, self.truth, self.pred, self.count)}
        if not 0 < self.num_classes <= IGNORE:
            raise DataError(f"confusions: {self.num_classes} classes, there can be 1 to {IGNORE}")
        if len(set(self.ids)) != len(self.ids):
            raise DataError("confusions: an image id occurs twice")
        if shapes != {(len(self.index),)}:
            raise DataError("confusions: arrays differ in length")
        if self.index.size and (self.index.min() < 0 or self.index.max() >= len(self.ids)):
            raise DataError("confusions: an entry belongs to no image")
        if self.truth.size and (self.truth.max() >= self.num_classes or self.count.min() <= 0):
            raise DataError("confusions: an entry has no true class or no pixels")
        if self.count.sum(dtype=np.float64) > MOST_PIXELS:
            raise DataError("confusions: more pixels than images can hold")
        _check_values(self.pred, self.num_classes, "confusions")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def _column(self) -> npt.NDArray[np.intp]:
        """(K,) predicted class with a miss in column ``num_classes``."""
        return np.minimum(self.pred, self.num_classes).astype(np.intp)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the confusion of one image, the last column being the miss."""
        return self.num_classes, self.num_classes + 1

    @property
    def cells(self) -> Counts:
        """(K,) int64 position of each entry in the flattened confusion of its image."""
        cells: Counts = self.truth.astype(np.int64) * (self.num_classes + 1) + self._column
        return cells

    def dense(self) -> Counts:
        """(N, C, C + 1) int64 pixels by image, true class and predicted class; the last column is the miss."""
        dense = np.zeros((len(self), self.num_classes, self.num_classes + 1), np.int64)
        np.add.at(dense, (self.index, self.truth, self._column), self.count)
        return dense

    def total(self) -> Counts:
        """(C, C + 1) int64 pixels of all images by true and predicted class; the last column is the miss."""
        total = np.zeros((self.num_classes, self.num_classes + 1), np.int64)
        np.add.at(total, (self.truth, self._column), self.count)
        return total

    def areas(self) -> Counts:
        """(N, 3, C) int64 pixels by image: intersection, truth and prediction of each class."""
        areas = np.zeros((len(self), 3, self.num_classes + 1), np.int64)
        hit = self.truth == self.pred
        np.add.at(areas[:, 0], (self.index[hit], self.truth[hit]), self.count[hit])
        np.add.at(areas[:, 1], (self.index, self.truth), self.count)
        np.add.at(areas[:, 2], (self.index, self._column), self.count)
        return areas[..., : self.num_classes]

    def subset(self, ids: Sequence[str]) -> Confusions:
        """The confusions of ``ids``, in that order.

        Raises:
            DataError: An id was not scored.
        """
        position = {image_id: place for place, image_id in enumerate(ids)}
        missing = position.keys() - set(self.ids)
        if missing:
            raise DataError(f"image {min(missing)!r} was not scored ({len(missing)} of {len(position)} are missing)")
        place = np.array([position.get(image_id, -1) for image_id in self.ids], np.int64)[self.index]
        keep = np.flatnonzero(place >= 0)
        keep = keep[np.argsort(place[keep], kind="stable")]
        return Confusions(
            tuple(ids), self.num_classes, place[keep], self.truth[keep], self.pred[keep], self.count[keep]
        )

    def to_bytes(self) -> bytes:
        """The ``.npz`` file as bytes, a function of the content alone."""
        arrays = {
            "ids": np.array(self.ids, dtype=str),
            "num_classes": np.array(self.num_classes, "<i8"),
            "index": self.index.astype("<i8"),
            "truth": self.truth,
            "pred": self.pred,
            "count": self.count.astype("<i8"),
        }
        return to_npz(arrays)

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "confusions") -> Confusions:
        """Read what ``to_bytes`` made; ``name`` is named in errors.

        Raises:
            DataError: The bytes are damaged or no confusions.
        """
        try:
            ids, num_classes, index, truth, pred, count = from_npz(data, _ARRAYS)
            return cls(names_of(ids), int(num_classes[0]), index, truth, pred, count)
        except UNREADABLE as error:
            raise DataError(f"{name}: not a readable confusion file ({one_line(error)})") from None

    def save(self, path: Path) -> str:
        """Write the file in one step (temporary name, then rename) and return its SHA-256."""
        return save_npz(path, self.to_bytes())

    @classmethod
    def load(cls, path: Path, *, sha256: str | None = None) -> Confusions:
        """Read a file; with ``sha256`` its content must have that hash.

        Raises:
            DataError: The file is missing, damaged, or not the one that was hashed.
        """
        return cls.from_bytes(load_npz(path, sha256=sha256), printable(path))


def score(pairs: Iterable[tuple[str, Mask, Mask]], num_classes: int) -> Confusions:
    """Confusions of (id, truth, predicted) label maps, sorted by id, so that the order of arrival leaves no trace.

    Args:
        pairs: Id, truth (H, W) uint8 with 255 = not scored, label map (H, W) uint8 with 255 = miss.
        num_classes: Classes including background.

    Raises:
        DataError: As ``image_confusion``; or an id occurs twice.
    """
    tables: dict[str, Counts] = {}
    for image_id, truth, pred in pairs:
        if image_id in tables:
            raise DataError(f"image {image_id!r} was scored twice")
        tables[image_id] = image_confusion(truth, pred, num_classes, image_id=image_id)
    ids = tuple(sorted(tables))
    rows = np.concatenate([np.empty((0, 3), np.int64), *(tables[image_id] for image_id in ids)])
    index = np.repeat(np.arange(len(ids)), [len(tables[image_id]) for image_id in ids])
    truth, pred = rows[:, 0].astype(np.uint8), rows[:, 1].astype(np.uint8)
    return Confusions(ids, num_classes, index.astype(np.int64), truth, pred, rows[:, 2])
