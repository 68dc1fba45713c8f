"""The settings that every method of a benchmark shares, as strict models.

A component reads a section through ``ctx.settings["cam"]`` after declaring ``reads=("cam",)``; only
declared sections enter its stage key. Import this module where it is needed: it loads pydantic.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

SECTIONS = ("backbone", "freeze", "classifier", "cam", "segmenter", "test", "scoring")

T = TypeVar("T")

Listed = Annotated[T, BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)]
"""A tuple that a list may stand for, as YAML and JSON have no tuples."""
Scale = Annotated[float, Field(gt=0)]
Scales = Listed[Annotated[tuple[Scale, ...], Field(min_length=1)]]


class Section(BaseModel):
    """A strict, frozen group of settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class BackboneSettings(Section):
    """Backbone and initial weights of one cell.

    ``weights`` is a path, a URL or ``None`` for random initial weights. ``weights_sha256`` is filled in by the harness,
    so that neither path nor address enters a key: of a file all digits, of a download those that pin it.
    """

    name: str = Field(description="name of a registered backbone")
    weights: str | None = Field(None, description="file or address of the initial weights; null = random")
    trained_on: str | None = Field(None, description="data set that the weights were trained on")
    weights_sha256: str | None = Field(None, description="filled in by the harness: SHA-256, or its first digits")


class OptimSettings(Section):
    """Optimiser and schedule of one training.

    The learning rate falls as lr * (1 - t/T)^power from ``lr`` after ``warmup`` linear iterations.
    """

    iterations: int = Field(ge=0, description="training steps T; 0 leaves the network untrained")
    batch_size: int = Field(16, ge=1, description="images per step, over all processes; every step has as many")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="SGD with momentum, or AdamW with torch's betas")
    lr: float = Field(0.01, gt=0, description="learning rate of the backbone at its peak")
    head_lr_mult: float = Field(10.0, gt=0, description="all other layers learn at lr times this")
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD; AdamW has none")
    weight_decay: float = Field(5e-4, ge=0, description="of every layer; AdamW leaves biases and norms out")
    power: float = Field(0.9, ge=0, description="exponent of the falling learning rate; 0 = constant")
    warmup: int = Field(0, ge=0, description="steps in which the learning rate rises linearly to lr")
    freeze_bn: bool = Field(False, description="keep the backbone's BatchNorm statistics and affine fixed")
    amp: bool | Literal["bf16", "fp16"] = Field(
        False,
        description="mixed precision: true = on GPUs only, bf16 where they have it, else fp16; or a type by name",
    )


class AugmentSettings(Section):
    """Random scale, crop, flip and colour jitter, alike for every method.

    A side ``s`` is drawn uniformly from ``scale``; the image is resized by ``s`` (``base`` pixels on its long side
    when given, else its own size), padded and cropped to ``crop`` x ``crop``.
    """

    crop: int = Field(ge=16, description="side of the square training crop in pixels")
    base: int | None = Field(None, ge=16, description="long side before the random scale; null = the image's own")
    scale: Listed[tuple[Scale, Scale]] = Field(
        (0.75, 1.5), description="smallest and largest random scale, drawn uniformly"
    )
    flip: bool = Field(True, description="mirror half of the images, left to right")
    colour: float = Field(0.3, ge=0, le=1, description="strength of brightness, contrast and saturation jitter")


class FreezeSettings(Section):
    """The backbone keeps its pretrained weights, and its features of a fixed set of augmented views are stored.

    All trainings of the protocol see these views and no others; a method that trains a backbone of its own is free.
    """

    views: int = Field(8, ge=1, le=1000, description="augmented views of each training image")
    levels: Annotated[Listed[tuple[int, ...]], Field(min_length=1)] | None = Field(
        None, description="stored levels of the backbone, 0 the shallowest, -1 the deepest; null = all but level 0"
    )
    augment: AugmentSettings = Field(description="of the views; those of classifier and segmenter must be equal to it")
    output_stride: int = Field(16, ge=1, description="of the backbone; those of classifier and segmenter must be equal")

    def stored(self, count: int) -> tuple[int, ...]:
        """The stored ones of ``count`` levels, shallow to deep, counted from 0."""
        if self.levels is None:
            return tuple(range(min(1, count - 1), count))
        return tuple(sorted({range(count)[level] for level in self.levels}))


class ClassifierSettings(Section):
    """The image classifier whose CAMs tag-supervised methods share."""

    optim: OptimSettings = Field(description="optimiser and schedule")
    augment: AugmentSettings = Field(description="augmentation of the training images")
    output_stride: int = Field(
        16, ge=1, description="image pixels per pixel of the deepest level, as the backbone offers"
    )
    levels: Listed[Annotated[tuple[int, ...], Field(min_length=1)]] = Field(
        (-1,), description="backbone levels that feed the 1x1 class convolution, 0 the shallowest, -1 the deepest"
    )


