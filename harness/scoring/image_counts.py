"""What a score stage counts of each image beside the confusion, for metrics that need more (``scoring.counts``).

* ``boundary``: the pixels near the boundary of each class (Cheng et al., "Boundary IoU", CVPR 2021, arXiv 2103.16562).
* ``size``: the pixels of small, medium and large objects of each class.

Both are areas ``(..., 3, C)``: intersection, truth and prediction, so that an IoU is made of them as of those of a
confusion. A pixel whose truth is 255 belongs to no class in either map; so does a miss (255) in the label map.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.common.text import one_line, printable
from harness.contract.arrays import BACKGROUND, IGNORE
from harness.contract.errors import DataError
from harness.scoring.confusion import MOST_PIXELS, Counts
from harness.scoring.npz import UNREADABLE, from_npz, load_npz, names_of, save_npz, to_npz

if TYPE_CHECKING:
    from harness.contract.arrays import Mask

    Item = tuple[str, Mask, Mask]
    Flags = npt.NDArray[np.bool_]

SIZES = ("small", "medium", "large")

_DIAGONAL = 0.02
"""Width of a boundary as a share of the image's diagonal, as in the paper."""

_SMALL, _MEDIUM = 32**2 / (640 * 480), 96**2 / (640 * 480)
"""An object below this share of the image's pixels is small, below that medium: COCO's areas on its usual image."""

_ARRAYS = {"ids": "<U[0-9]+", "num_classes": "<i8", "index": "<i8", "cells": "<i8", "count": "<i8"}


def boundary_areas(truth: Mask, pred: Mask, num_classes: int) -> Counts:
    """(3, C) int64 pixels of each class that lie near its boundary: in both maps, in the truth, in the label map.

    A pixel lies near the boundary when the square of ``2 d + 1`` pixels around it leaves the mask of its class or the
    image; ``d`` is 2 % of the image's diagonal, rounded, at least 1. This is the erosion of the paper's own code.

    Args:
        truth: (H, W) uint8 class indices, 255 = not scored.
        pred: (H, W) uint8 class indices, 255 = miss.
        num_classes: Classes including background.
    """
    pred = np.where(truth == IGNORE, IGNORE, pred).astype(np.uint8)
    width = max(1, round(_DIAGONAL * math.hypot(*truth.shape)))
    of_truth, of_pred = _near_boundary(truth, width), _near_boundary(pred, width)
    areas = (truth[of_truth & of_pred & (truth == pred)], truth[of_truth], pred[of_pred])
    return np.stack([np.bincount(classes, minlength=num_classes) for classes in areas]).astype(np.int64, copy=False)


def _near_boundary(labels: Mask, width: int) -> Flags:
    """Whether the window around a pixel holds another value than its own, the outside of the image being 255."""
    import cv2

    window = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    lowest = cv2.erode(labels, window, borderType=cv2.BORDER_CONSTANT, borderValue=IGNORE)
    highest = cv2.dilate(labels, window, borderType=cv2.BORDER_CONSTANT, borderValue=IGNORE)
    return np.asarray((labels != IGNORE) & (lowest != highest))


def size_areas(truth: Mask, pred: Mask, num_classes: int) -> Counts:
    """(3, 3, C) int64 pixels of small, medium and large objects: intersection, truth and prediction of each class.

    An object is a connected region (8 neighbours) of a foreground class in the truth. A wrongly predicted pixel belongs
    to the object that its own connected region of the label map overlaps most (of several, the largest), as a detection
    belongs to the object that it is matched with; a region that overlaps no object counts by its own size. So the sizes
    add up to the areas of the confusion.

    Args:
        truth: (H, W) uint8 class indices, 255 = not scored.
        pred: (H, W) uint8 class indices, 255 = miss.
        num_classes: Classes including background.
    """
    areas = np.zeros((len(SIZES), 3, num_classes), np.int64)
    present = np.union1d(truth, np.where(truth == IGNORE, IGNORE, pred))
    for cls in present[(present != BACKGROUND) & (present != IGNORE)]:
        areas[..., cls] = _areas_by_size(truth == cls, (pred == cls) & (truth != IGNORE))
    return areas


def _areas_by_size(truth: Flags, pred: Flags) -> Counts:
    """(3, 3) int64 intersection, truth and prediction of one class, by size."""
    objects, object_areas = _regions(truth)
    regions, region_areas = _regions(pred)
    ends = (_SMALL * truth.size, _MEDIUM * truth.size)
    size_of_object = np.searchsorted(ends, object_areas, side="right")
    size_of_region = np.searchsorted(ends, region_areas, side="right")
    both = regions[truth & pred].astype(np.int64) * len(object_areas) + objects[truth & pred]
    pairs, overlap = np.unique(both, return_counts=True)
    region, matched = np.divmod(pairs, len(object_areas))
    order = np.lexsort((object_areas[matched], overlap))
    size_of_region[region[order]] = size_of_object[matched[order]]  # of several, the last one stays
    hit = np.bincount(size_of_object[objects[truth & pred]], minlength=len(SIZES))
    wrong = np.bincount(size_of_region[regions[pred & ~truth]], minlength=len(SIZES))
    held = np.bincount(size_of_object[objects[truth]], minlength=len(SIZES))
    return np.stack((hit, held, hit + wrong), axis=1).astype(np.int64, copy=False)


