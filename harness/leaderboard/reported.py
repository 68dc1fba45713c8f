"""Reported numbers beside measured ones: which kind a number of a paper is, and what may stand beside it.

Two kinds are measured here, and only these: predictions on the validation images (``val``) and pseudo labels on the
training images (``pseudo``). A number of any other kind (test images, pseudo labels of validation images, another
metric) has no measured counterpart.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from harness.leaderboard.frame import ReportedNumber, Row

Kind = Literal["val", "pseudo"]

NAMES: dict[Kind, str] = {"val": "val mIoU", "pseudo": "pseudo-label mIoU (train)"}
"""What the measured number of a kind is called, with the split that it is of."""

_KINDS: dict[tuple[str, str], Kind] = {
    ("val miou", "val"): "val",
    ("val miou", ""): "val",
    ("miou", "val"): "val",
    ("pseudo-label miou", "train"): "pseudo",
    ("pseudo-label miou", ""): "pseudo",
}
"""(metric, split) -> kind; an empty split is one that is not confirmed, so that the metric alone speaks."""

_NOT_CONFIRMED = frozenset({"", "not confirmed", "unknown"})


class Measured(NamedTuple):
    """The measured number that stands beside a reported one: its name with its own split, value and interval."""

    name: str
    value: float
    low: float | None
    high: float | None


def kind_of(number: ReportedNumber) -> Kind | None:
    """The kind of a reported number, from its metric and its split; ``None`` for a kind that is not measured here."""
    return _KINDS.get((" ".join(number.metric.lower().split()), _split(number.split)))


def _split(name: str) -> str:
    """``val`` or ``train`` for every spelling of them (``train_aug``, ``val2017``), else the name itself.

    ``val (of CAMs)`` is ``val``: the images decide, not what was made of them.
    """
    lowered = name.lower().strip()
    if lowered in _NOT_CONFIRMED:
        return ""
    if lowered.startswith("trainval"):
        return "trainval"
    return next((split for split in ("train", "val") if lowered.startswith(split)), lowered)


def split_confirmed(number: ReportedNumber) -> bool:
    """Whether the source says on which images the number was measured."""
    return _split(number.split) != ""


def measured_like(row: Row, number: ReportedNumber) -> Measured | None:
    """The measured number of the same kind; ``None`` where that kind is not measured here or the row lacks it."""
    kind = kind_of(number)
    if kind == "val" and row.val_miou is not None:
        return Measured(NAMES[kind], row.val_miou, row.val_miou_low, row.val_miou_high)
    if kind == "pseudo" and row.pseudo_miou is not None:
        return Measured(NAMES[kind], row.pseudo_miou, row.pseudo_miou_low, row.pseudo_miou_high)
    return None


def closest_reported(row: Row) -> ReportedNumber | None:
    """The reported number to set beside the measured ones of a row, the first that fits best.

    A number of predictions on validation images, one whose split is confirmed, one of the same backbone.
    """
    return min(
        row.reported or (),
        key=lambda number: (
            kind_of(number) != "val",
            not split_confirmed(number),
            plain(number.backbone) != plain(row.backbone),
        ),
        default=None,
    )


def plain(name: str | None) -> str:
    """A name without case, blanks and punctuation, so that spellings of one name are equal."""
    return "".join(char for char in (name or "").lower() if char.isalnum())


def reported_protocol(number: ReportedNumber) -> str:
    """The settings of a reported number in short, for example ``voc2012 val, VGG16, ImageNet, CRF``.

    A number that is not of predictions on validation images begins with its metric.
    """
    metric = "" if kind_of(number) == "val" else f"{number.metric}, "
    return f"{metric}{reported_settings(number)}"


def reported_settings(number: ReportedNumber) -> str:
    """The same without the metric, for a place that names it anyway."""
    crf = {True: "CRF", False: "no CRF", None: None}[number.crf]
    parts = (reported_images(number), number.backbone, number.init, crf)
    return ", ".join(part for part in parts if part)


def reported_images(number: ReportedNumber) -> str:
    """Data set and split of a reported number, for example ``voc2012 val``."""
    if split_confirmed(number):
        return f"{number.dataset} {number.split}"
    return f"{number.dataset}, split not confirmed"