class TileSettings(Section):
    """Tiles of an image, each of which goes through the network on its own ("multi-crop").

    ``released``: inner tiles are ``stride`` wide, the last is ``crop`` wide and alone overlaps, and each is resized
    to ``crop`` x ``crop`` whatever its aspect. ``overlap``: all tiles are ``crop`` wide and keep their aspect.
    """

    crop: int = Field(448, ge=32, description="side of a tile, in pixels of the scaled image")
    stride: int = Field(300, ge=16, description="pixels from tile to tile, at most crop")
    grid: Literal["released", "overlap"] = Field("released", description="how the last tile of a row is cut, see above")

    @model_validator(mode="after")
    def _no_gaps(self) -> TileSettings:
        if self.stride > self.crop:
            raise ValueError(f"stride must not exceed crop, got {self.stride} and {self.crop}")
        return self


class CamSettings(Section):
    """CAM inference of the training images."""

    scales: Scales = Field((0.5, 1.0, 1.5, 2.0), description="sizes of the image whose CAMs are summed, 1 = base")
    flip: bool = Field(True, description="add the CAMs of the mirrored image")
    base: int | None = Field(None, ge=16, description="long side in pixels at scale 1; null = the image's own size")
    normalise: Literal["max", "minmax"] = Field("max", description="each class's map over its maximum, or to [0, 1]")
    threshold: float = Field(
        0.25, gt=0, lt=1, description="score of the background, fixed in advance and not tuned on masks"
    )
    stride: int = Field(4, ge=1, description="stored maps are this many times smaller than the image")
    tiles: TileSettings | None = Field(
        None,
        exclude_if=lambda value: value is None,  # fingerprints of benchmarks without tiles stay as they were
        description="cut every scale into tiles and average where they overlap; null = whole images",
    )


class SegmenterSettings(Section):
    """The mmseg segmenter that every method trains on its pseudo labels.

    ``config`` is an mmseg model configuration (a Python file); the harness fills in backbone, channels and classes.
    ``config_sha256`` is filled in by the harness; the path never enters a fingerprint.
    """

    config: str = Field(description="file of the mmseg model, relative to the benchmark file")
    config_sha256: str | None = Field(
        None, description="filled in by the harness: hash of the file and its _base_ files"
    )
    optim: OptimSettings = Field(description="optimiser and schedule")
    augment: AugmentSettings = Field(description="augmentation of the training images")
    output_stride: int = Field(
        16, ge=1, description="image pixels per pixel of the deepest level, as the backbone offers"
    )


class TestSettings(Section):
    """How the trained segmenter predicts the scored images."""

    scales: Scales = Field((1.0,), description="sizes of the image whose probabilities are averaged, 1 = base")
    flip: bool = Field(False, description="average with the mirrored image")
    base: int | None = Field(None, ge=16, description="long side in pixels at scale 1; null = the image's own size")
    crf: bool = Field(False, description="refine the probabilities by a dense CRF of fixed kernels")


class ScoringSettings(Section):
    """Which pixels and classes count.

    Pixels whose truth is 255 are not scored. A pseudo label of 255 on a scored pixel is a miss: it counts against
    the class of the truth and for no class. A class enters the mean when the truth of the scored images holds it.
    """

    version: int = Field(1, description="of these rules; rows of another version are not compared")
    absent_class: Literal["leave_out"] = Field("leave_out", description="a class without a true pixel has no IoU")
    pseudo_ignore: Literal["miss"] = Field("miss", description="an ignored pixel of a pseudo label counts as wrong")
    dev_fraction: float = Field(0.0, ge=0, lt=1, description="hashed share of val kept for choices, never scored")
    bootstrap: int = Field(1000, ge=100, le=100_000, description="resamples of the images for an interval")
    counts: Listed[tuple[Literal["boundary", "size"], ...]] = Field(
        (),
        exclude_if=lambda value: not value,  # fingerprints of benchmarks that ask for nothing stay as they were
        description="what else is counted per image, for metrics that need more than the confusion",
    )

    @field_validator("counts")
    @classmethod
    def _in_one_order(cls, counts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(counts)))


class Protocol(Section):
    """Everything that is alike for all methods, except backbone and seed, which are axes of the benchmark."""

    classifier: ClassifierSettings = Field(description="the image classifier; needed even where no row reads it")
    cam: CamSettings = Field(CamSettings(), description="how its activation maps are computed")
    segmenter: SegmenterSettings = Field(description="the network that every row trains")
    test: TestSettings = Field(TestSettings(), description="how it predicts the validation images")
    scoring: ScoringSettings = Field(ScoringSettings(), description="which pixels and classes count")
    freeze: FreezeSettings | None = Field(
        None,
        exclude_if=lambda value: value is None,  # fingerprints of benchmarks that train the backbone stay as they were
        description="keep the backbone's weights fixed and store its features once for all rows; null = it is trained",
    )

    @model_validator(mode="after")
    def _one_set_of_views(self) -> Protocol:
        if self.freeze is None:
            return self
        for section in ("classifier", "segmenter"):
            for field in ("augment", "output_stride"):
                if getattr(getattr(self, section), field) != getattr(self.freeze, field):
                    raise ValueError(
                        f"{section}.{field} must equal freeze.{field}, as all trainings see the same stored views; "
                        "write it once as a YAML anchor"
                    )
        return self