def _regions(mask: Flags) -> tuple[npt.NDArray[np.int32], Counts]:
    """The region of each pixel, from 1, and the pixels of each region; 0 is what lies outside, without pixels."""
    import cv2

    count, regions = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    areas = np.bincount(regions.ravel(), minlength=count)
    areas[0] = 0
    return np.asarray(regions, np.int32), areas.astype(np.int64, copy=False)


@dataclass(frozen=True)
class Kind:
    """A kind of counts: the shape of one image's counts before the classes, and how they are counted."""

    leading: tuple[int, ...]
    count: Callable[[Mask, Mask, int], Counts]


KINDS: Mapping[str, Kind] = {"boundary": Kind((3,), boundary_areas), "size": Kind((len(SIZES), 3), size_areas)}
"""By the name that ``scoring.counts`` and ``MetricRecord.counts`` have (``harness.contract.records.COUNTS``)."""


@dataclass(frozen=True, eq=False)
class ImageCounts:
    """Sparse counts of one kind of a set of images: ``count[k]`` pixels in cell ``cells[k]`` of image ``index[k]``.

    Attributes:
        kind: Name of the kind.
        ids: Image ids, unique; an image without counted pixels has an id and no entry.
        num_classes: Classes including background.
        index: (K,) int64 positions in ``ids``.
        cells: (K,) int64 positions in one image's flattened counts, see ``shape``.
        count: (K,) int64 pixels, positive.

    Raises:
        DataError: The arrays contradict each other.
    """

    kind: str
    ids: tuple[str, ...]
    num_classes: int
    index: Counts
    cells: Counts
    count: Counts

    def __post_init__(self) -> None:
        if not 0 < self.num_classes <= IGNORE:
            raise DataError(f"counts: {self.num_classes} classes, there can be 1 to {IGNORE}")
        if len(set(self.ids)) != len(self.ids):
            raise DataError("counts: an image id occurs twice")
        if {self.index.shape, self.cells.shape, self.count.shape} != {(len(self.index),)}:
            raise DataError("counts: arrays differ in length")
        for positions, length in ((self.index, len(self.ids)), (self.cells, math.prod(self.shape))):
            if positions.size and (positions.min() < 0 or positions.max() >= length):
                raise DataError("counts: an entry belongs to no image or no class")
        if self.count.size and (self.count.min() <= 0 or self.count.sum(dtype=np.float64) > MOST_PIXELS):
            raise DataError("counts: an entry has no pixels, or all have more than images can hold")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image's counts."""
        return (*KINDS[self.kind].leading, self.num_classes)

    def dense(self) -> Counts:
        """(N, ...) int64 counts of each image."""
        dense = np.zeros((len(self.ids), math.prod(self.shape)), np.int64)
        np.add.at(dense, (self.index, self.cells), self.count)
        return dense.reshape(-1, *self.shape)

    def to_bytes(self) -> bytes:
        """The ``.npz`` file as bytes, a function of the content alone."""
        return to_npz(
            {
                "ids": np.array(self.ids, dtype=str),
                "num_classes": np.array(self.num_classes, "<i8"),
                "index": self.index.astype("<i8"),
                "cells": self.cells.astype("<i8"),
                "count": self.count.astype("<i8"),
            }
        )

    def save(self, path: Path) -> str:
        """Write the file in one step and return its SHA-256."""
        return save_npz(path, self.to_bytes())

    @classmethod
    def load(cls, path: Path, kind: str, *, sha256: str | None = None) -> ImageCounts:
        """Read a file; with ``sha256`` its content must have that hash.

        Raises:
            DataError: The file is missing, damaged, or not the one that was hashed.
        """
        data = load_npz(path, sha256=sha256)
        try:
            ids, num_classes, index, cells, count = from_npz(data, _ARRAYS)
            return cls(kind, names_of(ids), int(num_classes[0]), index, cells, count)
        except UNREADABLE as error:
            raise DataError(f"{printable(path)}: not a readable file of counts ({one_line(error)})") from None


@dataclass
class Counter:
    """Counts some kinds of the label maps that pass by.

    Attributes:
        kinds: Names of the kinds.
        num_classes: Classes including background.
    """

    kinds: Iterable[str]
    num_classes: int
    tables: dict[str, dict[str, Counts]] = field(default_factory=dict)

    def passing(self, pairs: Iterable[Item]) -> Iterator[Item]:
        """The pairs as they are; each is counted when the next is asked for, and so after ``score`` checked it."""
        kinds = {name: KINDS[name].count for name in self.kinds}
        for image_id, truth, pred in pairs:
            yield image_id, truth, pred
            self.tables[image_id] = {name: count(truth, pred, self.num_classes) for name, count in kinds.items()}

    def counted(self) -> dict[str, ImageCounts]:
        """The counts of all images so far, sorted by id, of each kind."""
        ids = tuple(sorted(self.tables))
        nothing = np.empty(0, np.int64)  # np.concatenate takes no empty list
        counted = {}
        for kind in self.kinds:
            rows = [self.tables[image_id][kind].ravel() for image_id in ids]
            cells = [np.flatnonzero(row) for row in rows]
            index = np.repeat(np.arange(len(ids)), [len(entries) for entries in cells]).astype(np.int64)
            count = [row[entries] for row, entries in zip(rows, cells, strict=True)]
            counted[kind] = ImageCounts(
                kind,
                ids,
                self.num_classes,
                index,
                np.concatenate([nothing, *cells]),
                np.concatenate([nothing, *count]),
            )
        return counted
