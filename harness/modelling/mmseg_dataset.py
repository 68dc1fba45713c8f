"""A data set that an mmsegmentation configuration describes: the same images, ids and classes as mmseg would read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.common.files import file_problem
from harness.common.text import printable
from harness.contract import Box, DataError, Dataset
from harness.data import digests
from harness.data.boxes import mask_boxes, mask_tags
from harness.data.files import Defect, no_mask
from harness.data.images import Header, read_header, read_image, read_plane, read_plane_size, turned_problem
from harness.data.mask_ids import narrowed, unknown_ids
from harness.modelling.mmseg_config import UNKNOWN, Pair, SplitConfig, read_config
from harness.modelling.mmseg_params import MmsegParams

if TYPE_CHECKING:
    from harness.contract.arrays import Image, Mask


class MmsegDataset(Dataset):
    """A data set of pairs of image and mask; tags and boxes are those of the masks.

    Args:
        params: Where the configuration is.
        strict: Raise on the first defect. Otherwise leave the images concerned out and keep what is wrong in
            ``defects``.

    Raises:
        ConfigError: The configuration cannot be read, or asks for what is not supported.
        DataError: A list, an image or a mask is missing, or an image is in both splits.
    """

    def __init__(self, params: MmsegParams, *, strict: bool = True) -> None:
        self.name, self.show_images, self.absent = params.name, params.show_images, frozenset(params.absent)
        self._params = params
        splits = read_config(Path(params.config).expanduser(), None if params.root is None else Path(params.root))
        self.classes, self._table = splits["train"].classes, splits["train"].table
        self.unmasked_splits = tuple(split for split, one in splits.items() if one.pairs[0].mask is None)
        self._headers: dict[str, Header] = {}
        self._derived: dict[str, tuple[tuple[int, ...], tuple[Box, ...]]] = {}
        self._pairs: dict[str, Pair] = {}
        defects: list[Defect] = []
        self._ids = {split: self._list(split, pairs, defects) for split, pairs in _distinct(splits).items()}
        self.defects = tuple(defects)
        if strict and defects:
            more = len(defects) - 1
            raise DataError(defects[0].message + (f" (and {more} more defects)" if more else ""))

    @classmethod
    def lenient(cls, params: MmsegParams) -> MmsegDataset:
        """The data set without what is defective, see ``strict``."""
        return cls(params, strict=False)

    def _list(self, split: str, pairs: Sequence[Pair], defects: list[Defect]) -> tuple[str, ...]:
        """Ids of the images whose files are there."""
        kept = []
        for pair in pairs:
            files = {"image": pair.image, **({"mask": pair.mask} if pair.mask else {})}
            problems = [
                (kind, f"{printable(path)}: {text}") for kind, path in files.items() if (text := file_problem(path))
            ]
            if pair.image_id in self._pairs:
                again = "is a training image too" if split == "val" and pair.image_id not in kept else "is listed twice"
                problems = [("list", f"{printable(pair.image)}: {pair.image_id!r} {again}")]
            defects += [Defect(kind, split, pair.image_id, text) for kind, text in problems]
            if not problems:
                kept.append(pair.image_id)
                self._pairs[pair.image_id] = pair
        return tuple(kept)

    def ids(self, split: str) -> tuple[str, ...]:
        """Image ids of ``train`` or ``val`` in the order of the list, else of their names."""
        return self._ids[split]

    @property
    def unmasked(self) -> tuple[str, ...]:
        """The splits for which the configuration names no folder of masks."""
        return self.unmasked_splits

    def image(self, image_id: str) -> Image:
        """(H, W, 3) uint8, RGB, 0-255, as stored.

        Raises:
            DataError: The file is damaged or no 8-bit photograph, or EXIF turns it and its mask may be turned or not.
        """
        pair, header = self._pairs[image_id], self._header(image_id)
        if header.orientation != 1 and self._params.exif == "refuse":
            drawn = read_plane_size(pair.mask) if pair.mask else header.size[::-1]
            if problem := turned_problem(pair.image, header, drawn):
                raise DataError(f"{problem}, or say exif: stored where they were drawn on the stored pixels")
        return read_image(pair.image)

    def size(self, image_id: str) -> tuple[int, int]:
        """(H, W) from the header of the image, as stored."""
        return self._header(image_id).size

    def _header(self, image_id: str) -> Header:
        if image_id not in self._headers:
            self._headers[image_id] = read_header(self._pairs[image_id].image)
        return self._headers[image_id]

    def mask(self, image_id: str) -> Mask:
        """(H, W) uint8 class indices, 255 = ignore.

        Raises:
            NoMask: The configuration names no folder of masks for the split.
            DataError: The file is damaged, differs in size from the image, or holds an id of no class.
        """
        pair, (height, width) = self._pairs[image_id], self.size(image_id)
        if pair.mask is None:
            raise no_mask(self.name, "train" if image_id in self._ids["train"] else "val")
        stored = narrowed(read_plane(pair.mask), pair.mask)
        if stored.shape != (height, width):
            pixels = f"{stored.shape[1]}x{stored.shape[0]} pixels"
            raise DataError(f"{printable(pair.mask)}: {pixels}, but the image {pair.image} has {width}x{height}")
        mask: Mask = self._table[stored]
        if (mask == UNKNOWN).any():
            wrong = np.unique(stored[mask == UNKNOWN])
            raise DataError(f"{printable(pair.mask)}: {unknown_ids(wrong).partition(', see')[0]} of the configuration")
        return mask

    def tags(self, image_id: str) -> tuple[int, ...]:
        """Ascending classes that the mask shows, without the first."""
        return self._from_mask(image_id)[0]

    def boxes(self, image_id: str) -> tuple[Box, ...]:
        """Connected components of each class, without the first."""
        return self._from_mask(image_id)[1]

    def _from_mask(self, image_id: str) -> tuple[tuple[int, ...], tuple[Box, ...]]:
        if image_id not in self._derived:
            mask = self.mask(image_id)
            self._derived[image_id] = mask_tags(mask), mask_boxes(mask, self._params.min_box_pixels)
        return self._derived[image_id]

    @property
    def boxes_from_masks(self) -> tuple[str, ...]:
        """All classes."""
        return self.classes[1:]

    def digests(self, split: str) -> Mapping[str, str]:
        """Content hashes by kind; tags and boxes follow from the masks."""
        ids, meaning = self.ids(split), json.dumps(self._table.tolist())
        images, masks = [], [meaning]
        for image_id in ids:
            pair = self._pairs[image_id]
            images += [image_id, digests.file_digest(pair.image)]
            masks += [image_id, digests.file_digest(pair.mask)] if pair.mask else []
        digests.save_cache()
        found = {"ids": digests.combine(ids), "images": digests.combine(images)}
        if split not in self.unmasked:
            found |= {"masks": digests.combine(masks), "tags": digests.combine(["tags", *masks])}
            found["boxes"] = digests.combine([f"boxes {self._params.min_box_pixels}", *masks])
        return found

    def explain_masks(self, split: str, classes: Sequence[str]) -> str:
        """What to look at where masks show none of ``classes``; the end of a sentence."""
        return "see metainfo, reduce_zero_label and the type of the data set in the configuration"


def _distinct(splits: Mapping[str, SplitConfig]) -> dict[str, list[Pair]]:
    """Pairs of each split with ids of their own: images of the same name in two folders are told apart by the split."""
    train, val = splits["train"].pairs, splits["val"].pairs
    images = {pair.image_id: pair.image for pair in train}
    clash = any(images.get(pair.image_id, pair.image) != pair.image for pair in val)
    return {
        split: [replace(pair, image_id=f"{split}/{pair.image_id}") for pair in pairs] if clash else list(pairs)
        for split, pairs in (("train", train), ("val", val))
    }
