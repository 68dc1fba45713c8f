"""Data sets in COCO layout: folders of images, and one file of instances for each split.

How masks come about: the instances of an image are painted one over the other in the order of the field ``overlap``
(as annotated: a later one hides an earlier one). Crowd regions are painted like any instance, or ignored. Where an
annotation is a box alone there is no mask, unless a folder of PNG masks is given; it then replaces the outlines of the
whole split. Category ids (1 to 90 with gaps in COCO) become class indices in ``_class_indices`` and nowhere else.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.common.files import file_problem
from harness.contract import BACKGROUND, IGNORE, Box, ConfigError, DataError, Dataset
from harness.data import digests
from harness.data.files import STATED, Defect, Folder, NoMask, misread_lines, no_mask, read_ids
from harness.data.images import Header, read_header, read_image, read_plane, turned_problem
from harness.data.instances import Instance, InstancesFile, Photograph, read_instances
from harness.data.params import CocoLayout, CocoParams

if TYPE_CHECKING:
    from harness.contract.arrays import Image, Mask

_VOC = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "boat", "bird", "cat", "dog", "horse",
    "sheep", "cow", "bottle", "chair", "couch", "potted plant", "dining table", "tv",
)  # fmt: skip
"""What COCO calls the 20 classes of PASCAL VOC."""


class CocoDataset(Dataset):
    """A data set in COCO layout. An image's id is the name of its file without suffix.

    Args:
        params: Where things are and what they mean.
        strict: Raise on the first defect. Otherwise leave out what is concerned and keep what is wrong in ``defects``.

    Raises:
        DataError: A file is missing or damaged, an image is in both splits, an auxiliary image is a validation image.
        ConfigError: A class is no category, or stands in the auxiliary data set too.
    """

    def __init__(self, params: CocoLayout, *, strict: bool = True) -> None:
        self.name = params.name
        self.show_images = isinstance(params, CocoParams) and params.show_images
        self._params = params
        self._root = Path(params.root).expanduser().absolute()
        sources = {"train": (params.train, params.train_images, params.train_list)}
        masks = {"train": params.train_masks}
        if isinstance(params, CocoParams):
            sources["val"] = (params.val, params.val_images, params.val_list)
            masks["val"] = params.val_masks
        named = {split: name for split, name in masks.items() if name and split not in params.unmasked}
        self._folders = {split: Folder(self._root / name, (".png",)) for split, name in named.items()}
        files = {split: read_instances(self._root / source[0], split) for split, source in sources.items()}
        categories = files["train"].categories
        if "val" in files and files["val"].categories != categories:
            train, val = (self._root / sources[split][0] for split in ("train", "val"))
            raise DataError(f"{val}: categories differ from those of {train}")
        self._class_of = _class_indices(categories, params)
        self._class_of_id = _of_category(categories, self._class_of, params) if self._folders else {}
        self.classes = ("background", *(categories[category] for category in self._class_of))
        self._photographs: dict[str, Photograph] = {}
        self._paths: dict[str, Path] = {}
        self._masks: dict[str, Path] = {}
        self._unmasked_ids: set[str] = set()
        self._ids: dict[str, tuple[str, ...]] = {"train": (), "val": ()}
        defects: list[Defect] = []
        for split, (_, images, chosen) in sources.items():
            defects += files[split].defects
            self._ids[split] = self._list(files[split], split, self._root / images, chosen, defects)
        self.defects = tuple(defects)
        if strict and defects:
            more = len(defects) - 1
            raise DataError(defects[0].message + (f" (and {more} more defects)" if more else ""))
        auxiliary = params.auxiliary if isinstance(params, CocoParams) else None
        self._auxiliary = None if auxiliary is None else CocoDataset(auxiliary, strict=strict)
        if self._auxiliary is not None:
            refuse_auxiliary(self, self._auxiliary)

    @classmethod
    def lenient(cls, params: CocoLayout) -> CocoDataset:
        """The data set without what is defective, see ``strict``."""
        return cls(params, strict=False)

    def _list(
        self, source: InstancesFile, split: str, folder: Path, chosen: str | None, defects: list[Defect]
    ) -> tuple[str, ...]:
        """Ids of a split: of the list if there is one, without images that show no class unless they are wanted."""
        before = len(defects)
        ids = tuple(source.photographs)
        if chosen is not None:
            path = self._root / chosen
            listed, wrong_lines = read_ids(path, split=split)
            listed, misread = misread_lines(listed, source.photographs.__contains__, path, split=split)
            ids = tuple(image_id for image_id in listed if image_id in source.photographs)
            defects += [*wrong_lines, *misread]
            defects += [
                Defect("list", split, image_id, f"{path}: {image_id} is no image of the instances file")
                for image_id in listed
                if image_id not in source.photographs
            ]
        files: dict[Path, dict[str, bool]] = {}
        kept = []
        for image_id in ids:
            photograph = source.photographs[image_id]
            if self._params.unlabelled == "leave_out" and not self._instances(photograph):
                continue
            path = folder / photograph.file_name
            if problem := _image_problem(path, files):
                defects.append(Defect("image", split, image_id, f"{path}: {problem}"))
            elif image_id in self._photographs:
                defects.append(Defect("list", split, image_id, f"{path}: {image_id} is a training image too"))
            elif split in self._folders and (missing := self._folders[split].problem(image_id)):
                defects.append(Defect("mask", split, image_id, missing))
            else:
                kept.append(image_id)
                self._photographs[image_id], self._paths[image_id] = photograph, path
                if split in self._folders:
                    self._masks[image_id] = self._folders[split].path(image_id)
                if split in self.unmasked:
                    self._unmasked_ids.add(image_id)
        if not kept and len(defects) == before:
            text = "no image has an annotation of one of the classes, see the fields classes and unlabelled"
            where = self._root / getattr(self._params, split)
            defects.append(Defect("list", split, None, f"{where}: {text if ids else 'holds no image'}"))
        return tuple(kept)

    def _instances(self, photograph: Photograph) -> list[Instance]:
        """Instances of the classes that count as objects, as annotated."""
        crowds = self._params.crowd == "paint"
        of_classes = (instance for instance in photograph.instances if instance.category in self._class_of)
        return [instance for instance in of_classes if crowds or not instance.crowd]

    @property
    def class_ids(self) -> tuple[int, ...]:
        """0, and the category of each class."""
        return (BACKGROUND, *self._class_of)

    def ids(self, split: str) -> tuple[str, ...]:
        """Image ids of ``train`` or ``val`` in the order of the list, else of the instances file."""
        return self._ids[split]

    def image(self, image_id: str) -> Image:
        """(H, W, 3) uint8, RGB, 0-255; grey photographs become RGB.

        Raises:
            DataError: The file is damaged, no 8-bit photograph or differs in size from its entry, or EXIF turns it
                and its labels may be turned or not.
        """
        self._check_header(image_id)
        return read_image(self._paths[image_id])

    def _check_header(self, image_id: str) -> None:
        """Refuse what the header tells: another size than the entry says, a photograph that EXIF turns."""
        path = self._paths[image_id]
        text = digests.cached(path, "photograph header", lambda: json.dumps(read_header(path)))
        header, (height, width) = Header(*json.loads(text)), self.size(image_id)
        turned = None if self._params.exif == "stored" else turned_problem(path, header, (height, width))
        if turned:
            raise DataError(f"{turned}, or say exif: stored where they were drawn on the stored pixels")
        if header.size != (height, width):
            pixels = f"{header.width}x{header.height} pixels"
            raise DataError(f"{path}: {pixels}, but its entry in the instances file says {width}x{height}")

    def size(self, image_id: str) -> tuple[int, int]:
        """(H, W) by the instances file."""
        return self._photographs[image_id].size

    def mask(self, image_id: str) -> Mask:
        """(H, W) uint8 class indices, 255 = ignore.

        Raises:
            NoMask: Its split has no masks, as ``params`` say; or an annotation is a box alone, and no folder of masks
                is given.
            DataError: The PNG mask is damaged, differs in size from the image, or holds an id that is no category.
        """
        if image_id in self._masks:
            return self._stored_mask(image_id)
        if image_id in self._unmasked_ids:
            raise no_mask(self.name, "train" if image_id in self._ids["train"] else "val")
        if self._lacks_mask(image_id):
            raise NoMask(f"data set {self.name!r}: image {image_id!r} has a box without segmentation, thus no mask")
        photograph = self._photographs[image_id]
        mask: Mask = np.zeros(photograph.size, np.uint8)
        for instance in photograph.instances:
            ignored = instance.crowd and self._params.crowd == "ignore"
            if ignored or (instance.category not in self._class_of and self._params.other == "ignore"):
                mask[instance.region(photograph.size) > 0] = IGNORE
        for instance in self._painted(photograph):
            mask[instance.region(photograph.size) > 0] = self._class_of[instance.category]
        return mask

    def _lacks_mask(self, image_id: str) -> bool:
        """Whether an annotation that the mask would show is a box alone."""
        shown = self._class_of.keys()
        everything = self._params.other == "ignore"
        instances = self._photographs[image_id].instances
        return image_id not in self._masks and any(
            not instance.outlined for instance in instances if everything or instance.category in shown
        )

    def lacking(self, split: str, kind: str) -> str:
        """Which boxes have no outline, and which field gives masks."""
        if kind == "masks" and split in self.unmasked:
            return STATED
        unmasked = [image_id for image_id in self.ids(split) if self._lacks_mask(image_id)]
        if kind != "masks" or not unmasked:
            return super().lacking(split, kind)
        share = f"{len(unmasked)} of {len(self.ids(split))} images"
        return (
            f"in {self._root / getattr(self._params, split)} {share} have a box without segmentation, for example "
            f"{unmasked[0]!r}; set the field {split}_masks to their folder, or to none"
        )

    @property
    def unmasked(self) -> tuple[str, ...]:
        """The splits that ``params`` describe as having no masks."""
        return self._params.unmasked

    def _stored_mask(self, image_id: str) -> Mask:
        """Category ids of a PNG as class indices."""
        path = self._masks[image_id]
        stored = read_plane(path)
        height, width = self.size(image_id)
        if stored.shape != (height, width):
            pixels = f"{stored.shape[1]}x{stored.shape[0]} pixels"
            raise DataError(f"{path}: {pixels}, but the image {self._paths[image_id]} has {width}x{height}")
        mask: Mask = np.zeros(stored.shape, np.uint8)
        for category in map(int, np.unique(stored)):
            if category not in self._class_of_id:
                raise DataError(f"{path}: image {image_id!r}: mask id {category} is no category of the instances file")
            mask[stored == category] = self._class_of_id[category]
        return mask

    def _painted(self, photograph: Photograph) -> Sequence[Instance]:
        """Instances from the bottom to the top."""
        instances = self._instances(photograph)
        if self._params.overlap == "area":
            return sorted(instances, key=lambda instance: -instance.area)
        if self._params.overlap == "class":
            first = list(dict.fromkeys(instance.category for instance in instances))
            return sorted(instances, key=lambda instance: first.index(instance.category))
        return instances

    def tags(self, image_id: str) -> tuple[int, ...]:
        """Ascending classes of the annotations, hidden ones included."""
        return tuple(
            sorted({self._class_of[instance.category] for instance in self._instances(self._photographs[image_id])})
        )

    def boxes(self, image_id: str) -> tuple[Box, ...]:
        """Boxes as annotated, rounded outwards; an annotation without extent has none."""
        photograph = self._photographs[image_id]
        boxes = []
        for instance in self._instances(photograph):
            x, y, width, height = instance.box
            x0, y0 = max(math.floor(x), 0), max(math.floor(y), 0)
            x1, y1 = min(math.ceil(x + width), photograph.size[1]), min(math.ceil(y + height), photograph.size[0])
            if x0 < x1 and y0 < y1:
                boxes.append(Box(self._class_of[instance.category], x0, y0, x1, y1))
        return tuple(boxes)

    @property
    def boxes_from_masks(self) -> tuple[str, ...]:
        """All classes or none, as ``boxes_from`` says."""
        return self.classes[1:] if self._params.boxes_from == "masks" else ()

    @property
    def auxiliary(self) -> CocoDataset | None:
        """The auxiliary data set, or ``None``."""
        return self._auxiliary

    def digests(self, split: str) -> Mapping[str, str]:
        """Content hashes by kind; tags, boxes and masks are hashed as what the annotations say."""
        ids = self.ids(split)
        rules = [list(self._class_of), self._params.other, self._params.crowd, self._params.overlap]
        meaning = json.dumps([*rules, "png"] if split in self._folders else rules)
        texts: dict[str, list[str]] = {"ids": list(ids), "images": [], "tags": [], "boxes": [], "masks": [meaning]}
        for image_id in ids:
            path = self._paths[image_id]
            self._check_header(image_id)
            texts["images"] += [image_id, digests.file_digest(path)]
            texts["tags"] += [image_id, json.dumps(self.tags(image_id))]
            texts["boxes"] += [image_id, json.dumps(self.boxes(image_id))]
            instances = self._photographs[image_id].instances
            if image_id in self._unmasked_ids:
                continue
            if image_id in self._masks:
                mask = [digests.file_digest(self._masks[image_id])]
            else:
                outlines = [(instance.category, instance.crowd, instance.area) for instance in instances]
                mask = [json.dumps([self.size(image_id), outlines]), *(instance.digest() for instance in instances)]
            texts["masks"] += [image_id, *mask]
        digests.save_cache()
        if split in self.unmasked or any(map(self._lacks_mask, ids)):
            del texts["masks"]
        return {kind: digests.combine(parts) for kind, parts in texts.items()}


def _image_problem(path: Path, listed: dict[Path, dict[str, bool]]) -> str | None:
    """Why ``path`` is no file, or ``None``; ``listed`` remembers of each folder what is a regular file in it."""
    if path.parent not in listed:
        listed[path.parent] = {}
        if path.parent.is_dir():
            with os.scandir(path.parent) as entries:
                listed[path.parent] = {entry.name: entry.is_file() for entry in entries}
    return None if listed[path.parent].get(path.name) else file_problem(path) or "no such file"


def _class_indices(categories: Mapping[int, str], params: CocoLayout) -> dict[int, int]:
    """Category id -> class index 1, 2, ... in ascending category id, whatever the gaps."""
    names = set(categories.values())
    if isinstance(params.classes, str):
        voc = set(_VOC)
        chosen = {"all": names, "voc": names & voc, "not_voc": names - voc}[params.classes]
    else:
        chosen = set(params.classes)
        if unknown := sorted(chosen - names):
            raise ConfigError(f"data set {params.name!r}: classes: {unknown[0]!r} is no category of {params.train}")
    kept = [category for category, name in categories.items() if name in chosen]
    if taken := [category for category in kept if categories[category].casefold() == "background"]:
        raise ConfigError(
            f"data set {params.name!r}: classes: category {taken[0]} of {params.train} is called "
            f"{categories[taken[0]]!r} like the class 0; list the other categories in the field classes"
        )
    if not 0 < len(kept) < IGNORE - 1:
        raise ConfigError(f"data set {params.name!r}: classes: {len(kept)} categories; 1 to {IGNORE - 2} are possible")
    return {category: index for index, category in enumerate(kept, start=BACKGROUND + 1)}


def _of_category(categories: Mapping[int, str], class_of: Mapping[int, int], params: CocoLayout) -> dict[int, int]:
    """Id in a PNG mask -> class index, for the background, every category, and 255 = ignore."""
    for taken in (BACKGROUND, IGNORE):
        if taken in categories:
            raise ConfigError(
                f"data set {params.name!r}: train_masks, val_masks: category id {taken} ({categories[taken]!r}) cannot "
                f"be read from PNG masks, where {BACKGROUND} is background and {IGNORE} is ignored"
            )
    rest = IGNORE if params.other == "ignore" else BACKGROUND
    return {BACKGROUND: BACKGROUND, IGNORE: IGNORE} | {number: class_of.get(number, rest) for number in categories}


def refuse_auxiliary(dataset: Dataset, auxiliary: Dataset) -> None:
    """Check that ``auxiliary`` has other classes, and masks of no image that is scored.

    Raises:
        ConfigError: Both have a class.
        DataError: A training image of ``auxiliary`` is a validation image of ``dataset``.
    """
    classes = {name.casefold() for name in dataset.classes[1:]}
    shared = [name for name in auxiliary.classes[1:] if name.casefold() in classes]
    if shared:
        raise ConfigError(
            f"data set {dataset.name!r}: auxiliary.classes must differ from classes, both hold {shared[0]}"
        )
    scored = sorted(set(auxiliary.ids("train")) & set(dataset.ids("val")))
    if scored:
        raise DataError(f"data set {dataset.name!r}: auxiliary.train: image {scored[0]!r} is a validation image")
