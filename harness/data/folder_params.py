"""Parameters of the data set ``folder``: images, and for each kind of label a file or folder in a known format."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from harness.data.params import POINTS, SCRIBBLES

FORMATS = Literal[
    "csv", "json", "npy", "voc", "yolo", "coco", "labelme", "cvat", "png", "binary", "rgb"
]  # what reads each of them: harness/data/formats
WORDS = ("boxes", "masks", "folders")

Colours = dict[str, str | list[int] | list[str | list[int]]]


class _Params(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SourceParams(_Params):
    """A file or folder of labels. Written as a path alone, everything else has its default."""

    path: str = Field(description="file or folder, relative to root")
    format: FORMATS | None = Field(None, description="null = recognised by the file, or by the files of the folder")
    classes: str | list[str] | None = Field(
        None,
        description="names behind the class numbers of yolo and npy, from 0: a list, or a file (classes.txt, "
        "data.yaml); null = the file classes.txt, obj.names, labels.txt or data.yaml beside them, else the data set's "
        "own classes without the background",
    )
    colours: str | Colours | None = Field(
        None,
        description="of masks in colour: name -> [r, g, b] or '#rrggbb' or several of them, or a file with the columns "
        "name, r, g, b",
    )
    suffix: str = Field("", description="what stands between the id and the dot in names of files, for example _mask")
    units: Literal["pixels", "fraction"] = Field(
        "pixels", description="of the coordinates in a table: pixels, or fractions of the image's width and height"
    )
    missing: Literal["error", "empty", "unmasked"] = Field(
        "error",
        description="an image of which the source says nothing is a defect, shows no class, or, of masks alone, has "
        "none: methods that need masks of a share of the images find them among the others, and nothing is measured "
        "on the split",
    )
    extra: Literal["error", "skip"] = Field(
        "error", description="an image that the source names and that no image folder holds is a defect, or left out"
    )


def _source(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


def _source_or_word(value: object) -> object:
    return value if value in WORDS else _source(value)


Tags = Annotated[Literal["boxes", "masks", "folders"] | SourceParams, BeforeValidator(_source_or_word)]
Masks = Annotated[Literal["none"] | SourceParams, BeforeValidator(lambda v: v if v == "none" else _source(v))]
Boxes = Annotated[Literal["masks"] | SourceParams, BeforeValidator(lambda v: v if v == "masks" else _source(v))]


class LabelParams(_Params):
    """Where images and labels lie; at the top for both splits, in a split for that one alone."""

    images: str | None = Field(
        None, description="folder of images, with its subfolders; an id is the path below it, without suffix"
    )
    tags: Tags | None = Field(
        None,
        description="a source, 'folders' (name of the folder that holds the image), 'boxes' or 'masks' (their "
        "classes); null = 'boxes' where there are some, else 'masks'",
    )
    boxes: Boxes | None = Field(
        None, description="a source, or 'masks' (connected components); null = 'masks' where there are some, else none"
    )
    masks: Masks | None = Field(
        None, description="a source; null or none = there are no masks, and nothing is measured on these images"
    )

    @model_validator(mode="after")
    def _masks_alone_may_be_unmasked(self) -> LabelParams:
        for kind in ("tags", "boxes"):
            source = getattr(self, kind)
            if isinstance(source, SourceParams) and source.missing == "unmasked":
                raise ValueError(f"{kind}.missing: unmasked is said of masks alone; say error or empty")
        return self


class SplitParams(LabelParams):
    """One split: its images, and labels where they differ from those of the other split."""

    list: str | None = Field(None, description="list of ids, one per line; null = all images of the folder")


class FolderParams(LabelParams):
    """A data set of images in folders, with labels as annotation tools write them.

    All paths but ``root`` are relative to ``root``, or absolute.
    """

    name: str = Field(description="name of the data set in tables")
    root: str = Field(description="folder of the data set; a relative one begins where the command is called")
    classes: list[str] | dict[str, int | list[int]] | str = Field(
        description="class names in order, the background first; name -> its mask id or ids; or a file (classes.txt, "
        "data.yaml, COCO .json) of names, before which the background is put unless it is the first"
    )
    names: dict[str, str] = Field(
        {}, description="name in an annotation -> class name, where the two differ, or 'ignore'"
    )
    other: Literal["error", "background", "ignore"] = Field(
        "error", description="what becomes of names, mask ids and colours that no class has"
    )
    ignore_ids: list[int] = Field(
        [255], description="ids of png masks that are neither trained on nor scored; none where a class lists 255"
    )
    absent: list[str] = Field([], description="classes that no training mask shows, on purpose")
    train: SplitParams = Field(SplitParams(), description="the training images")
    val: SplitParams | None = Field(None, description="the validation images; null = see hold_out")
    hold_out: float | None = Field(
        None, gt=0, lt=1, description="in place of val: the share of the training images that validates, by their ids"
    )
    boxes_from: Literal["people", "masks"] = Field(
        "people", description="who made the boxes of a source; 'masks' = computed from masks, which tables say"
    )
    min_box_pixels: int = Field(1, ge=1, description="smaller components of masks are specks: no box, no point")
    saliency: str | None = Field(None, description="folder of saliency maps, grey .png, 255 = salient")
    points: str | None = POINTS
    scribbles: str | None = SCRIBBLES
    exif: Literal["refuse", "stored"] = Field(
        "refuse",
        description="photographs that EXIF turns or mirrors; 'stored' where labels are drawn on stored pixels",
    )
    show_images: bool = Field(False, description="the licence allows its pictures in a published page")

    @model_validator(mode="before")
    @classmethod
    def _listed_255_is_not_ignored(cls, data: Any) -> Any:
        """A class of mask id 255 leaves nothing to ignore, unless ``ignore_ids`` says so."""
        classes = data.get("classes") if isinstance(data, dict) else None
        if not isinstance(classes, dict) or "ignore_ids" in data:
            return data
        listed = [number for ids in classes.values() for number in (ids if isinstance(ids, list) else [ids])]
        return {**data, "ignore_ids": []} if 255 in listed else data

    @model_validator(mode="after")
    def _labels_are_made_of_masks(self) -> FolderParams:
        masks = self.labels("train").masks
        lacking = not isinstance(masks, SourceParams) or masks.missing == "unmasked"
        for kind in ("points", "scribbles"):
            if getattr(self, kind) == "masks" and lacking:
                raise ValueError(f"{kind}: not all training images have masks to make them of, name a file or folder")
        return self

    @model_validator(mode="after")
    def _every_split_has_images(self) -> FolderParams:
        if (self.val is None) == (self.hold_out is None):
            raise ValueError("one of val and hold_out is needed: val: {images: FOLDER}, or hold_out: 0.2")
        for split in ("train", "val"):
            own = getattr(self, split)
            if own is not None and self.images is None and own.images is None:
                raise ValueError(f"{split}.images: a folder of images is needed, there or in the field images")
        return self

    @model_validator(mode="after")
    def _splits_differ(self) -> FolderParams:
        if self.val is None or (self.train.list and self.val.list):
            return self
        if (self.train.images or self.images) == (self.val.images or self.images):
            raise ValueError("train and val have the same images: give each a list or a folder, or say hold_out")
        return self

    def labels(self, split: str) -> LabelParams:
        """What holds for ``split``: its own fields, else those at the top."""
        own = getattr(self, split) or self.train
        return LabelParams(**{name: getattr(own, name) or getattr(self, name) for name in LabelParams.model_fields})
