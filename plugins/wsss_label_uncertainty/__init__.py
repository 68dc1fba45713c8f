"""Label uncertainty: boxes for all images, pixel masks for a fixed share of them.

Hooks import the card, so that what the paper reports is no part of the code of a stage.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import GeneratorRecord, MethodRecord, SegmenterRecord, hookimpl
from wsss_label_uncertainty.params import BoxAndPixelsParams, LabelUncertaintyParams, MethodParams, needs, rounds


@hookimpl
def wsss_generators() -> Iterator[GeneratorRecord]:
    """Masks where they are declared, painted boxes elsewhere."""
    yield GeneratorRecord(
        "box_and_pixels",
        "wsss_label_uncertainty.generator:BoxAndPixels",
        params=BoxAndPixelsParams,
        needs=needs,
        summary="pixel masks of a fixed fraction, painted boxes on the rest",
    )


@hookimpl
def wsss_segmenters() -> Iterator[SegmenterRecord]:
    """Any mmseg head with a variance beside every mean."""
    from wsss_label_uncertainty.card import CARD

    yield SegmenterRecord(
        "label_uncertainty",
        "wsss_label_uncertainty.segmenter:LabelUncertainty",
        params=LabelUncertaintyParams,
        needs=needs,
        reads=("segmenter",),
        card=CARD,
        summary="learns which box labels are wrong and turns them into background while training",
    )


@hookimpl
def wsss_methods() -> Iterator[MethodRecord]:
    """The method of the paper, reconstructed."""
    from wsss_label_uncertainty.card import CARD

    yield MethodRecord(
        "label_uncertainty",
        rounds,
        params=MethodParams,
        card=CARD,
        summary="boxes for all and pixel masks for 18 %: boxes turn into masks while training",
    )
