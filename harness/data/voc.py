"""Data sets in PASCAL VOC layout: a folder of images, one of masks, lists of ids.

What is listed is checked for existence when the data set is made, headers (sizes, formats, EXIF) when digests are
taken, contents when they are read (or by ``harness.data.checking``). Tags and boxes come from the masks, from VOC XML
files or from one JSON file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.common.files import folder_problem
from harness.common.text import printable
from harness.contract import IGNORE, Box, DataError, Dataset, NoSupervision, Supervision
from harness.data import digests
from harness.data.annotations import Annotations, JsonAnnotations, XmlAnnotations, pixel_box
from harness.data.boxes import mask_boxes, mask_tags
from harness.data.coco import CocoDataset, refuse_auxiliary
from harness.data.files import STATED, Defect, Folder, misread_lines, no_mask, read_ids
from harness.data.images import (
    IMAGE_SUFFIXES,
    Header,
    read_header,
    read_image,
    read_plane,
    read_plane_size,
    turned_problem,
)
from harness.data.marks import Marks, field_of, made_kinds, marks_of, marks_of_split
from harness.data.mask_ids import explained, narrowed, unknown_ids
from harness.data.params import CocoLayout, VocLayout, VocParams
from harness.data.rules import Rules

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.contract.arrays import Image, Mask


class VocDataset(Dataset):
    """A data set in VOC layout.

    Args:
        params: Where things are and what they mean.
        strict: Raise on the first defect of lists and folders. Otherwise leave the images concerned out and keep
            what is wrong in ``defects``.

    Raises:
        DataError: A list is missing, empty, repeats an id or is no list of ids; a folder or annotation file is missing
            or of another kind; a listed image, mask or annotation is missing; an id is in both lists; no image is left
            by ``select``; an auxiliary image is a validation image.
    """

    def __init__(self, params: VocLayout, *, strict: bool = True) -> None:
        self.name, self.classes = params.name, tuple(params.classes)
        self.show_images = isinstance(params, VocParams) and params.show_images
        self.absent = frozenset(params.absent)
        self._params = params
        self._root = Path(params.root).expanduser().absolute()
        ids = tuple(params.class_ids().values())
        self.rules = Rules(self.classes, ids, params.names, params.other, params.ignore_ids)
        self._tag_source = self._annotations(params.tags)
        self._box_source = self._tag_source if params.boxes == params.tags else self._annotations(params.boxes)
        self._images = Folder(self._root / params.images, IMAGE_SUFFIXES)
        folders = {split: params.mask_folder(split) for split in ("train", "val")}
        self._masks = {split: Folder(self._root / folder, (".png",)) for split, folder in folders.items() if folder}
        self._split: dict[str, str] = {}
        self._marks = dict.fromkeys(("train", "val"), marks_of(params, self._root, self))
        self._headers: dict[str, Header] = {}
        self._derived: dict[str, tuple[tuple[int, ...], tuple[Box, ...]]] = {}
        self._ids, self.defects = self._read_lists()
        if strict and self.defects:
            more = len(self.defects) - 1
            raise DataError(self.defects[0].message + (f" (and {more} more defects)" if more else ""))
        auxiliary = params.auxiliary if isinstance(params, VocParams) else None
        self._auxiliary = None if auxiliary is None else self._make_auxiliary(auxiliary, strict=strict)

    @classmethod
    def lenient(cls, params: VocLayout) -> VocDataset:
        """The data set without what is defective, see ``strict``."""
        return cls(params, strict=False)

    def _annotations(self, source: str) -> Annotations | None:
        if source == "masks":
            return None
        if source == "xml":
            return XmlAnnotations(self._root / self._params.annotations)
        return JsonAnnotations(self._root / source)

    def _read_lists(self) -> tuple[dict[str, tuple[str, ...]], tuple[Defect, ...]]:
        lists: dict[str, tuple[str, ...]] = {"train": (), "val": ()}
        failures = list(self._failures())
        defects = [Defect(kind, "train", None, text) for kind, text in failures]
        images = self._images
        for split, name in (("train", self._params.train), ("val", self._params.val)):
            if name is None or failures:
                continue
            path = self._root / name
            listed, wrong_lines = read_ids(path, split=split)
            listed, misread = misread_lines(listed, lambda line: images.problem(line) is None, path, split=split)
            defects += [*wrong_lines, *misread]
            self._marks[split] = marks_of_split(self._marks[split], split, listed)
            complete = []
            for image_id in listed:
                self._split.setdefault(image_id, split)
                problems = [Defect(kind, split, image_id, text) for kind, text in self._problems(image_id, split)]
                if split == "val" and image_id in lists["train"]:
                    problems.append(Defect("list", split, image_id, f"{path}: {image_id} is in the training list too"))
                defects += problems
                complete += [] if problems else [image_id]
            lists[split] = tuple(filter(self._selected, complete))
            if complete and not lists[split]:
                raise DataError(f"{path}: select: no image is tagged with {', '.join(self.classes[1:])} alone")
        return lists, tuple(defects)

    def _sources(self, split: str) -> dict[str, Folder | Annotations | Marks | None]:
        marks = {kind.value: marks for kind, marks in self._marks[split].items()}
        folders = {"image": self._images, "mask": self._masks.get(split)}
        return {**folders, **marks, "tags": self._tag_source, "boxes": self._box_source}

    def _failures(self) -> Iterator[tuple[str, str]]:
        """What is wrong with a whole folder or annotation file; each is told once, not once for each image."""
        missing = folder_problem(self._root)
        if missing:
            yield "list", f"{printable(self._root)}: {missing}, see the field root"
            return
        told = set()
        splits = ("train", "val") if self._params.val else ("train",)
        for kind, source in (item for split in splits for item in self._sources(split).items()):
            failure = source and source.failure()
            if failure and failure not in told:
                told.add(failure)
                yield kind, f"{failure} (field {_FIELDS.get(kind, kind)})"

    def _problems(self, image_id: str, split: str) -> Iterator[tuple[str, str]]:
        """What is missing of one image; annotations that decide whether it is selected are read as well."""
        for kind, source in self._sources(split).items():
            problem = source and source.problem(image_id)
            if not problem and kind == "tags" and self._params.select == "pure" and self._tag_source is not None:
                try:
                    self._tag_source.read(image_id)
                except DataError as error:
                    problem = str(error)
            if problem:
                yield kind, problem

    def _selected(self, image_id: str) -> bool:
        if self._params.select == "all" or self._tag_source is None:
            return True
        names = {self._params.names.get(name, name) for name in self._tag_source.read(image_id).tags}
        return bool(names) and names <= set(self.classes[1:])

    def _make_auxiliary(self, params: VocLayout | CocoLayout, *, strict: bool) -> Dataset:
        if isinstance(params, CocoLayout):
            coco = CocoDataset(params, strict=strict)
            refuse_auxiliary(self, coco)
            return coco
        voc = VocDataset(params, strict=strict)
        # Masks of an image, even of other classes, must not be learned from when the image is scored.
        if voc._images.root == self._images.root:
            scored = sorted(set(voc.ids("train")) & set(self._ids["val"]))
            if scored:
                raise DataError(f"data set {self.name!r}: auxiliary.train: image {scored[0]!r} is a validation image")
        return voc

    @property
    def class_ids(self) -> tuple[int, ...]:
        """The first id that ``params`` lists for each class."""
        return tuple(ids[0] for ids in self._params.class_ids().values())

    def ids(self, split: str) -> tuple[str, ...]:
        """Image ids of ``train`` or ``val`` in list order."""
        return self._ids[split]

    def image(self, image_id: str) -> Image:
        """(H, W, 3) uint8, RGB, 0-255, as stored.

        Raises:
            DataError: The file is damaged or no 8-bit photograph, or EXIF turns it and its labels may be turned or not.
        """
        self._refuse_turned(image_id)
        return read_image(self._images.path(image_id))

    def size(self, image_id: str) -> tuple[int, int]:
        """(H, W) from the header of the image, as stored."""
        return self._header(image_id).size

    def _header(self, image_id: str) -> Header:
        if image_id not in self._headers:
            self._headers[image_id] = read_header(self._images.path(image_id))
        return self._headers[image_id]

    def _refuse_turned(self, image_id: str) -> None:
        header = self._header(image_id)
        if header.orientation == 1 or self._params.exif == "stored":
            return
        drawn = None if self._split[image_id] in self.unmasked else read_plane_size(self._mask_path(image_id))
        problem = turned_problem(self._images.path(image_id), header, drawn)
        if problem:
            raise DataError(f"{problem}, or say exif: stored where they were drawn on the stored pixels")

    def _mask_path(self, image_id: str) -> Path:
        split = self._split[image_id]
        if split not in self._masks:
            raise no_mask(self.name, split)
        return self._masks[split].path(image_id)

    def mask(self, image_id: str) -> Mask:
        """(H, W) uint8 class indices, 255 = ignore.

        Raises:
            NoMask: The images of this split have no masks, as ``params`` say.
            DataError: The file is damaged, differs in size from the image, or holds an id that no class lists.
        """
        path = self._mask_path(image_id)
        stored = read_plane(path)
        self.check_size(image_id, path, stored.shape)
        if stored.dtype != np.uint8:
            stored = narrowed(stored, path)
        table, unknown = self.rules.table
        if (wrong := unknown[stored]).any():
            raise DataError(f"{path}: image {image_id!r}: {unknown_ids(np.unique(stored[wrong]))}")
        mask: Mask = table[stored]
        return mask

    def check_size(self, image_id: str, path: Path, shape: tuple[int, ...]) -> None:
        """Raise ``DataError`` where a map of ``shape``, stored in ``path``, does not cover the image."""
        size = self.size(image_id)
        if shape != size:
            image = self._images.path(image_id)
            turned = turned_problem(image, self._header(image_id), size[::-1]) if shape == size[::-1] else None
            why = f": {turned}" if turned else ""
            raise DataError(f"{path}: {shape[1]}x{shape[0]} pixels, but the image {image} has {size[1]}x{size[0]}{why}")

    def mask_ids(self, split: str) -> dict[int, int]:
        """Stored mask id -> pixels, over the masks of ``split``, before ids become classes."""
        counts = np.zeros(IGNORE + 1, dtype=np.int64)
        for image_id in self.ids(split):
            path = self._mask_path(image_id)
            counts += np.bincount(narrowed(read_plane(path), path).ravel(), minlength=IGNORE + 1)
        return {int(mask_id): int(counts[mask_id]) for mask_id in np.flatnonzero(counts)}

    def explain_masks(self, split: str, classes: Sequence[str]) -> str:
        """What the masks of ``split`` hold in place of ``classes``, and what to do; the end of a sentence."""
        return explained(self.mask_ids(split), self._masks[split].root, self._params, classes)

    def read(self, kind: Supervision, image_id: str) -> Any:
        """The labels of ``kind`` of one image, see ``Dataset.read``."""
        marks = self._marks[self._split[image_id]].get(kind)
        return super().read(kind, image_id) if marks is None else marks.read(image_id)

    def saliency(self, image_id: str) -> npt.NDArray[np.float32]:
        """(H, W) float32 in [0, 1]."""
        marks = self._marks[self._split[image_id]].get(Supervision.SALIENCY)
        saliency: npt.NDArray[np.float32] = super().saliency(image_id) if marks is None else marks.read(image_id)
        return saliency

    def lacking(self, split: str, kind: str) -> str:
        """Which field would give ``kind``."""
        if kind == Supervision.MASKS and split in self.unmasked:
            return STATED
        if kind in (Supervision.TAGS, Supervision.BOXES):
            return f"without masks they come from files, set the field {kind} to 'xml' or to a JSON file"
        return field_of(kind) or super().lacking(split, kind)

    @property
    def unmasked(self) -> tuple[str, ...]:
        """The splits that ``params`` describe as having no masks."""
        return self._params.unmasked

    @property
    def auxiliary(self) -> Dataset | None:
        """The auxiliary data set, or ``None``."""
        return self._auxiliary

    @property
    def boxes_from_masks(self) -> tuple[str, ...]:
        """All classes, unless people made the boxes of a file; then those that ``fallback_boxes`` fills in."""
        if self._box_source is None or self._params.boxes_from == "masks":
            return self.classes[1:]
        return tuple(self.classes[cls] for cls in sorted(self._lacking))

    @property
    def made_from_masks(self) -> tuple[Supervision, ...]:
        """What a rule makes from masks, as ``params`` say."""
        return made_kinds(self._params)

    def tags(self, image_id: str) -> tuple[int, ...]:
        """Ascending foreground class indices."""
        if self._tag_source is None:
            return self._from_mask(image_id)[0]
        annotation = self._tag_source.read(image_id)
        classes = {self.rules.class_of(name, annotation.where) for name in annotation.tags}
        return tuple(sorted(cls for cls in classes if cls))

    def boxes(self, image_id: str) -> tuple[Box, ...]:
        """Boxes in annotation order; those of ``fallback_boxes`` come last."""
        if self._box_source is None:
            return self._from_mask(image_id)[1]
        boxes = self._annotated_boxes(image_id)
        if not self._lacking:
            return boxes
        return boxes + tuple(box for box in self._from_mask(image_id)[1] if box.cls in self._lacking)

    def _annotated_boxes(self, image_id: str) -> tuple[Box, ...]:
        assert self._box_source is not None
        annotation = self._box_source.read(image_id)
        named = ((self.rules.class_of(box.name, annotation.where), box) for box in annotation.boxes)
        return tuple(pixel_box(cls, box, self.size(image_id), annotation.where) for cls, box in named if cls)

    @cached_property
    def _lacking(self) -> frozenset[int]:
        """Foreground classes whose boxes are taken from the masks."""
        if self._params.fallback_boxes == "none" or self._box_source is None:
            return frozenset()
        listed = (image_id for ids in self._ids.values() for image_id in ids)
        boxed = {box.name for image_id in listed for box in self._box_source.read(image_id).boxes}
        present = {self._params.names.get(name, name) for name in boxed}
        return frozenset(cls for cls, name in enumerate(self.classes) if cls and name not in present)

    def _from_mask(self, image_id: str) -> tuple[tuple[int, ...], tuple[Box, ...]]:
        """Tags and boxes of the mask, remembered."""
        split = self._split[image_id]
        if split not in self._masks:
            raise NoSupervision(f"data set {self.name!r}: {split} tags and boxes would come from masks, there are none")
        if image_id not in self._derived:
            mask = self.mask(image_id)
            self._derived[image_id] = mask_tags(mask), mask_boxes(mask, self._params.min_box_pixels)
        return self._derived[image_id]

    def digests(self, split: str) -> Mapping[str, str]:
        """Content hashes by kind; tags and boxes are hashed as what they say, wherever they come from.

        What a header alone shows to be wrong is refused here, long before an image is read.
        """
        ids = self.ids(split)
        meaning = self._params.meaning()
        texts = {"ids": list(ids), "masks": [meaning], "images": [], "tags": [], "boxes": []}
        texts |= {kind.value: [] for kind in self._marks[split]}
        for image_id in ids:
            image = self._images.path(image_id)
            digest, header = digests.described(image, "photograph header", partial(read_header, image))
            self._headers[image_id] = Header(*header)
            texts["images"] += [image_id, digest]
            if split in self._masks:
                texts["masks"] += [image_id, self._mask_digest(image_id)]
            for kind, marks in self._marks[split].items():
                texts[kind] += [image_id, marks.digest(image_id)]
            self._refuse_turned(image_id)
            for named, text in self._tags_and_boxes(image_id, meaning).items():
                texts[named] += [image_id, text]
        digests.save_cache()
        return {kind: digests.combine(parts) for kind, parts in texts.items() if kind not in self._without(split)}

    def _without(self, split: str) -> frozenset[str]:
        """Masks, and what would come from them, where the images of ``split`` have none."""
        if split in self._masks:
            return frozenset()
        derived = {"tags": self._tag_source, "boxes": self._box_source}
        return frozenset({"masks", *(kind for kind, source in derived.items() if source is None)})

    def _mask_digest(self, image_id: str) -> str:
        """SHA-256 of the mask; what its header alone shows to be wrong is refused here."""
        path = self._mask_path(image_id)
        digest, size = digests.described(path, "mask size", partial(read_plane_size, path))
        self.check_size(image_id, path, size)
        return digest

    def mask_text(self, image_id: str) -> str:
        """A text that changes when the mask changes, or what its ids mean."""
        return f"{self._params.meaning()} {self._mask_digest(image_id)}"

    def _tags_and_boxes(self, image_id: str, meaning: str) -> dict[str, str]:
        """Tags and boxes of one image as canonical text; what comes from the mask goes through the digest cache."""
        shown: list[int] = []
        components: list[list[int]] = []
        absent = self._without(self._split[image_id])
        derived = self._tag_source is None or self._box_source is None or self._lacking
        if derived and not absent:
            kind = f"derived {meaning} {self._params.min_box_pixels}"
            text = digests.cached(self._mask_path(image_id), kind, lambda: json.dumps(self._from_mask(image_id)))
            shown, components = json.loads(text)
        texts = {}
        if "tags" not in absent:
            texts["tags"] = json.dumps(shown if self._tag_source is None else self.tags(image_id))
        if "boxes" not in absent:
            annotated = self._annotated_boxes(image_id) if self._box_source else ()
            kept = [box for box in components if self._box_source is None or box[0] in self._lacking]
            texts["boxes"] = json.dumps([*annotated, *kept])
        return texts


_FIELDS = {"image": "images", "mask": "masks; 'none' says that there are none, of one split in train_masks, val_masks"}
"""The field that names a folder, and what else it may say."""
