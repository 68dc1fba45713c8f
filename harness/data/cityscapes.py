"""Cityscapes as distributed: images, label images and instance images in one folder for each town.

What to know:

* Label images come with ids (0 to 33, ``labelIds``) or with those of the benchmark (0 to 18, 255, ``labelTrainIds``);
  a file that holds ids of the other kind is an error, never a wrong mask.
* An instance image holds id * 1000 + number for an object, and the bare id for a region of several objects ("group")
  and for stuff. Boxes are the extents of objects; a group has no tight box, the field ``groups`` says what it gets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from harness.common.files import file_problem
from harness.common.text import printable
from harness.contract import IGNORE, Box, ConfigError, DataError, Dataset, Supervision
from harness.data import digests
from harness.data.boxes import mask_boxes, mask_tags
from harness.data.files import STATED, Defect, misread_lines, no_mask, read_ids
from harness.data.images import read_image, read_plane, read_size
from harness.data.params import CityscapesParams

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.contract.arrays import Image, Mask

EVALUATED = {
    "road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17, "traffic light": 19,
    "traffic sign": 20, "vegetation": 21, "terrain": 22, "sky": 23, "person": 24, "rider": 25, "car": 26, "truck": 27,
    "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33,
}  # fmt: skip
"""Labels that the benchmark evaluates, with their ids, in the order of its own ids 0 to 18."""
_LARGEST_ID = 33
_KINDS = {"image": "image", "mask": "label image", "boxes": "instance image"}
_VEHICLES = ("car", "truck", "bus", "train", "motorcycle", "bicycle")
_OBJECTS = ("person", "rider", *_VEHICLES)
GROUPS: dict[str, dict[str, list[str]]] = {
    "all": {name: [name] for name in EVALUATED},
    "vehicles_and_persons": {"background": []} | {name: [name] for name in _OBJECTS},
    "vehicle_person": {"background": [], "vehicle": list(_VEHICLES), "person": ["person", "rider"]},
}
"""Class name -> labels; labels of no class belong to the first."""


class CityscapesDataset(Dataset):
    """Cityscapes. An image's id is what its file names begin with, ``aachen_000000_000019``.

    Args:
        params: Where things are and what they mean.
        strict: Raise on the first defect of lists and folders. Otherwise leave the images concerned out and keep
            what is wrong in ``defects``.

    Raises:
        ConfigError: A class lists a label that does not exist, or that another class lists.
        DataError: A folder, a list or a listed file is missing.
    """

    def __init__(self, params: CityscapesParams, *, strict: bool = True) -> None:
        self.name = params.name
        self.show_images = params.show_images
        self._params = params
        self._root = Path(params.root).expanduser().absolute()
        groups = GROUPS[params.classes] if isinstance(params.classes, str) else params.classes
        self.classes = tuple(groups)
        self._class_of_id = _lookup(groups, params)
        self._splits: dict[str, str] = {}
        self._sizes: dict[str, tuple[int, int]] = {}
        defects: list[Defect] = []
        self._ids = {
            split: tuple(self._complete(split, chosen, defects))
            for split, chosen in (("train", params.train_list), ("val", params.val_list))
        }
        self.defects = tuple(defects)
        if strict and defects:
            more = len(defects) - 1
            raise DataError(defects[0].message + (f" (and {more} more defects)" if more else ""))

    @classmethod
    def lenient(cls, params: CityscapesParams) -> CityscapesDataset:
        """The data set without what is defective, see ``strict``."""
        return cls(params, strict=False)

    def _complete(self, split: str, chosen: str | None, defects: list[Defect]) -> Iterator[str]:
        """Ids of a split whose files are all there: of the list if there is one, else all in the order of names."""
        present: dict[str, frozenset[str]] = {}
        kinds = {kind: noun for kind, noun in _KINDS.items() if kind != "mask" or split not in self.unmasked}
        for kind, noun in kinds.items():
            folder, ending = self._root / self._folder(kind) / split, f"_{self._ending(kind)}.png"
            present[kind] = frozenset(path.name.removesuffix(ending) for path in folder.glob(f"*/*{ending}"))
            if not present[kind]:
                other = min(folder.glob("*/*"), default=None)
                holds = f"; it holds {printable(other.relative_to(folder))}" if other else ""
                text = f"{folder}: no {noun} TOWN/...{ending}{holds}"
                defects.append(Defect("list" if kind == "image" else kind, split, None, text))
        if not all(present.values()):
            return
        ids = tuple(sorted(set().union(*present.values())))
        if chosen is not None:
            ids = self._listed(self._root / chosen, split, present["image"], defects)
        for image_id in ids:
            self._splits.setdefault(image_id, split)
            files = {kind: self._path(image_id, kind) for kind in kinds}
            problems = {kind: problem for kind, path in files.items() if (problem := file_problem(path))}
            defects += [Defect(kind, split, image_id, f"{files[kind]}: {text}") for kind, text in problems.items()]
            if self._splits[image_id] != split:
                folder = self._root / self._params.images / split
                defects.append(Defect("list", split, image_id, f"{folder}: {image_id} is a training image too"))
            elif not problems:
                yield image_id

    def _listed(self, path: Path, split: str, images: frozenset[str], defects: list[Defect]) -> tuple[str, ...]:
        """Ids of a list; lines that are file names or paths are left out and become one defect for each kind."""
        ending = f"_{self._ending('image')}"
        ids, wrong_lines = read_ids(path, split=split)
        ids, misread = misread_lines(ids, lambda line: line.removesuffix(ending) in images, path, split=split)
        defects += [*wrong_lines, *misread]
        named = [line for line in ids if line.endswith(ending)]
        if named:
            text = f"an id ends before {ending}, got {named[0]!r} ({len(named)} lines are like this)"
            defects.append(Defect("list", split, None, f"{path}: {text}"))
        return tuple(line for line in ids if line not in named)

    def _folder(self, kind: str) -> str:
        return self._params.images if kind == "image" else self._params.labels

    def _ending(self, kind: str) -> str:
        endings = {"image": "leftImg8bit", "mask": f"gtFine_{self._params.label_ids}", "boxes": "gtFine_instanceIds"}
        return endings[kind]

    def _path(self, image_id: str, kind: str) -> Path:
        """File of ``image``, ``mask`` or ``boxes`` (the instances)."""
        town = image_id.partition("_")[0]
        name = f"{image_id}_{self._ending(kind)}.png"
        return self._root / self._folder(kind) / self._splits[image_id] / town / name

    @property
    def class_ids(self) -> tuple[int, ...]:
        """The smallest id of a label of each class."""
        class_of = self._class_of_stored()
        return tuple(int(np.flatnonzero(class_of == cls)[0]) for cls in range(len(self.classes)))

    def ids(self, split: str) -> tuple[str, ...]:
        """Image ids of ``train`` or ``val`` in the order of the list, else of their names."""
        return self._ids[split]

    def image(self, image_id: str) -> Image:
        """(H, W, 3) uint8, RGB, 0-255."""
        return read_image(self._path(image_id, "image"))

    def size(self, image_id: str) -> tuple[int, int]:
        """(H, W) from the header of the image."""
        if image_id not in self._sizes:
            self._sizes[image_id] = read_size(self._path(image_id, "image"))
        return self._sizes[image_id]

    def mask(self, image_id: str) -> Mask:
        """(H, W) uint8 class indices, 255 = ignore.

        Raises:
            NoMask: The images of this split have no masks, as ``params`` say.
            DataError: The file is damaged or in colour, differs in size from the image, or holds ids of another kind.
        """
        if self._splits[image_id] in self.unmasked:
            raise no_mask(self.name, self._splits[image_id])
        path, stored = self._plane(image_id, "mask")
        trains = self._params.label_ids == "labelTrainIds"
        legal = (stored < len(EVALUATED)) | (stored == IGNORE) if trains else (stored >= 0) & (stored <= _LARGEST_ID)
        if stored.max() > IGNORE:
            raise DataError(
                f"{path}: id {int(stored.max())} needs 16 bits, as in instanceIds; label images hold 8 bits"
            )
        if not legal.all():
            kind, other = ("labelTrainIds", "labelIds") if trains else ("labelIds", "labelTrainIds")
            wrong = int(stored[~legal].flat[0])
            raise DataError(
                f"{path}: id {wrong} is none of {kind}; set the field label_ids to {other} if it holds those"
            )
        mask: Mask = self._class_of_stored()[stored]
        return mask

    def _class_of_stored(self) -> npt.NDArray[np.uint8]:
        """(256,) class index of each id that a label image may hold."""
        if self._params.label_ids != "labelTrainIds":
            return self._class_of_id
        class_of = np.full(256, self._class_of_id[0], np.uint8)
        class_of[: len(EVALUATED)] = self._class_of_id[list(EVALUATED.values())]
        return class_of

    def _plane(self, image_id: str, kind: str) -> tuple[Path, npt.NDArray[np.integer]]:
        path = self._path(image_id, kind)
        stored = read_plane(path)
        size = self.size(image_id)
        if stored.shape != size:
            pixels = f"{stored.shape[1]}x{stored.shape[0]} pixels"
            raise DataError(f"{path}: {pixels}, but the image {self._path(image_id, 'image')} has {size[1]}x{size[0]}")
        return path, stored

    def tags(self, image_id: str) -> tuple[int, ...]:
        """Ascending classes that the mask shows, or the instance image where there is none, without the first."""
        if self._splits[image_id] in self.unmasked:
            return mask_tags(self._class_of_id[self._instances(image_id)[1]])
        return mask_tags(self.mask(image_id))

    def _instances(self, image_id: str) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]]:
        """(H, W) values of the instance image, and the labels that they stand for."""
        path, stored = self._plane(image_id, "boxes")
        if stored.dtype == np.uint8:
            raise DataError(
                f"{path}: holds 8 bits per pixel; instanceIds are id * 1000 + number of an object, in 16 bits"
            )
        labels = np.where(stored >= 1000, stored // 1000, stored)
        if labels.min() < 0 or labels.max() > _LARGEST_ID:
            raise DataError(f"{path}: {int(labels.max())} is the id of no label; instanceIds are needed")
        return stored, labels

    def boxes(self, image_id: str) -> tuple[Box, ...]:
        """Extents of the objects by label and number, then boxes of groups."""
        stored, labels = self._instances(image_id)
        foreground = np.where(self._class_of_id == IGNORE, 0, self._class_of_id)
        numbers, places, pixels = np.unique(stored, return_inverse=True, return_counts=True)
        extents = ndimage.find_objects(places.reshape(stored.shape).astype(np.int32) + 1)
        boxes = tuple(
            Box(int(foreground[number // 1000]), columns.start, rows.start, columns.stop, rows.stop)
            for number, (rows, columns), count in zip(numbers, extents, pixels, strict=True)
            if number >= 1000 and foreground[number // 1000] and count >= self._params.min_box_pixels
        )
        if self._params.groups == "box":
            alone = (stored < 1000) & np.isin(labels, _OBJECT_IDS)
            groups = np.where(alone, foreground[labels], 0).astype(np.uint8)
            boxes += mask_boxes(groups, self._params.min_box_pixels)
        return boxes

    @property
    def boxes_from_masks(self) -> tuple[str, ...]:
        """All classes: the extents of ``instanceIds``."""
        return self.classes[1:]

    @property
    def unmasked(self) -> tuple[str, ...]:
        """The splits that ``params`` describe as having no masks."""
        return self._params.unmasked

    def lacking(self, split: str, kind: str) -> str:
        """That masks are missing on purpose."""
        return STATED if kind == Supervision.MASKS and split in self.unmasked else super().lacking(split, kind)

    def digests(self, split: str) -> Mapping[str, str]:
        """Content hashes by kind; tags and boxes are hashed as what they say."""
        ids = self.ids(split)
        meaning = json.dumps([self._class_of_id.tolist(), self._params.label_ids])
        box_rule = f"{meaning} {self._params.groups} {self._params.min_box_pixels}"
        texts: dict[str, list[str]] = {"ids": list(ids), "images": [], "masks": [meaning], "tags": [], "boxes": []}
        for image_id in ids:
            image, mask, instances = (self._path(image_id, kind) for kind in ("image", "mask", "boxes"))
            texts["images"] += [image_id, digests.file_digest(image)]
            if split not in self.unmasked:
                texts["masks"] += [image_id, digests.file_digest(mask)]
            shown = instances if split in self.unmasked else mask
            tags = digests.cached(shown, f"tags {meaning}", partial(_as_json, self.tags, image_id))
            boxes = digests.cached(instances, f"boxes {box_rule}", partial(_as_json, self.boxes, image_id))
            texts["tags"] += [image_id, tags]
            texts["boxes"] += [image_id, boxes]
        digests.save_cache()
        if split in self.unmasked:
            del texts["masks"]
        return {kind: digests.combine(parts) for kind, parts in texts.items()}


_OBJECT_IDS = [EVALUATED[name] for name in _OBJECTS]
"""Labels that have objects; the bare id of one of these is a group."""


def _as_json(read: Callable[[str], object], image_id: str) -> str:
    return json.dumps(read(image_id))


def _lookup(groups: Mapping[str, list[str]], params: CityscapesParams) -> Mask:
    """Id -> class index (256,) uint8; labels of no class are the first class, those not evaluated as ``void`` says."""
    where = f"data set {params.name!r}: classes"
    if not 2 <= len(groups) < IGNORE:
        raise ConfigError(f"{where}: 2 to {IGNORE - 1} classes are possible, got {len(groups)}")
    lookup = np.full(256, IGNORE if params.void == "ignore" else 0, np.uint8)
    lookup[list(EVALUATED.values())] = 0
    owner: dict[str, str] = {}
    for cls, (name, labels) in enumerate(groups.items()):
        for label in labels:
            if label not in EVALUATED:
                raise ConfigError(f"{where}.{name}: {label!r} is none of {', '.join(EVALUATED)}")
            if label in owner:
                raise ConfigError(f"{where}.{name}: {label!r} stands in {owner[label]} too")
            owner[label] = name
            lookup[EVALUATED[label]] = cls
    return lookup
