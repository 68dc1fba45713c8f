"""The record of one cell (method x backbone x seed): what was run, with what, and where its confusions lie.

A record is one JSON file, its confusions are ``.npz`` files beside it. Every number of a table is computed from these
files alone. Import this module where it is needed: it loads pydantic.

Anyone may have written a record, so the models are strict: what passes them can be counted, added, looked up in a store
and named in a file name without another check. ``harness.records.files`` reads the file.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from harness.contract.pretrained import LETTER, NAME
from harness.contract.protocol import ScoringSettings
from harness.contract.scores import ScoreName, score_names
from harness.contract.supervision import with_networks

SCHEMA_VERSION = 1

MOST_CLASSES = 255
"""Classes including background: a label map is uint8, and 255 is no class."""

FileStem = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]
"""A name that files are called after: it cannot leave its folder."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Amount = Annotated[float, Field(ge=0, le=1e12)]
"""Seconds or MiB: sums of them stay finite."""

SplitName = Annotated[str, Field(pattern=r"^(train|val)$")]

_NEED = r"[A-Z][a-z]*(\d{1,3}(\.\d{1,6})?(e-\d\d)?%)?(\(aux\))?"
Supervised = Annotated[str, Field(pattern=rf"^(none|{_NEED}(\+{_NEED})*)$")]
"""As ``harness.contract.letters`` writes it."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class CountsFile(_Model):
    """A file of counts beside the record, and its content hash."""

    file: str = Field(pattern=r"^[^/\x00]+\.npz$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Score(_Model):
    """One scored set of label maps.

    Attributes:
        split: ``train`` or ``val``.
        confusion: File name of the per-image confusions, beside the record.
        sha256: Content hash of that file.
        images: How many images were scored.
        counts: What else was counted per image, by kind (``harness.scoring.image_counts``).
    """

    split: Literal["train", "val"]
    confusion: str = Field(pattern=r"^[^/\x00]+\.npz$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    images: int = Field(ge=1, lt=2**53)
    counts: dict[Literal["boundary", "size"], CountsFile] = Field({}, exclude_if=lambda value: not value)


class Oracle(_Model):
    """Threshold sweep of soft scores against hidden masks: diagnostic only, never used for a choice.

    Attributes:
        thresholds: Background scores that were tried, ascending.
        miou: Data-set mIoU at each, fractions of 1.
        best_threshold: The threshold of the largest mIoU.
        best_miou: That mIoU.
        area: Mean of ``miou`` over the thresholds (area under the IoU-threshold curve).
    """

    thresholds: list[float]
    miou: list[Share]
    best_threshold: float
    best_miou: Share
    area: Share

    @model_validator(mode="after")
    def _one_each(self) -> Oracle:
        if len(self.thresholds) != len(self.miou):
            raise ValueError(f"{len(self.thresholds)} thresholds and {len(self.miou)} miou, there must be one for each")
        return self


class Failure(_Model):
    """Why a cell has no numbers: stage, exception class, its sentence and the log file."""

    stage: str
    kind: str
    message: str
    log: str | None = None


class StageInfo(_Model):
    """One stage of the cell. Time and peaks are those of the run that computed the artifact; no GPU, no GPU peak."""

    name: str
    key: str = Field(pattern=r"^[0-9a-z]{1,64}$")
    seconds: Amount | None = None
    peak_mib: Amount | None = None
    peak_gpu_mib: Amount | None = None
    device: str | None = None


class Access(_Model):
    """How often a kind of supervision was read, and of how many different images."""

    reads: Count
    images: Count


class ComponentInfo(_Model):
    """A generator, refiner or segmenter by name with its parameters."""

    name: str
    params: dict[str, Any]


class RoundInfo(_Model):
    """One round as it ran; without a segmenter it ends with its pseudo labels.

    Attributes:
        labels: False where its generator only stands for one, and its labels are not scored.
    """

    generator: ComponentInfo
    refiners: list[ComponentInfo]
    segmenter: ComponentInfo | None
    warm_start: bool = False
    labels: bool = Field(default=True, exclude_if=bool)


class StatedInfo(_Model):
    """What the author of the benchmark file states of files that the row is made from; nothing of it was metered.

    Attributes:
        supervision: Of the labels or predictions in the files.
        hours: Annotation hours of the training images; ``None`` = the published costs of ``supervision``.
        source: Where the files come from.
        notes: What a check of the files found that a reader should know.
    """

    supervision: Supervised
    hours: Amount | None = None
    source: str = ""
    notes: list[str] = []


class PretrainedInfo(_Model):
    """A network that the row uses and that was trained elsewhere (``harness.contract.Pretrained``)."""

    name: str = Field(pattern=f"^{NAME}$")
    trained_on: str
    letter: str = Field(pattern=f"^{LETTER}$")

    @property
    def mark(self) -> str:
        """What the supervision column shows of it."""
        return f"{self.letter}({self.name})"


class ReportedInfo(_Model):
    """A number that a paper states (``harness.contract.Reported``); ``None`` = not confirmed."""

    value: float
    metric: str
    dataset: str
    split: str
    source: str
    backbone: str | None = None
    init: str | None = None
    crf: bool | None = None


class PluginInfo(_Model):
    """A plugin that took part: distribution and version.

    Attributes:
        source_sha256: Hash of its source, in records from before ``RunRecord.code`` held one for each file.
    """

    name: str
    distribution: str | None
    version: str | None
    source_sha256: str | None = None


class TagNoise(_Model):
    """Mistakes in the tags of training images: each tag, and each class without a tag, is drawn by itself.

    Attributes:
        drop: Probability that a tag is left out.
        add: Probability that a class that an image does not show is tagged.
        seed: Other mistakes for another seed.
    """

    model_config = ConfigDict(frozen=True)

    drop: Share = 0.0
    add: Share = 0.0
    seed: int = Field(0, ge=0, lt=2**53)


class DatasetInfo(_Model):
    """The data set as the protocol sees it: classes, split sizes and content hashes by ``split/kind``.

    Attributes:
        show_images: Whether the licence allows pictures of it in a published page.
        boxes_from_masks: Classes whose boxes nobody drew.
        made_from_masks: Further kinds of supervision that nobody drew, ``points`` or ``scribbles``.
        unmasked: Splits without masks, on which nothing could be scored.
        tag_noise: Mistakes that were put into the tags of training images.
    """

    name: str
    classes: list[str] = Field(min_length=1, max_length=MOST_CLASSES)
    images: dict[str, Count]
    digests: dict[str, str]
    show_images: bool = False
    boxes_from_masks: list[str] = Field(default=[], exclude_if=lambda value: not value)
    made_from_masks: list[str] = Field(default=[], exclude_if=lambda value: not value)
    unmasked: list[SplitName] = Field(default=[], exclude_if=lambda value: not value)
    tag_noise: TagNoise | None = Field(default=None, exclude_if=lambda value: value is None)

    def identity(self) -> dict[str, Any]:
        """What tells it from other data, as JSON values: all but what is only said of it to readers."""
        return self.model_dump(mode="json", exclude={"show_images", "boxes_from_masks", "made_from_masks"})


class RunRecord(_Model):
    """One cell."""

    schema_version: int = SCHEMA_VERSION
    benchmark: FileStem
    fingerprint: Digest
    protocol: dict[str, dict[str, Any]] = Field(description="sections; ``scoring`` is read, the others are shown")
    dataset: DatasetInfo
    label: str = Field(min_length=1, description="name of the table row")
    method: str
    params: dict[str, Any]
    rounds: list[RoundInfo] = Field(min_length=1)
    reference: bool = False
    reconstruction: bool = False
    trains_backbone: bool = Field(default=False, description="although the protocol freezes the backbone")
    paper: str | None = None
    year: int | None = Field(None, ge=0, le=9999)
    reported: list[ReportedInfo] = []
    supervision: Supervised
    stated: StatedInfo | None = Field(default=None, exclude_if=lambda value: value is None)
    pretrained: list[PretrainedInfo] = Field(default=[], exclude_if=lambda value: not value)
    backbone: str
    init: str = Field(description="what the initial weights were trained on; 'random' without weights")
    init_sha256: Digest | None = None
    seed: int = Field(ge=0)
    status: Literal["ok", "failed", "timeout"]
    error: Failure | None = None
    scores: dict[str, Score] = Field(default={}, description="'pseudo' (last round, train), 'pseudo_r1', ..., 'val'")
    oracle: Oracle | None = None
    label_coverage: Share | None = Field(None, description="share of training pixels whose pseudo label is not 255")
    stages: list[StageInfo] = []
    meter: dict[str, Access] = {}
    plugins: list[PluginInfo] = []
    code: dict[str, str] = Field(default={}, description="hash of each file's syntax tree that some stage ran")
    environment: dict[str, Any] = {}

    @field_validator("protocol")
    @classmethod
    def _scoring(cls, protocol: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Refuse a section ``scoring`` that cannot be followed."""
        try:
            ScoringSettings.model_validate(protocol.get("scoring", {}))
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"scoring.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        return protocol

    @model_validator(mode="after")
    def _scores_of_its_rounds(self) -> RunRecord:
        for name in self.scores:
            try:
                split = ScoreName.parse(name, len(self.rounds)).split
            except ValueError as error:
                raise ValueError(f"scores.{name}: {error}") from None
            if split in self.dataset.unmasked:
                raise ValueError(f"scores.{name}: dataset.unmasked says that the {split} images have no masks")
        if self.oracle is not None and "train" in self.dataset.unmasked:
            raise ValueError("oracle: dataset.unmasked says that the train images have no masks")
        return self

    @property
    def all_supervision(self) -> str:
        """``supervision`` and the networks that were trained elsewhere, for example ``I+L(CLIP)``."""
        return with_networks(self.supervision, (network.mark for network in self.pretrained))

    @property
    def called_for(self) -> list[ScoreName]:
        """The scores that its rounds call for, as far as its data set has masks."""
        return [name for name in self._score_names if name.split not in self.dataset.unmasked]

    @property
    def unscored(self) -> list[ScoreName]:
        """The others: label maps that are there, and that nothing could be measured of."""
        return [name for name in self._score_names if name.split in self.dataset.unmasked]

    @property
    def label_maps(self) -> list[str]:
        """Names of the scores whose label maps the cell made, whether or not there were masks to count them with."""
        return [*self.scores, *(map(str, self.unscored) if self.status == "ok" else ())]

    @property
    def _score_names(self) -> list[ScoreName]:
        names = score_names(len(self.rounds), segmenter=self.rounds[-1].segmenter is not None)
        return [name for name in names if name.round is None or self.rounds[name.round - 1].labels]

    @property
    def trainings(self) -> int:
        """How many trainings of the protocol's steps its last segmenter has seen: warm-started rounds add up."""
        if self.rounds[-1].segmenter is None:
            return 1
        began_anew = [place for place, item in enumerate(self.rounds) if not item.warm_start]
        return len(self.rounds) - max(began_anew, default=0)

    @property
    def scoring(self) -> ScoringSettings:
        """How its images were scored."""
        return ScoringSettings.model_validate(self.protocol.get("scoring", {}))
