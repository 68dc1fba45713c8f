"""Parameters of labels and predictions from elsewhere, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from harness.contract import TAGS, ConfigError, InputFile, InputFolder, Need, Round, Stated, Use

Base = Literal["auto", 0, 1]
Colour = tuple[int, int, int]

_SUPERVISION = "stated by you: what the files were made with, for example I+S; none, or letters of a table joined by +"


@dataclass(frozen=True, kw_only=True)
class Numbering:
    """How the numbers in a file become classes, and what is stated of the files."""

    supervision: str = field(metadata={"help": _SUPERVISION})
    annotation_hours: float | None = field(
        default=None, metadata={"help": "stated by you; null = what is published for that supervision"}
    )
    source: str = field(default="", metadata={"help": "where the files come from, for readers of the table"})
    base: Base = field(
        default="auto",
        metadata={"help": "number of the first foreground class: 1 behind a background 0, or 0 without one"},
    )
    numbers: dict[int, str] | None = field(
        default=None, metadata={"help": "class of each number in the files, in place of base: {0: background, 8: cat}"}
    )
    other: Literal["error", "background", "ignore"] = field(
        default="error", metadata={"help": "what numbers that name no class become"}
    )
    colours: Literal["voc"] | dict[str, Colour] | None = field(
        default=None, metadata={"help": "of RGB files: {cat: [64, 0, 0], ...}, or voc for the palette of PASCAL VOC"}
    )
    suffix: str | None = field(
        default=None, metadata={"help": "what follows the image's id in file names; null = .png, .npy, .npz or .pkl"}
    )
    missing: Literal["refuse", "ignore", "background"] = field(
        default="refuse", metadata={"help": "what an image without a file gets: ignore = 255 everywhere"}
    )

    def __post_init__(self) -> None:
        stated(self)
        if self.numbers is not None and self.base != "auto":
            raise ConfigError("base and numbers both say which class a number is; take one of them away")


@dataclass(frozen=True, kw_only=True)
class LabelsFromParams(Numbering):
    """Parameters of ``labels_from``."""

    folder: InputFolder = field(metadata={"help": "a file for each training image, relative to the benchmark file"})
    check_tags: bool = field(
        default=True, metadata={"help": "refuse a file that names a class its image is not tagged with"}
    )
    threshold: float | None = field(
        default=None, metadata={"help": "background score of maps without one; null = the protocol's cam.threshold"}
    )
    normalise: bool = field(
        default=False, metadata={"help": "cut maps at 0 and divide each by its maximum; else they must lie in [0, 1]"}
    )


@dataclass(frozen=True, kw_only=True)
class PredictionsFromParams(Numbering):
    """Parameters of ``predictions_from``: a folder, or one file of all predictions."""

    folder: InputFolder | None = field(default=None, metadata={"help": "a file for each validation image"})
    file: InputFile | None = field(default=None, metadata={"help": "the .pkl that mmseg writes with --out"})
    order: InputFile | None = field(
        default=None, metadata={"help": "ids in the order of file, one a line; null = the order of the validation list"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.folder is None) == (self.file is None):
            raise ConfigError("predictions_from: give folder, or file, and not both")


def stated(params: Numbering) -> Stated:
    """What the author of the benchmark says of the files."""
    return Stated(params.supervision, params.annotation_hours, params.source)


def label_needs(params: LabelsFromParams) -> tuple[Need, ...]:
    """Tags, where the classes of a file are compared with them."""
    instead = "set check_tags: false of labels_from, and base where its files are no label maps"
    return (Need(TAGS.kind, instead=instead),) if params.check_tags else ()


def label_rounds(params: LabelsFromParams) -> tuple[Round, ...]:
    """The protocol's segmenter, trained on the labels."""
    return (Round(Use("labels_from", plain(params))),)


def prediction_rounds(params: PredictionsFromParams) -> tuple[Round, ...]:
    """Nothing is trained; the predictions stand where a segmenter's would."""
    return (Round(Use("no_labels"), segmenter=Use("predictions_from", plain(params))),)


def plain(params: Numbering) -> Mapping[str, Any]:
    """Parameters by name, as a component of the same parameters takes them."""
    return asdict(params)
