"""Frozen, typed records that registration hooks yield. They describe; they never do work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.contract.errors import ConfigError
from harness.contract.inputs import IMAGENET, InputRule
from harness.contract.pretrained import Pretrained
from harness.contract.supervision import Need, parse_letters

CONTRACT = 1
"""The contract number that this host speaks."""

SUPPORTED_CONTRACTS = frozenset({1})

MOST_HOURS = 1_000_000_000
"""Annotation hours that can be stated."""

COUNTS = ("boundary", "size")
"""What a benchmark can count of each image beside the confusion (``protocol.scoring.counts``).

``boundary (..., 3, C)``: intersection, truth and prediction of the pixels near the boundary of each class.
``size (..., 3, 3, C)``: the same areas of small, medium and large objects. Both are defined in ``docs/protocol.md``.
"""

Lazy = str | Callable[..., Any]
"""A callable, or ``"module:attribute"`` that is imported when it is first used."""


@dataclass(frozen=True)
class NoParams:
    """The parameter type of a component without parameters."""


@dataclass(frozen=True)
class Reported:
    """A number that a paper or its authors state, with what is needed to set it beside a measured one.

    Attributes:
        value: Fraction of 1, for example 0.685.
        metric: For example ``val mIoU`` or ``pseudo-label mIoU``.
        dataset: For example ``voc2012``.
        split: For example ``val``, ``train``, ``train_aug``.
        backbone: As the source names it; ``None`` = not confirmed.
        init: What the initial weights were trained on; ``None`` = not confirmed.
        crf: Whether a dense CRF was used at test time; ``None`` = not confirmed.
        source: Where the number stands.
    """

    value: float
    metric: str
    dataset: str
    split: str
    source: str
    backbone: str | None = None
    init: str | None = None
    crf: bool | None = None


@dataclass(frozen=True)
class Claim:
    """A comparison that a paper states, as data, so that a table can answer it.

    Attributes:
        left: Name of a row (a method's name, or the name of a row in a benchmark file).
        right: Name of the row it is compared with.
        source: Where the claim stands.
        size: Reported difference left - right as a fraction of 1 (0.021 = 2.1 points), or left / right where
            ``relative``; ``None`` = only the direction is stated.
        direction: ``>`` (left is better), ``<``, ``=`` (no difference), or ``>=`` (left reaches ``size`` of right;
            only with ``relative``).
        metric: ``val mIoU`` or ``pseudo-label mIoU``.
        relative: True when ``size`` is the ratio left / right, for example "98 % of full supervision".
        setting: Data set, split, backbone as the source names them.
        text: The claim in one sentence.
    """

    left: str
    right: str
    source: str
    size: float | None = None
    direction: str = ">"
    metric: str = "val mIoU"
    relative: bool = False
    setting: str = ""
    text: str = ""


@dataclass(frozen=True)
class Card:
    """Where a component comes from: paper, year, licence, reported numbers, notes for the reader.

    ``reconstruction`` labels parts that no source confirms; the label is shown in the table.
    """

    title: str
    paper: str | None = None
    year: int | None = None
    licence: str | None = None
    reconstruction: bool = False
    reported: tuple[Reported, ...] = ()
    notes: str = ""
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True)
class _Record:
    """What all records share.

    Attributes:
        name: Lower case letters, digits, ``_``, ``-`` and ``.``; unique among records of its kind.
        factory: Called with one argument, the validated parameters, when the component is used.
        params: A dataclass or pydantic model: its fields are the component's parameters with
            types, defaults and help (``metadata={"help": ...}`` or ``Field(description=...)``).
        card: Origin and notes.
        summary: One line for listings.
        contract: The contract number that the plugin was written for.
    """

    name: str
    factory: Lazy
    params: type = NoParams
    card: Card | None = None
    summary: str = ""
    contract: int = CONTRACT


@dataclass(frozen=True)
class SharedStage:
    """An expensive stage that several methods may share (a trained classifier, its CAMs, saliency).

    Two methods that ask for an equal stage (same name, parameters, upstream stages, source, and
    protocol sections) get one artifact: it is computed once.

    Attributes:
        name: Name under which the asking component finds the artifact (``ctx.input(name)``).
        run: Callable or ``"module:attr"``, called as ``run(params, view, ctx)``; writes its files
            into ``ctx.out``.
        params: JSON-serialisable parameters; part of the key, and so is the order of a mapping.
        needs: Supervision of the training images that the stage sees.
        reads: Protocol sections that the stage may read through ``ctx.settings``; part of the key.
        after: Stages whose artifacts it reads.
        code: Importable modules or packages whose source enters the key, beside that of ``run``.
    """

    name: str
    run: Lazy
    params: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[Need, ...] = ()
    reads: tuple[str, ...] = ()
    after: tuple[SharedStage, ...] = ()
    code: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stated:
    """What the author of a benchmark file says of labels or predictions that were made elsewhere.

    A meter sees that files were read, and nothing of how they were made. Tables therefore show this in place of what
    the component needs, and say that it was stated.

    Attributes:
        supervision: As ``letters`` writes it, for example ``I+S``; see ``parse_letters``.
        hours: Annotation hours of the training images; ``None`` = the published costs of ``supervision``.
        source: Where the files come from, in the author's words.

    Raises:
        ConfigError: ``supervision`` names an unknown kind, or ``hours`` is no possible number.
    """

    supervision: str
    hours: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        parse_letters(self.supervision)
        if self.hours is not None and not 0 <= self.hours <= MOST_HOURS:
            raise ConfigError(f"annotation_hours: must lie between 0 and {MOST_HOURS:,}, got {self.hours}")


@dataclass(frozen=True)
class GeneratorRecord(_Record):
    """A pseudo-label generator; the factory returns a ``harness.contract.Generator``.

    Attributes:
        needs: Declared supervision, or a callable from parameters to it.
        uses: Shared stages it reads, or a callable from parameters to them.
        reads: Protocol sections it may read through ``ctx.settings``.
        uses_previous: True when it needs the segmenter of the round before.
        fits: True when it trains something of its own (its ``fit`` is then a stage that resumes).
        random: True when ``generate`` itself draws random numbers (``ctx.seed``); labels that are computed from
            supervision alone are otherwise made once for all seeds.
        trains_backbone: Whether it trains a backbone also where the protocol freezes it, or a callable from parameters
            to that; a table then marks the row.
        stated: What the author of the benchmark says of the labels' supervision, where they come from files, as a
            callable from parameters to it.
        check: Checks the files that it reads, when the run is planned: called as ``check(params, view)`` with the view
            that ``generate`` will get, raises ``DataError`` or ``ConfigError``, and returns what a reader of the table
            should know of the files, in one clause, or nothing.
        placeholder: True when its labels say nothing: they are not scored, and images whose label is 255 everywhere
            stay in the training. For a segmenter that ``predicts``, or that makes its labels while it trains.
        pretrained: Networks beside the protocol's backbone that were trained elsewhere, or a callable from parameters.
    """

    needs: tuple[Need, ...] | Callable[[Any], tuple[Need, ...]] = ()
    uses: tuple[SharedStage, ...] | Callable[[Any], tuple[SharedStage, ...]] = ()
    reads: tuple[str, ...] = ()
    uses_previous: bool = False
    fits: bool = False
    random: bool = False
    trains_backbone: bool | Callable[[Any], bool] = False
    stated: Callable[[Any], Stated] | None = None
    check: Lazy | None = None
    placeholder: bool = False
    pretrained: tuple[Pretrained, ...] | Callable[[Any], tuple[Pretrained, ...]] = ()


@dataclass(frozen=True)
class RefinerRecord(_Record):
    """Turns pseudo labels into better ones; the factory returns a ``harness.contract.Refiner``.

    ``needs``, ``uses``, ``reads``, ``random``, ``trains_backbone``, ``fits``, ``check`` and ``pretrained`` as in
    ``GeneratorRecord``.
    """

    needs: tuple[Need, ...] | Callable[[Any], tuple[Need, ...]] = ()
    uses: tuple[SharedStage, ...] | Callable[[Any], tuple[SharedStage, ...]] = ()
    reads: tuple[str, ...] = ()
    random: bool = False
    trains_backbone: bool | Callable[[Any], bool] = False
    fits: bool = False
    check: Lazy | None = None
    pretrained: tuple[Pretrained, ...] | Callable[[Any], tuple[Pretrained, ...]] = ()


@dataclass(frozen=True)
class SegmenterRecord(_Record):
    """Transforms the protocol's mmseg configuration; the factory returns a ``harness.contract.Segmenter``.

    ``needs``, ``uses``, ``reads`` and ``trains_backbone`` as in ``GeneratorRecord``: extra supervision in training.

    Attributes:
        trains: False when it has no network to train, as a reference row; such stages count no GPU hours.
        predicts: True when it has no training at all: its ``predict`` gives the predictions, for example from files.
        stated: As in ``GeneratorRecord``, of the predictions.
        check: As in ``GeneratorRecord``, with the view that ``predict`` will get.
        pretrained: As in ``GeneratorRecord``.
        unfit: Says which backbones it cannot be trained on, when the run is planned: called as ``unfit(name, frozen)``
            with the name of a backbone and whether the protocol freezes it, returns why not, or an empty text.
    """

    needs: tuple[Need, ...] | Callable[[Any], tuple[Need, ...]] = ()
    uses: tuple[SharedStage, ...] | Callable[[Any], tuple[SharedStage, ...]] = ()
    reads: tuple[str, ...] = ()
    trains: bool = True
    trains_backbone: bool | Callable[[Any], bool] = False
    predicts: bool = False
    stated: Callable[[Any], Stated] | None = None
    check: Lazy | None = None
    pretrained: tuple[Pretrained, ...] | Callable[[Any], tuple[Pretrained, ...]] = ()
    unfit: Lazy | None = None


@dataclass(frozen=True)
class Use:
    """A component by name with its parameters."""

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Round:
    """generator -> refiners -> segmenter.

    Attributes:
        warm_start: Begin the segmenter from the weights of the previous round's segmenter.
    """

    generator: Use
    refiners: tuple[Use, ...] = ()
    segmenter: Use = Use("plain")
    warm_start: bool = False


@dataclass(frozen=True)
class MethodRecord:
    """A named list of rounds.

    Attributes:
        rounds: One or more rounds, or a callable from parameters to them.
        reference: True for a reference row (full supervision, all background, ...).
    """

    name: str
    rounds: tuple[Round, ...] | Callable[[Any], tuple[Round, ...]]
    params: type = NoParams
    card: Card | None = None
    summary: str = ""
    contract: int = CONTRACT
    reference: bool = False


@dataclass(frozen=True)
class DatasetRecord(_Record):
    """A data set reader; the factory returns a ``harness.contract.Dataset``.

    Attributes:
        show_images: True when the licence allows pictures of it in a published page.
    """

    show_images: bool = False


@dataclass(frozen=True)
class BackboneRecord(_Record):
    """A backbone by its mmseg configuration.

    The factory is called as ``factory(output_stride)`` and returns the mmseg ``backbone`` dictionary.

    Attributes:
        channels: Channels of the feature levels that the configuration returns, shallow to deep.
        output_strides: Output strides that the factory accepts.
        init: Default initial weights (mmseg scheme, URL or path), ``None`` = random.
        init_sha256: SHA-256 of those weights; a URL needs it unless its file name ends in the first digits.
        trained_on: What those weights were trained on.
        size_rule: A note for readers; nothing reads it (kept for plugins of contract 1, ``inputs`` is what counts).
        inputs: Mean, standard deviation and sides of the images that it wants to see.
        family: Of many backbones that one record stands for: called with what follows ``NAME/``, returns the record of
            that one, or raises ``PluginError``. The record itself is then no backbone.
    """

    channels: tuple[int, ...] = ()
    output_strides: tuple[int, ...] = (32,)
    init: str | None = None
    trained_on: str | None = None
    size_rule: str = ""
    init_sha256: str | None = None
    inputs: InputRule = IMAGENET
    family: Lazy | None = None


@dataclass(frozen=True)
class MetricRecord(_Record):
    """A number of a set of label maps, made from counts of pixels: a column of the tables, with its interval.

    The factory returns ``metric(confusion) -> values``: ``confusion (..., C, C + 1) float64`` holds the pixels of all
    images by true class and predicted class, the last column those without a predicted class (255); ``values (...)
    float64`` is one number for each confusion, because the resamples of the bootstrap and the seeds come at once. What
    is not finite (a share of nothing) is no value.

    Attributes:
        column: Header of the column; the name with blanks when it is empty.
        of: ``labels`` (pseudo labels of the training images: column ``pseudo_NAME``), ``predictions`` (of the
            validation images: column ``val_NAME``), or both.
        counts: What it needs beside the confusion, out of ``COUNTS``: ``metric(confusion, *counts)`` gets one array
            for each. Only benchmarks whose ``protocol.scoring.counts`` names them have these.
        percent: Whether it is a fraction of 1, which texts show in per cent; else they show two decimals.
    """

    column: str = ""
    of: tuple[str, ...] = ("labels", "predictions")
    counts: tuple[str, ...] = ()
    percent: bool = True


@dataclass(frozen=True)
class RendererRecord(_Record):
    """A rendering of the result frame; the factory returns ``render(board) -> str``."""

    suffix: str = ".txt"


@dataclass(frozen=True)
class ExecutorRecord(_Record):
    """Where stages run; the factory returns a ``harness.contract.Executor``."""


AnyRecord = (
    GeneratorRecord
    | RefinerRecord
    | SegmenterRecord
    | MethodRecord
    | DatasetRecord
    | BackboneRecord
    | MetricRecord
    | RendererRecord
    | ExecutorRecord
)
