"""Parameters of the built-in data sets, as strict models. Light: loads pydantic and nothing else."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Params(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


NO_MASKS = "none"
"""What a field of masks says of a split whose images have none."""

_UNMASKED = "'none' = they have no masks, so that nothing is scored on them"

_ROOT = "folder of the data set; a relative one begins at the folder in which the command is called"

_BOXES_FROM: Any = Field(
    "people", description="who made the boxes of annotation files; 'masks' = computed from masks, which tables say"
)

POINTS: Any = Field(
    None,
    description="file of points, .json or .csv: a class, and the pixel's x and y from 0; or 'masks': the innermost "
    "pixel of each component of a training mask, which tables say",
)
SCRIBBLES: Any = Field(
    None,
    description="folder of scribbles: .png of mask ids, 255 = none, or ScribbleSup's .xml; or 'masks': a stroke "
    "through each component of a training mask, which tables say",
)


def _unmasked(train: str | None, val: str | None) -> tuple[str, ...]:
    """The splits of whose masks the fields ``train_masks`` and ``val_masks`` say that there are none."""
    return tuple(split for split, masks in (("train", train), ("val", val)) if masks == NO_MASKS)


class VocLayout(_Params):
    """Where images, masks and annotations lie, and how mask ids become classes.

    All paths but ``root`` are relative to ``root``, or absolute.
    """

    name: str = Field(description="name of the data set in tables")
    root: str = Field(description=_ROOT)
    images: str = Field("JPEGImages", description="folder of images, .jpg, .jpeg, .png, .tif, .tiff, .bmp or .webp")
    masks: str | None = Field(
        "SegmentationClass",
        description="folder of masks, palette or grey .png of mask ids; 'none' (or null) = no image has a mask",
    )
    train_masks: str | None = Field(
        None, description=f"folder of masks of the training images where it is not 'masks'; {_UNMASKED}"
    )
    val_masks: str | None = Field(
        None, description=f"folder of masks of the validation images where it is not 'masks'; {_UNMASKED}"
    )
    annotations: str = Field("Annotations", description="folder of VOC .xml files, read where boxes or tags is 'xml'")
    train: str = Field(description="list of training ids, one per line")
    val: str | None = Field(None, description="list of validation ids, one per line")
    select: Literal["all", "pure"] = Field(
        "all", description="'pure' keeps of the lists the images whose tags are all among the classes"
    )
    classes: dict[str, int | list[int]] = Field(
        min_length=2, max_length=254, description="class name -> its mask id or ids; the first class is the background"
    )
    names: dict[str, str] = Field({}, description="name in an annotation file -> class name, where the two differ")
    ignore_ids: list[int] = Field(
        [255], description="mask ids that are neither trained on nor scored; none where a class lists 255"
    )
    absent: list[str] = Field([], description="classes that no training mask shows, on purpose")
    other: Literal["error", "background", "ignore"] = Field(
        "error",
        description="what becomes of mask ids that no class lists; other names of annotations are an error or left out",
    )
    boxes: str = Field(
        "masks", description="'masks' (connected components of each class), 'xml', or the path of a JSON file"
    )
    boxes_from: Literal["people", "masks"] = _BOXES_FROM
    min_box_pixels: int = Field(1, ge=1, description="smaller components of masks are specks: no box, no point")
    fallback_boxes: Literal["none", "masks"] = Field(
        "none", description="'masks' derives the boxes of classes for which the box source has not one box"
    )
    tags: str = Field("masks", description="'masks' (classes that the mask shows), 'xml', or the path of a JSON file")
    saliency: str | None = Field(None, description="folder of saliency maps, grey .png, 255 = salient")
    points: str | None = POINTS
    scribbles: str | None = SCRIBBLES
    exif: Literal["refuse", "stored"] = Field(
        "refuse",
        description="photographs that EXIF turns or mirrors; 'stored' where masks and boxes are drawn on stored pixels",
    )

    @model_validator(mode="before")
    @classmethod
    def _binary_masks_ignore_nothing(cls, data: Any) -> Any:
        """A class of mask id 255 leaves nothing to ignore, unless ``ignore_ids`` says so."""
        if not isinstance(data, dict) or "ignore_ids" in data or not isinstance(data.get("classes"), dict):
            return data
        listed = [mask_id for ids in data["classes"].values() for mask_id in (ids if isinstance(ids, list) else [ids])]
        return {**data, "ignore_ids": []} if 255 in listed else data

    @model_validator(mode="after")
    def _ids_are_distinct(self) -> VocLayout:
        owner: dict[int, str] = dict.fromkeys(self.ignore_ids, "ignore_ids")
        for name, ids in self.class_ids().items():
            for mask_id in ids:
                if mask_id in owner:
                    raise ValueError(f"mask id {mask_id} belongs to both {owner[mask_id]} and classes.{name}")
                owner[mask_id] = f"classes.{name}"
        outside = sorted(mask_id for mask_id in owner if not 0 <= mask_id <= 255)
        if outside:
            raise ValueError(f"mask id {outside[0]} of {owner[outside[0]]} lies outside 0..255")
        return self

    @model_validator(mode="after")
    def _names_lead_to_classes(self) -> VocLayout:
        for name, target in self.names.items():
            if target not in self.classes:
                raise ValueError(f"names.{name} must be one of the classes {', '.join(self.classes)}, got {target!r}")
        return self

    @model_validator(mode="after")
    def _absent_are_classes(self) -> VocLayout:
        for name in self.absent:
            if name not in list(self.classes)[1:]:
                raise ValueError(f"absent: {name!r} is no class besides the background {next(iter(self.classes))!r}")
        return self

    @model_validator(mode="after")
    def _tags_can_select(self) -> VocLayout:
        if self.select == "pure" and self.tags == "masks":
            raise ValueError("select: 'pure' goes by annotated tags, set tags to 'xml' or to a JSON file")
        return self

    @model_validator(mode="after")
    def _labels_are_made_of_masks(self) -> VocLayout:
        for kind in ("points", "scribbles"):
            if getattr(self, kind) == "masks" and "train" in self.unmasked:
                raise ValueError(f"{kind}: the train images have no masks to make them of, name a file or folder")
        return self

    @model_validator(mode="after")
    def _boxes_fall_back_on_masks(self) -> VocLayout:
        if self.fallback_boxes == "masks" and self.unmasked:
            raise ValueError(f"fallback_boxes: the {self.unmasked[0]} images have no masks to make boxes of, say none")
        return self

    def mask_folder(self, split: str) -> str | None:
        """Folder of the masks of ``train`` or ``val``; ``None`` for images without masks."""
        folder = (self.train_masks if split == "train" else self.val_masks) or self.masks
        return None if folder == NO_MASKS else folder

    @property
    def unmasked(self) -> tuple[str, ...]:
        """The splits whose images have no masks."""
        return _unmasked(*(self.mask_folder(split) or NO_MASKS for split in ("train", "val")))

    def meaning(self) -> str:
        """What the ids of masks mean, for digests."""
        mask_ids = {name: sorted(ids) for name, ids in self.class_ids().items()}
        return json.dumps([mask_ids, sorted(self.ignore_ids), self.other])

    def class_ids(self) -> dict[str, tuple[int, ...]]:
        """Class name -> mask ids, in class index order."""
        return {name: (ids,) if isinstance(ids, int) else tuple(ids) for name, ids in self.classes.items()}


class CocoLayout(_Params):
    """Where a COCO instances file and its images lie, and how annotations become masks.

    All paths but ``root`` are relative to ``root``, or absolute.
    """

    name: str = Field(description="name of the data set in tables")
    root: str = Field(description=_ROOT)
    train: str = Field(description="instances file of the training images, .json")
    train_images: str = Field(description="folder of the training images")
    train_list: str | None = Field(None, description="list of training ids (file names without suffix), one per line")
    train_masks: str | None = Field(
        None,
        description="folder of masks of the training images, NAME.png of category ids, 0 = background, 255 = ignored; "
        "they replace the outlines of the instances file, which may then hold boxes alone; " + _UNMASKED,
    )
    classes: Literal["all", "voc", "not_voc"] | list[str] = Field(
        "all", description="category names, or a group; classes are numbered 1, 2, ... in ascending category id"
    )
    other: Literal["background", "ignore"] = Field("background", description="what other categories are in masks")
    crowd: Literal["paint", "ignore"] = Field(
        "paint",
        description="crowd regions (iscrowd 1) count like instances: painted, a tag, a box round the group; or they "
        "are ignored in masks and give no tag and no box",
    )
    boxes_from: Literal["people", "masks"] = _BOXES_FROM
    overlap: Literal["annotation", "class", "area"] = Field(
        "annotation",
        description="painted in annotation order, by class in order of first appearance, or from large to small; the "
        "last is on top",
    )
    exif: Literal["refuse", "stored"] = Field(
        "refuse",
        description="photographs that EXIF turns or mirrors; 'stored' where annotations are drawn on stored pixels",
    )
    unlabelled: Literal["leave_out", "keep"] = Field(
        "leave_out", description="what becomes of images without an annotation of a class"
    )

    @property
    def unmasked(self) -> tuple[str, ...]:
        """The splits whose images have no masks, as the fields say."""
        return _unmasked(self.train_masks, getattr(self, "val_masks", None))


class VocParams(VocLayout):
    """A benchmark data set in VOC layout, perhaps with an auxiliary one of other classes."""

    val: str = Field(description="list of validation ids, one per line")
    show_images: bool = Field(False, description="the licence allows its pictures in a published page")
    auxiliary: VocLayout | CocoLayout | None = Field(
        None, description="pixel-labelled data set of other classes, in VOC or (with train_images) COCO layout"
    )

    @model_validator(mode="after")
    def _auxiliary_classes_are_others(self) -> VocParams:
        if not isinstance(self.auxiliary, VocLayout):
            return self
        classes = {name.casefold() for name in list(self.classes)[1:]}
        shared = [name for name in list(self.auxiliary.classes)[1:] if name.casefold() in classes]
        if shared:
            raise ValueError(f"auxiliary.classes must differ from classes, both hold {', '.join(shared)}")
        masks = self.auxiliary.mask_folder("train")
        if self.auxiliary.root == self.root and masks in map(self.mask_folder, ("train", "val")):
            ids = _foreground_ids(self) & _foreground_ids(self.auxiliary)
            if ids:
                raise ValueError(f"auxiliary.classes must differ from classes, both hold mask id {min(ids)}")
        return self


def _foreground_ids(layout: VocLayout) -> set[int]:
    return {mask_id for ids in list(layout.class_ids().values())[1:] for mask_id in ids}


class CocoParams(CocoLayout):
    """A benchmark data set in COCO layout, perhaps with an auxiliary one of other classes."""

    val: str = Field(description="instances file of the validation images, .json")
    val_images: str = Field(description="folder of the validation images")
    val_list: str | None = Field(None, description="list of validation ids, one per line")
    val_masks: str | None = Field(
        None, description="folder of masks of the validation images, or 'none', as train_masks"
    )
    show_images: bool = Field(False, description="the licence allows its pictures in a published page")
    auxiliary: CocoLayout | None = Field(None, description="pixel-labelled data set of other classes")


class CityscapesParams(_Params):
    """Cityscapes as distributed: ``leftImg8bit/train/TOWN/..._leftImg8bit.png`` and ``gtFine/train/TOWN/...``."""

    name: str = Field("cityscapes", description="name of the data set in tables")
    root: str = Field(description=_ROOT)
    images: str = Field("leftImg8bit", description="folder of images, below root")
    labels: str = Field("gtFine", description="folder of label and instance images, below root")
    train_masks: Literal["none"] | None = Field(
        None, description="'none' = no label images of the training images are read; tags come from instance images"
    )
    val_masks: Literal["none"] | None = Field(None, description="of the validation images, as train_masks")
    train_list: str | None = Field(None, description="list of training ids (aachen_000000_000019), one per line")
    val_list: str | None = Field(None, description="list of validation ids, one per line")
    classes: Literal["all", "vehicles_and_persons", "vehicle_person"] | dict[str, list[str]] = Field(
        "all", description="a group of classes, or class name -> names of labels; the first class is the background"
    )
    label_ids: Literal["labelIds", "labelTrainIds"] = Field(
        "labelIds", description="which label images are read; boxes always come from instanceIds"
    )
    void: Literal["ignore", "background"] = Field(
        "ignore", description="what labels are that the benchmark does not evaluate"
    )
    groups: Literal["box", "none"] = Field(
        "box", description="boxes of regions that hold several objects: one for each connected component, or none"
    )
    min_box_pixels: int = Field(1, ge=1, description="smaller objects make no box")
    show_images: bool = Field(False, description="the licence allows its pictures in a published page")

    @property
    def unmasked(self) -> tuple[str, ...]:
        """The splits whose images have no masks, as the fields say."""
        return _unmasked(self.train_masks, self.val_masks)


class SyntheticParams(_Params):
    """Generated images with exact masks: creatures of several kinds on scenes that go with them."""

    train: int = Field(64, ge=1, description="training images")
    val: int = Field(32, ge=1, description="validation images")
    size: int | tuple[int, int] = Field(96, description="side, or height and width, in pixels")
    classes: int = Field(5, ge=1, le=20, description="kinds of creature, without the background")
    seed: int = Field(0, ge=0, description="another seed, another data set")
    points: int = Field(0, ge=0, description="points on each creature, 0 = the data set has no points")
    background_points: int = Field(
        0, ge=0, description="points on the background of each image, where there are points"
    )
    scribbles: bool = Field(False, description="a stroke through each creature, and through the background")
    train_masks: Literal["exact", "none"] = Field("exact", description=f"of the training images; {_UNMASKED}")
    val_masks: Literal["exact", "none"] = Field("exact", description=f"of the validation images; {_UNMASKED}")
    auxiliary_classes: int = Field(0, ge=0, le=20, description="kinds of the auxiliary data set, 0 = there is none")
    auxiliary_train: int = Field(64, ge=1, description="images of the auxiliary data set")

    @model_validator(mode="after")
    def _background_has_points_with_others(self) -> SyntheticParams:
        if self.background_points and not self.points:
            raise ValueError("background_points: set points too, which are those of the creatures")
        return self

    @model_validator(mode="after")
    def _large_enough(self) -> SyntheticParams:
        if min(self.shape) < 32:
            raise ValueError(f"size must be at least 32 pixels, got {min(self.shape)}")
        return self

    @property
    def unmasked(self) -> tuple[str, ...]:
        """The splits whose images have no masks."""
        return _unmasked(self.train_masks, self.val_masks)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size
