"""Label uncertainty: boxes for all images, pixel masks for a fixed share of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

from harness.contract import (
    BOXES,
    GeneratorRecord,
    MethodRecord,
    Need,
    Round,
    SegmenterRecord,
    Use,
    hookimpl,
    masks,
)
from wsss_label_uncertainty.card import CARD
from wsss_label_uncertainty.params import BoxAndPixelsParams, LabelUncertaintyParams, MethodParams, PixelShare


def _needs(params: PixelShare) -> tuple[Need, ...]:
    return (BOXES, masks(params.fraction))


def _rounds(params: MethodParams) -> tuple[Round, ...]:
    given = asdict(params)

    def share(component: type) -> dict[str, Any]:
        return {entry.name: given[entry.name] for entry in fields(component)}

    return (
        Round(
            Use("box_and_pixels", share(BoxAndPixelsParams)),
            segmenter=Use("label_uncertainty", share(LabelUncertaintyParams)),
        ),
    )


@hookimpl
def wsss_generators() -> Iterator[GeneratorRecord]:
    """Masks where they are declared, painted boxes elsewhere."""
    yield GeneratorRecord(
        "box_and_pixels",
        "wsss_label_uncertainty.method:BoxAndPixels",
        params=BoxAndPixelsParams,
        needs=_needs,
        summary="pixel masks of a fixed fraction, painted boxes on the rest",
    )


@hookimpl
def wsss_segmenters() -> Iterator[SegmenterRecord]:
    """Any mmseg head with a variance beside every mean."""
    yield SegmenterRecord(
        "label_uncertainty",
        "wsss_label_uncertainty.method:LabelUncertainty",
        params=LabelUncertaintyParams,
        needs=_needs,
        reads=("segmenter",),
        card=CARD,
        summary="learns which box labels are wrong and turns them into background while training",
    )


@hookimpl
def wsss_methods() -> Iterator[MethodRecord]:
    """The method of the paper, reconstructed."""
    yield MethodRecord(
        "label_uncertainty",
        _rounds,
        params=MethodParams,
        card=CARD,
        summary="boxes for all and pixel masks for 18 %: boxes turn into masks while training",
    )
