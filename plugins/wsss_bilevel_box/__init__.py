"""Bi-level class-agnostic pseudo-mask generator: boxes, and pixel masks of other classes.

Hooks import the card, so that what the paper claims is no part of the code of a stage.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import GeneratorRecord, MethodRecord, hookimpl
from wsss_bilevel_box.params import NEEDS, BilevelBoxParams, GeneratorParams, rounds, uses


@hookimpl
def wsss_generators() -> Iterator[GeneratorRecord]:
    """The pseudo labels of one round."""
    from wsss_bilevel_box.card import CARD

    yield GeneratorRecord(
        "bilevel_box",
        "wsss_bilevel_box.generator:BilevelBox",
        params=GeneratorParams,
        needs=NEEDS,
        uses=uses,
        uses_previous=True,
        trains_backbone=True,
        card=CARD,
        summary="masks inside boxes by a generator that was learned on other classes",
    )


@hookimpl
def wsss_methods() -> Iterator[MethodRecord]:
    """Three rounds."""
    from wsss_bilevel_box.card import CARD

    yield MethodRecord(
        "bilevel_box",
        rounds,
        params=BilevelBoxParams,
        card=CARD,
        summary="boxes, and masks of other classes: generator and segmenter in three rounds",
    )
