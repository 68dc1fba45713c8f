"""Pictures for a page: a few images with the truth and with what each row made of them.

They travel beside the numbers of a frame and never enter its JSON or CSV. Who collects them asks the licence flag of
the data set first (``show_images``).
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RowMap(_Model):
    """What one row made of one image.

    Attributes:
        method: Label of the row; ``backbone`` its backbone.
        label: PNG of the label map: the pseudo label of a training image, the prediction of a validation image.
        change: PNG of the pixels in which the row differs (``Panel.against``); ``None`` for an image without a mask.
        share: Share of the image's pixels that ``change`` marks, by name of the mark.
    """

    method: str
    backbone: str
    label: bytes
    change: bytes | None
    share: dict[str, float]


class Panel(_Model):
    """One image.

    Attributes:
        split: ``train`` (the maps are pseudo labels) or ``val`` (the maps are predictions).
        name: Id of the image.
        image: PNG of the image.
        truth: PNG of the true mask, in the colours of ``palette``; ``None`` for an image without one.
        maps: One entry for each row.
        against: What ``change`` compares with: the truth, or the name of a row.
    """

    split: Literal["train", "val"]
    name: str
    image: bytes
    truth: bytes | None
    maps: list[RowMap]
    against: str


class Gallery(_Model):
    """All pictures of a page.

    Attributes:
        panels: The images.
        palette: Class name and colour (``#rrggbb``), in index order, then the ignored pixels.
        marks: Name and colour of what ``change`` marks, by split.
        note: How the images were chosen.
    """

    panels: list[Panel]
    palette: list[tuple[str, str]]
    marks: dict[str, list[tuple[str, str]]]
    note: str
