"""Which hook yields which record, and what a record must look like. Free of pydantic and torch."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

from harness import __version__
from harness.contract import (
    SUPPORTED_CONTRACTS,
    BackboneRecord,
    Card,
    DatasetRecord,
    ExecutorRecord,
    GeneratorRecord,
    InputRule,
    MethodRecord,
    MetricRecord,
    Need,
    PluginError,
    Pretrained,
    RefinerRecord,
    RendererRecord,
    Reported,
    Round,
    SegmenterRecord,
    SharedStage,
    Use,
)
from harness.contract.records import COUNTS, AnyRecord
from harness.registry.names import is_pydantic

KINDS: Mapping[str, type[AnyRecord]] = {
    "method": MethodRecord,
    "generator": GeneratorRecord,
    "refiner": RefinerRecord,
    "segmenter": SegmenterRecord,
    "dataset": DatasetRecord,
    "backbone": BackboneRecord,
    "metric": MetricRecord,
    "renderer": RendererRecord,
    "executor": ExecutorRecord,
}
"""Record type of each kind."""

HOOKS: Mapping[str, str] = {f"wsss_{kind}s": kind for kind in KINDS}
"""Kind of each registration hook."""

OBSERVERS = ("wsss_run_started", "wsss_stage_finished", "wsss_run_finished")

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_LAZY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

Check = Callable[[Any], bool]


def check_record(kind: str, value: object) -> AnyRecord:
    """Return ``value`` when it is a sound record of ``kind``.

    Raises:
        PluginError: Wrong type, bad name, unsupported contract number or a field of the wrong type.
    """
    expected = KINDS[kind]
    if not isinstance(value, expected):
        raise PluginError(f"hook wsss_{kind}s must yield {expected.__name__}, got {_shown(value)}")
    if not isinstance(value.name, str) or not _NAME.fullmatch(value.name):
        raise PluginError(
            f"{kind} name {value.name!r} is not allowed: lower case letters, digits, '_', '-' and '.',"
            " beginning with a letter or digit"
        )
    if value.contract not in SUPPORTED_CONTRACTS:
        supported = ", ".join(map(str, sorted(SUPPORTED_CONTRACTS)))
        raise PluginError(
            f"{kind} {value.name!r} was written for contract {value.contract!r},"
            f" wsss {__version__} supports {supported}"
        )
    for field in dataclasses.fields(value):
        check, wanted = _RULES.get(field.name, _ANYTHING)
        content = getattr(value, field.name)
        if not check(content):
            raise PluginError(f"{kind} {value.name!r}: {field.name} must be {wanted}, got {_shown(content)}")
    return value


def is_needs(value: object) -> bool:
    """A tuple of ``Need``."""
    return _tuple_of(Need)(value)


def is_uses(value: object) -> bool:
    """A tuple of sound ``SharedStage``."""
    return isinstance(value, tuple) and all(map(_is_shared_stage, value))


def is_pretrained(value: object) -> bool:
    """A tuple of ``Pretrained``."""
    return _tuple_of(Pretrained)(value)


def is_rounds(value: object) -> bool:
    """A tuple of one or more ``Round``."""
    return isinstance(value, tuple) and bool(value) and all(map(_is_round, value))


def _is_lazy(value: object) -> bool:
    return bool(_LAZY.fullmatch(value)) if isinstance(value, str) else callable(value)


def _is_lazy_or_none(value: object) -> bool:
    return value is None or _is_lazy(value)


def _is_params(value: object) -> bool:
    """Such a class, of a module with a name: its code is part of the key of every stage."""
    sort = isinstance(value, type) and (dataclasses.is_dataclass(value) or is_pydantic(value))
    return sort and isinstance(value.__module__, str)


def _is_inputs(value: object) -> bool:
    if not isinstance(value, InputRule):
        return False
    triples = all(isinstance(triple, tuple) and len(triple) == 3 for triple in (value.mean, value.std))
    numbers = triples and all(isinstance(number, int | float) for number in (*value.mean, *value.std))
    return numbers and min(value.std) > 0 and (value.multiple is None or value.multiple > 0)


def _is_card(value: object) -> bool:
    return value is None or (isinstance(value, Card) and _tuple_of(Reported)(value.reported))


def _is_round(value: object) -> bool:
    if not isinstance(value, Round) or not isinstance(value.refiners, tuple):
        return False
    uses = (value.generator, *value.refiners, value.segmenter)
    return all(isinstance(u, Use) and isinstance(u.name, str) and isinstance(u.params, Mapping) for u in uses)


def _is_shared_stage(value: object) -> bool:
    return (
        isinstance(value, SharedStage)
        and isinstance(value.name, str)
        and _is_lazy(value.run)
        and isinstance(value.params, Mapping)
        and is_needs(value.needs)
        and is_uses(value.after)
        and _tuple_of(str)(value.reads)
        and _tuple_of(str)(value.code)
    )


def _tuple_of(item: type) -> Check:
    return lambda value: isinstance(value, tuple) and all(isinstance(entry, item) for entry in value)


def _some_of(*names: str, or_none: bool = False) -> Check:
    return lambda value: isinstance(value, tuple) and (or_none or bool(value)) and all(item in names for item in value)


def _is(*types: type) -> Check:
    return lambda value: isinstance(value, types)


def _or_callable(check: Check) -> Check:
    return lambda value: check(value) or callable(value)


def _shown(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


_NONE = type(None)
_ANYTHING: tuple[Check, str] = (lambda value: True, "anything")
_RULES: Mapping[str, tuple[Check, str]] = {
    "factory": (_is_lazy, "a callable or 'module:attribute'"),
    "params": (_is_params, "a dataclass or a pydantic model (the class, with its __module__)"),
    "card": (_is_card, "a Card with a tuple of Reported, or None"),
    "summary": (_is(str), "a string"),
    "needs": (_or_callable(is_needs), "a tuple of Need or a callable, for example (TAGS,)"),
    "uses": (_or_callable(is_uses), "a tuple of SharedStage or a callable, for example (CAMS,)"),
    "reads": (_tuple_of(str), "a tuple of section names, for example ('cam',)"),
    "rounds": (_or_callable(is_rounds), "a tuple of one or more Round or a callable, for example (Round(Use('cam')),)"),
    "uses_previous": (_is(bool), "a boolean"),
    "fits": (_is(bool), "a boolean"),
    "trains_backbone": (_or_callable(_is(bool)), "a boolean or a callable from parameters to one"),
    "stated": (lambda value: value is None or callable(value), "None or a callable from parameters to Stated"),
    "check": (_is_lazy_or_none, "None, 'module:attribute' or a callable"),
    "unfit": (_is_lazy_or_none, "None, 'module:attribute' or a callable"),
    "placeholder": (_is(bool), "a boolean"),
    "pretrained": (_or_callable(is_pretrained), "a tuple of Pretrained or a callable from parameters to one"),
    "predicts": (_is(bool), "a boolean"),
    "reference": (_is(bool), "a boolean"),
    "show_images": (_is(bool), "a boolean"),
    "channels": (_tuple_of(int), "a tuple of integers"),
    "output_strides": (_tuple_of(int), "a tuple of integers"),
    "init": (_is(str, _NONE), "a string or None"),
    "init_sha256": (_is(str, _NONE), "a string or None"),
    "trained_on": (_is(str, _NONE), "a string or None"),
    "size_rule": (_is(str), "a string"),
    "family": (_is_lazy_or_none, "None, 'module:attribute' or a callable"),
    "inputs": (_is_inputs, "an InputRule with three numbers as mean and three positive ones as std"),
    "column": (_is(str), "a string"),
    "of": (_some_of("labels", "predictions"), "a tuple of 'labels', 'predictions' or both"),
    "counts": (_some_of(*COUNTS, or_none=True), "a tuple of 'boundary', 'size' or both, or an empty one"),
    "percent": (_is(bool), "a boolean"),
    "suffix": (_is(str), "a string"),
}
