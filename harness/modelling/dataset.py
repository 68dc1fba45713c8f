"""Training samples: decoded images and their labels, kept in memory as far as they fit, augmented on the way out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import psutil
import torch
from torch.utils.data import Dataset

from harness.contract.errors import DataError
from harness.modelling.augment import PAD_COLOUR, Colour, augment, draw, shrink
from harness.modelling.backbones import input_rule
from harness.modelling.features import FeatureReader, Rows, fixed_draw, stored_features

if TYPE_CHECKING:
    from harness.contract import Context, View
    from harness.contract.arrays import Image, Mask
    from harness.contract.protocol import AugmentSettings


class Sample(NamedTuple):
    """One augmented item: (h, w, 3) uint8, (1+T, h, w) uint8 or ``None``, (C,) float32 or ``None``, stored features."""

    image_id: str
    image: Image
    maps: npt.NDArray[np.uint8] | None
    tags: npt.NDArray[np.float32] | None
    levels: list[Rows] | None = None


@dataclass(frozen=True)
class _Decoded:
    image: Image
    maps: list[Mask]
    long_side: int

    @property
    def nbytes(self) -> int:
        return self.image.nbytes + sum(m.nbytes for m in self.maps)


class TrainingSet(Dataset[Sample]):
    """Training images with their labels, their tags, or both.

    Args:
        ids: Image ids, in list order.
        image: id -> (H, W, 3) uint8 RGB.
        settings: Augmentation.
        seed: Seed of the augmentation.
        maps: id -> the label and the extra targets, (H, W) uint8 each; ``None`` for a classifier.
        extra: Names of the extra targets.
        tags: (N, C) float32 multi-hot rows in the order of ``ids``; ``None`` for a segmenter that asks for none.
        padding: R, G, B uint8 of what lies outside an image, see ``InputRule.padding``.
        cache_bytes: Memory for decoded images, by default a quarter of what is free. What fits stays and nothing is
            evicted, because every image is used equally often.
        features: Stored features; samples are then the views that these are of, drawn by ``seed``, and bring them.
    """

    metainfo: Mapping[str, Any] = {}

    def __init__(
        self,
        ids: Sequence[str],
        image: Callable[[str], Image],
        *,
        settings: AugmentSettings,
        seed: int,
        maps: Callable[[str], Sequence[Mask]] | None = None,
        extra: tuple[str, ...] = (),
        tags: npt.NDArray[np.float32] | None = None,
        padding: Colour = PAD_COLOUR,
        cache_bytes: int | None = None,
        features: FeatureReader | None = None,
    ) -> None:
        self.ids = tuple(ids)
        self.settings = settings
        self._image = image
        self._maps = maps
        self._extra = extra
        self._tags = tags
        self._seed = seed
        self._padding = padding
        self._features = features
        self._room = psutil.virtual_memory().available // 4 if cache_bytes is None else cache_bytes
        self._cache: dict[int, _Decoded] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        return self.sample(index, index)

    def sample(self, position: int, index: int) -> Sample:
        """Item ``index`` as it is seen at ``position`` of the stream."""
        item = self._decoded(index)
        if self._features is None:
            drawn, levels = draw(self.settings, self._seed, position), None
        else:
            row = self._features.row(self.ids[index], self._seed, position)
            drawn, levels = fixed_draw(self.settings, row), self._features.levels(row)
        image, maps = augment(
            item.image, item.maps, self.settings, drawn, long_side=item.long_side, padding=self._padding
        )
        tags = None if self._tags is None else self._tags[index]
        return Sample(self.ids[index], image, np.stack(maps) if maps else None, tags, levels)

    def collate(self, samples: Sequence[Sample]) -> dict[str, Any]:
        """Samples as one batch of CPU tensors, see ``Uint8Preprocessor``."""
        batch: dict[str, Any] = {
            "inputs": torch.from_numpy(np.stack([s.image for s in samples])),
            "ids": [s.image_id for s in samples],
        }
        if self._tags is not None:
            batch["tags"] = torch.from_numpy(np.stack([s.tags for s in samples if s.tags is not None]))
        if self._maps is not None:
            batch["labels"] = torch.from_numpy(np.stack([s.maps for s in samples if s.maps is not None]))
            batch["extra"] = self._extra
        if self._features is not None:
            batch |= self._features.collated([s.levels for s in samples if s.levels is not None])
        return batch

    def _decoded(self, index: int) -> _Decoded:
        """Item ``index`` from the cache; else read it, and keep it where it fits."""
        item = self._cache.get(index)
        if item is not None:
            return item
        image_id = self.ids[index]
        image = self._image(image_id)
        with self._lock:  # a method's targets need not be thread-safe
            maps = list(self._maps(image_id)) if self._maps else []
        for m in maps:
            if m.shape != image.shape[:2]:
                raise DataError(f"label of image {image_id!r} is {m.shape}, the image is {image.shape[:2]}")
        item = _Decoded(*shrink(image, maps, self.settings), max(image.shape[:2]))
        with self._lock:
            if index not in self._cache and item.nbytes <= self._room:
                self._room -= item.nbytes
                self._cache[index] = item
        return item


class Views:
    """Several augmented views of each sample of ``dataset``; those of one image are neighbours in a batch."""

    def __init__(self, dataset: TrainingSet, views: int) -> None:
        self.dataset, self.views = dataset, views
        self.ids = dataset.ids

    def __len__(self) -> int:
        return len(self.dataset)

    def sample(self, position: int, index: int) -> list[Sample]:
        """Item ``index`` as it is seen at ``position`` of the stream: one draw of the augmentation per view."""
        return [self.dataset.sample(position * self.views + view, index) for view in range(self.views)]

    def collate(self, samples: Sequence[list[Sample]]) -> dict[str, Any]:
        """Samples as one batch of ``len(samples) * views`` rows."""
        return self.dataset.collate([view for views in samples for view in views])


def tagged_images(view: View, ctx: Context, *, axis: str = "augment", train_backbone: bool = False) -> TrainingSet:
    """The training images with their tags under the classifier's augmentation; without tags all classes are absent.

    Args:
        view: The training images.
        ctx: The stage's context, with the sections ``classifier`` and ``backbone``.
        axis: Which of the run's seeds rules the augmentation.
        train_backbone: As for ``build_classifier``: no stored features, and new views in every step.

    Raises:
        DataError: An image has a tag that is no foreground class.
    """
    settings, tags = ctx.settings["classifier"].augment, multi_hot(view, ctx.num_classes)
    padding = input_rule(ctx.settings["backbone"]).padding
    features = None if train_backbone else stored_features(ctx)
    return TrainingSet(
        view.ids, view.image, settings=settings, seed=ctx.seed(axis), tags=tags, padding=padding, features=features
    )


def multi_hot(view: View, num_classes: int, ids: Sequence[str] | None = None) -> npt.NDArray[np.float32]:
    """(N, C) float32 tags in the order of ``ids``, by default those of the view; column i is class i + 1.

    Raises:
        DataError: An image has a tag that is no foreground class.
    """
    ids = view.ids if ids is None else ids
    tags = np.zeros((len(ids), num_classes - 1), dtype=np.float32)
    for row, image_id in enumerate(ids):
        for cls in view.tags(image_id):
            if not 1 <= cls < num_classes:
                raise DataError(f"image {image_id!r} is tagged with class {cls}, foreground is 1..{num_classes - 1}")
            tags[row, cls - 1] = 1.0
    return tags
