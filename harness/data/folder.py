"""Data sets of images in folders, with labels in the form in which a tool wrote them.

What the parts do: ``folder_splits`` finds images and lists, ``formats`` reads labels, this module brings them together.
What is named is checked for existence when the data set is made, and every file of many images is parsed then; headers,
and the labels of each image, are checked when digests are taken; pixels when they are read, or by
``harness.data.checking``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.files import folder_problem
from harness.common.text import printable
from harness.contract import Box, DataError, Dataset, NoSupervision, Supervision
from harness.data import digests
from harness.data.annotations import pixel_box
from harness.data.boxes import mask_boxes, mask_tags
from harness.data.files import STATED, Defect, no_mask
from harness.data.folder_params import FolderParams, SourceParams
from harness.data.folder_splits import Split, find_images, read_splits
from harness.data.formats import Asked, ImageNames, Masks, Source, open_masks, open_source
from harness.data.formats.folder_names import FolderNames
from harness.data.formats.masks import IdMasks
from harness.data.formats.names import class_list
from harness.data.formats.rules import rules_of
from harness.data.formats.source import Record
from harness.data.images import Header, read_header, read_image, turned_problem
from harness.data.marks import Marks, field_of, made_kinds, marks_of, marks_of_split
from harness.data.reads import NamedReads

if TYPE_CHECKING:
    from harness.contract.arrays import Image, Mask

Origin = Source | str | None
"""Where tags or boxes come from: a source, ``boxes``, ``masks``, or nowhere."""
_FIELDS = {"mask": "masks"}
"""Field of a kind of source where the two are called differently."""


class FolderDataset(NamedReads, Dataset):
    """A data set of images in folders.

    Args:
        params: Where things are and what they mean.
        strict: Raise on the first defect. Otherwise leave the images concerned out and keep what is wrong in
            ``defects``.

    Raises:
        ConfigError: Classes, ids or names contradict each other.
        DataError: A folder, list, image or label is missing, damaged or of an unknown format, or an image is in both
            splits.
    """

    def __init__(self, params: FolderParams, *, strict: bool = True) -> None:
        self.name, self.show_images, self._params = params.name, params.show_images, params
        self._root = Path(params.root).expanduser().absolute()
        listed = class_list(self._root / params.classes) if isinstance(params.classes, str) else None
        self.rules = rules_of(params, listed)
        self.classes, self.absent = self.rules.classes, frozenset(params.absent)
        self._headers: dict[str, Header] = {}
        self._derived: dict[str, tuple[tuple[int, ...], tuple[Box, ...]]] = {}
        self._ids: dict[str, tuple[str, ...]] = {"train": (), "val": ()}
        self._split_of: dict[str, str] = {}
        self._marks: dict[str, dict[Supervision, Marks]] = {"train": {}, "val": {}}
        self._paths: dict[str, Path] = {}
        self._unmasked_ids: dict[str, frozenset[str]] = {}
        self.defects = tuple(self._open())
        if strict and self.defects:
            more = len(self.defects) - 1
            raise DataError(self.defects[0].message + (f" (and {more} more defects)" if more else ""))

    @classmethod
    def lenient(cls, params: FolderParams) -> FolderDataset:
        """The data set without what is defective, see ``strict``."""
        return cls(params, strict=False)

    def _open(self) -> Iterator[Defect]:
        """Find images, open sources, keep the images whose labels are there; yields what is wrong."""
        self._origins: dict[str, dict[str, Origin]] = {s: {"boxes": None, "tags": None} for s in ("train", "val")}
        self._masks: dict[str, Masks | None] = {"train": None, "val": None}
        if problem := folder_problem(self._root):
            yield Defect("list", "train", None, f"{printable(self._root)}: {problem}, see the field root")
            return
        found, defects = find_images(self._params, self._root)
        splits, more = read_splits(self._params, self._root, found) if not defects else ({}, [])
        yield from (*defects, *more)
        self._names = ImageNames(image_id for images in found.values() for image_id in images)
        self._paths = {image_id: path for split in splits.values() for image_id, path in split.images.items()}
        self._split_of = {image_id: name for name, split in splits.items() for image_id in split.images}
        self._opened: dict[str, Source | Masks] = {}
        marks = marks_of(self._params, self._root, self)
        self._marks |= {name: marks_of_split(marks, name, split.images) for name, split in splits.items()}
        failures = list(self._failures(splits))
        yield from failures
        if failures:
            return
        yield from self._faults()
        for name, split in splits.items():
            self._ids[name], missing = self._complete(name, split)
            yield from missing
        yield from self._silent(self._ids["train"])

    def _silent(self, ids: Sequence[str]) -> Iterator[Defect]:
        """Sources that may be silent on some training images, and are on all: their path is wrong."""
        for kind, source in self._sources("train").items():
            if ids and all(source.silent(image_id) for image_id in ids):
                text = f"says nothing about any training image, such as {printable(ids[0])!r}; see path and suffix"
                if kind == "mask":
                    text += ", or name it inside val where validation images alone have masks"
                field = _FIELDS.get(kind, kind)
                yield Defect(kind, "train", None, f"{printable(source.path)}: {text} (field {field})")

    def _failures(self, splits: Mapping[str, Split]) -> Iterator[Defect]:
        """Open the sources of every split; what fails as a whole is told once."""
        told = set()
        for split in splits:
            labels = self._params.labels(split)
            for kind in ("masks", "boxes", "tags"):
                try:
                    failure = self._open_kind(split, kind, getattr(labels, kind))
                except DataError as error:
                    failure = str(error)
                if failure and failure not in told:
                    told.add(failure)
                    yield Defect(kind, split, None, f"{failure} (field {kind})")
        for mark, marks in self._marks["train"].items():
            if failure := marks.failure():
                yield Defect(mark, "train", None, f"{failure} (field {mark})")

    def _open_kind(self, split: str, kind: str, stated: SourceParams | str | None) -> str | None:
        """Open one source, or the same again; says why it fails as a whole."""
        if kind == "masks":
            self._masks[split] = masks = self._once(stated, kind) if isinstance(stated, SourceParams) else None
            return None if masks is None else masks.source.failure()
        origin: Origin = stated if isinstance(stated, str) else None
        if isinstance(stated, SourceParams):
            origin = self._once(stated, kind)
        elif stated == "folders":
            origin = FolderNames(self._asked(SourceParams(path=".")))
        elif stated is None and kind == "tags" and self._origins[split]["boxes"] is not None:
            origin = "boxes"
        elif stated is None and self._masks[split] is not None:
            origin = "masks"
        if origin == "masks" and self._masks[split] is None:
            return f"data set {self.name!r}: {kind} of {split} are to come from masks, but the field masks is empty"
        if origin == "boxes" and self._origins[split]["boxes"] is None:
            return f"data set {self.name!r}: tags of {split} are to come from boxes, but the field boxes is empty"
        self._origins[split][kind] = origin
        return origin.failure() if isinstance(origin, Source) else None

    def _asked(self, stated: SourceParams) -> Asked:
        known = frozenset(self._params.names)
        return Asked(self._root / stated.path, stated, self._root, self._names, self.classes, known, self.size)

    def _once(self, stated: SourceParams, kind: str) -> Any:
        """The source of ``stated``, opened once whatever number of splits and kinds it serves."""
        as_masks = kind == "masks"
        key = f"{as_masks} {stated.model_dump_json()}"
        if key not in self._opened:
            asked = self._asked(stated)
            self._opened[key] = open_masks(asked, self.rules) if as_masks else open_source(asked, kind)
        return self._opened[key]

    def _sources(self, split: str) -> dict[str, Source]:
        masks, origins = self._masks[split], self._origins[split]
        found = {kind: origin for kind, origin in origins.items() if isinstance(origin, Source)}
        return found if masks is None else {"mask": masks.source, **found}

    def _faults(self) -> Iterator[Defect]:
        """What is wrong with entries of files; files that serve several splits or kinds are told once."""
        told = set()
        for split in self._origins:
            for kind, source in self._sources(split).items():
                for fault in source.faults():
                    if fault.text not in told:
                        told.add(fault.text)
                        where = self._split_of.get(fault.image_id or "", split)
                        yield Defect(kind, where, fault.image_id, fault.text)

    def _complete(self, name: str, split: Split) -> tuple[tuple[str, ...], list[Defect]]:
        """The ids of a split whose labels are all there, and what is missing of the others."""
        sources: dict[str, Any] = {**self._sources(name), **{mark.value: m for mark, m in self._marks[name].items()}}
        faulty = {fault.image_id for source in self._sources(name).values() for fault in source.faults()}
        complete: list[str] = []
        defects: list[Defect] = []
        for image_id in split.images:
            if image_id in faulty:  # its fault is told already
                continue
            problems = [(kind, source.problem(image_id)) for kind, source in sources.items()]
            ways_out = {"mask": ", or missing: unmasked where they have no mask"}
            missing = [Defect(kind, name, image_id, text + ways_out.get(kind, "")) for kind, text in problems if text]
            defects += missing
            complete += [] if missing else [image_id]
        return tuple(complete), defects

    def ids(self, split: str) -> tuple[str, ...]:
        """Image ids of ``train`` or ``val``, in the order of the list, else ascending."""
        return self._ids[split]

    def image(self, image_id: str) -> Image:
        """(H, W, 3) uint8, RGB, 0-255, as stored; raises ``DataError``."""
        self._refuse_turned(image_id)
        return read_image(self._paths[image_id])

    def size(self, image_id: str) -> tuple[int, int]:
        """(H, W) from the header of the image, as stored."""
        return self._header(image_id).size

    def _header(self, image_id: str) -> Header:
        if image_id not in self._headers:
            self._headers[image_id] = read_header(self._paths[image_id])
        return self._headers[image_id]

    def _refuse_turned(self, image_id: str) -> None:
        """Refuse a photograph that EXIF turns, where labels may be drawn on what a viewer shows."""
        header = self._header(image_id)
        if header.orientation == 1 or self._params.exif == "stored":
            return
        if problem := turned_problem(self._paths[image_id], header, self._stated_size(image_id)):
            raise DataError(f"{problem}, or say exif: stored where they were drawn on the stored pixels")

    def _stated_size(self, image_id: str) -> tuple[int, int] | None:
        """(H, W) that the labels say, ``None`` where they say none."""
        split = self._split_of[image_id]
        masks = self._masks[split]
        sizes = [masks.size(image_id)] if masks is not None else []
        sizes += [origin.read(image_id).size for origin in self._origins[split].values() if isinstance(origin, Source)]
        return next((size for size in sizes if size is not None), None)

    def check_size(self, image_id: str, path: Path | str, shape: tuple[int, ...]) -> None:
        """Raise ``DataError`` where labels of ``shape``, that ``path`` tells, are not of the size of the image."""
        size = self.size(image_id)
        if shape != size:
            image = self._paths[image_id]
            turned = turned_problem(image, self._header(image_id), size[::-1]) if shape == size[::-1] else None
            why = f": {turned}" if turned else ""
            sizes = f"{shape[1]}x{shape[0]} pixels, but the image {printable(image)} has {size[1]}x{size[0]}"
            raise DataError(f"{printable(path)}: {sizes}{why}")

    def read(self, kind: Supervision, image_id: str) -> Any:
        """The labels of ``kind`` of one image, see ``Dataset.read``."""
        marks = self._marks[self._split_of[image_id]].get(kind)
        if marks is not None:
            return marks.read(image_id)
        readers = {Supervision.TAGS: self._tags, Supervision.BOXES: self._boxes, Supervision.MASKS: self._mask}
        if kind in readers:
            return readers[kind](image_id)
        raise NoSupervision(f"data set {self.name!r} has no {kind}")

    def _mask(self, image_id: str) -> Mask:
        masks = self._masks[self._split_of[image_id]]
        if masks is None:
            raise no_mask(self.name, self._split_of[image_id])
        if image_id in self._without_mask(self._split_of[image_id]):
            silent = masks.source.silent(image_id)
            raise NoSupervision(f"data set {self.name!r} has no mask of image {image_id!r}: {silent}")
        if (stated := masks.size(image_id)) is not None:
            self.check_size(image_id, masks.source.read(image_id).where, stated)
        return masks.mask(image_id, self.size(image_id))

    def _record(self, source: Source, image_id: str) -> Record:
        """What a source says of an image, if it is of an image of this size."""
        record = source.read(image_id)
        if record.size is not None:
            self.check_size(image_id, record.where, record.size)
        return record

    def _tags(self, image_id: str) -> tuple[int, ...]:
        split = self._split_of[image_id]
        origin = self._origins[split]["tags"]
        if origin == "boxes":
            origin = self._origins[split]["boxes"]
        if origin is None:
            raise NoSupervision(f"data set {self.name!r} has no tags of image {image_id!r}")
        if isinstance(origin, str):
            return self._from_mask(image_id)[0]
        record = self._record(origin, image_id)
        return tuple(sorted({cls for name in record.tags if (cls := self.rules.class_of(name, record.where))}))

    def _boxes(self, image_id: str) -> tuple[Box, ...]:
        origin = self._origins[self._split_of[image_id]]["boxes"]
        if origin is None:
            raise NoSupervision(f"data set {self.name!r} has no boxes of image {image_id!r}")
        if isinstance(origin, str):
            return self._from_mask(image_id)[1]
        record = self._record(origin, image_id)
        named = ((self.rules.class_of(box.name, record.where), box) for box in record.boxes)
        return tuple(pixel_box(cls, box, self.size(image_id), record.where) for cls, box in named if cls)

    def _from_mask(self, image_id: str) -> tuple[tuple[int, ...], tuple[Box, ...]]:
        """Tags and boxes of the mask, remembered."""
        if image_id not in self._derived:
            mask = self._mask(image_id)
            self._derived[image_id] = mask_tags(mask), mask_boxes(mask, self._params.min_box_pixels)
        return self._derived[image_id]

    @cached_property
    def boxes_from_masks(self) -> tuple[str, ...]:
        """Classes whose boxes are extents of outlines or components of masks, in training."""
        origin = self._origins["train"].get("boxes")
        if origin == "masks" or self._params.boxes_from == "masks":
            return self.classes[1:]
        if not isinstance(origin, Source):
            return ()
        records = map(origin.read, self._ids["train"])
        computed = {self.rules.class_of(name, record.where) for record in records for name in record.computed}
        return tuple(self.classes[cls] for cls in sorted(filter(None, computed)))

    @property
    def made_from_masks(self) -> tuple[Supervision, ...]:
        """What a rule makes from masks, as ``params`` say."""
        return made_kinds(self._params)

    @property
    def unmasked(self) -> tuple[str, ...]:
        """The splits whose field of masks is empty, or of which some images have none (``missing: unmasked``)."""
        return tuple(split for split, masks in self._masks.items() if masks is None or self._without_mask(split))

    def carrying(self, split: str, kind: Supervision) -> tuple[str, ...]:
        """Ids of ``split`` that have labels of ``kind``, in order."""
        without = self._without_mask(split) if kind is Supervision.MASKS else frozenset()
        return tuple(image_id for image_id in self.ids(split) if image_id not in without)

    def _without_mask(self, split: str) -> frozenset[str]:
        """The images of a split that have no mask, where the source of masks may be silent on some."""
        if split not in self._unmasked_ids:
            masks = self._masks[split]
            partly = masks is not None and masks.source.asked.params.missing == "unmasked"
            source = masks.source if masks is not None and partly else None
            self._unmasked_ids[split] = frozenset(filter(source.silent, self._ids[split]) if source else ())
        return self._unmasked_ids[split]

    @property
    def class_ids(self) -> tuple[int, ...]:
        """The first id that masks have for each class."""
        return tuple(ids[0] for ids in self.rules.ids)

    def lacking(self, split: str, kind: str) -> str:
        """Which field would give ``kind``."""
        if kind == "masks":
            return STATED
        return field_of(kind) or f"name their file or folder in the field {kind}, of {split} or of both splits"

    def digests(self, split: str) -> Mapping[str, str]:
        """Content hashes by kind; tags, boxes and outlines are hashed as what they say, wherever they come from.

        What a header or the labels alone show to be wrong is refused here, long before an image is read.
        """
        ids, origins, masks = self.ids(split), self._origins[split], self._masks[split]
        texts: dict[str, list[str]] = {"ids": list(ids), "images": []}
        texts |= {kind: [] for kind in ("boxes", "tags") if origins.get(kind) is not None}
        texts |= {"masks": [self.rules.text()]} if masks is not None else {}
        texts |= {kind.value: [] for kind in self._marks[split]}
        for image_id in ids:
            image = self._paths[image_id]
            digest, header = digests.described(image, "photograph header", partial(read_header, image))
            self._headers[image_id] = Header(*header)
            texts["images"] += [image_id, digest]
            self._refuse_turned(image_id)
            if masks is not None:
                if (stated := masks.size(image_id)) is not None:
                    self.check_size(image_id, masks.source.read(image_id).where, stated)
                texts["masks"] += [image_id, masks.digest(image_id)]
            for kind, marks in self._marks[split].items():
                texts[kind] += [image_id, marks.digest(image_id)]
            for label in (Supervision.TAGS, Supervision.BOXES):
                if label.value in texts:
                    texts[label.value] += [image_id, json.dumps(self.read(label, image_id))]
        digests.save_cache()
        return {kind: digests.combine(parts) for kind, parts in texts.items()}

    def mask_text(self, image_id: str) -> str:
        """A text that changes when the mask changes, or what its ids and names mean."""
        masks = self._masks[self._split_of[image_id]]
        assert masks is not None  # as the parameters promise
        return f"{self.rules.text()} {masks.digest(image_id)}"

    def explain_masks(self, split: str, classes: Sequence[str]) -> str:
        """What to look at where masks show none of ``classes``; the end of a sentence."""
        two = isinstance(self._masks[split], IdMasks) and len(self.classes) == 2
        binary = "; masks of 0 and 255 need format: binary" if two else ""
        return f"see the fields classes, names, other and ignore_ids, and colours of masks in colour{binary}"
