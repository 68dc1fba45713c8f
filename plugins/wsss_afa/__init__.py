"""AFA: one segmenter on a Mix Transformer, which labels its own images by an affinity learned from its attention.

Hooks import the card, so that what the paper reports is no part of the code of a stage.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import TAGS, BackboneRecord, Card, MethodRecord, SegmenterRecord, hookimpl
from wsss_afa.params import AfaParams, MethodParams, rounds

_SEGFORMER = "arXiv 2105.15203"


@hookimpl
def wsss_segmenters() -> Iterator[SegmenterRecord]:
    """The network that labels its own images."""
    from wsss_afa.card import CARD

    yield SegmenterRecord(
        "afa",
        "wsss_afa.segmenter:Afa",
        params=AfaParams,
        needs=(TAGS,),
        reads=("segmenter",),
        unfit="wsss_afa.params:unfit",
        card=CARD,
        summary="labels its own images from tags, by an affinity from attention and by refinement of pixels",
    )


@hookimpl
def wsss_backbones() -> Iterator[BackboneRecord]:
    """Mix Transformers with the paper's dense attention at output stride 16."""
    yield BackboneRecord(
        "mit_b1_dense",
        factory="wsss_afa.backbones:mit_b1_dense",
        summary="Mix Transformer B1 whose last stage attends over its whole map at output stride 16",
        card=Card("SegFormer: Simple and Efficient Design", paper=_SEGFORMER, year=2021),
        channels=(64, 128, 320, 512),
        output_strides=(16, 32),
        init="https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/mit_b1_20220624-02e5a6a1.pth",
        trained_on="ImageNet-1k",
    )
    yield BackboneRecord(
        "mit_narrow",
        factory="wsss_afa.backbones:mit_narrow",
        summary="a Mix Transformer of half the width of B0: trains from random weights on a CPU at 64 to 128 pixels",
        card=Card("SegFormer: Simple and Efficient Design", paper=_SEGFORMER, year=2021),
        channels=(16, 32, 80, 128),
        output_strides=(16, 32),
    )


@hookimpl
def wsss_methods() -> Iterator[MethodRecord]:
    """The method of the paper."""
    from wsss_afa.card import CARD

    yield MethodRecord(
        "afa",
        rounds,
        params=MethodParams,
        card=CARD,
        summary="one stage, tags alone: a Mix Transformer learns from labels that it makes while it trains",
    )
