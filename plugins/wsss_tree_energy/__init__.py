"""Sparse labels: points and scribbles, partial cross entropy, What's the Point, and tree energy loss.

Hooks import the cards, so that what a paper reports is no part of the code of a stage.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import POINTS, SCRIBBLES, GeneratorRecord, MethodRecord, SegmenterRecord, hookimpl
from wsss_tree_energy import params


@hookimpl
def wsss_generators() -> Iterator[GeneratorRecord]:
    """What the data set says of single pixels."""
    at = "wsss_tree_energy.generator"
    summary = "a disc around each point, 255 everywhere else"
    yield GeneratorRecord("points", f"{at}:Points", params=params.PointsParams, needs=(POINTS,), summary=summary)
    yield GeneratorRecord(
        "scribbles", f"{at}:Scribbles", needs=(SCRIBBLES,), summary="the scribbles, 255 everywhere else"
    )


@hookimpl
def wsss_segmenters() -> Iterator[SegmenterRecord]:
    """Three ways to learn from a few labelled pixels."""
    from wsss_tree_energy.card import PARTIAL, TREE_ENERGY, WHATS_THE_POINT

    at = "wsss_tree_energy.segmenter"
    yield SegmenterRecord(
        "partial_ce",
        f"{at}:PartialCrossEntropy",
        card=PARTIAL,
        summary="mean cross entropy of the labelled pixels",
    )
    yield SegmenterRecord(
        "tree_energy",
        f"{at}:TreeEnergy",
        params=params.TreeEnergyParams,
        card=TREE_ENERGY,
        summary="cross entropy of labelled pixels; others agree with those that minimum spanning trees join them to",
    )
    yield SegmenterRecord(
        "whats_the_point",
        f"{at}:WhatsThePoint",
        params=params.WhatsThePointParams,
        needs=params.point_needs,
        uses=params.point_uses,
        card=WHATS_THE_POINT,
        summary="cross entropy of the labelled pixels; each labelled class has a pixel somewhere, all others none",
    )


@hookimpl
def wsss_methods() -> Iterator[MethodRecord]:
    """The reference row and the two papers."""
    from wsss_tree_energy.card import PARTIAL, TREE_ENERGY, WHATS_THE_POINT

    for name, rounds, kind, card, summary in (
        ("partial_ce", params.partial_rounds, params.PartialParams, PARTIAL, "trained on the labelled pixels alone"),
        (
            "whats_the_point",
            params.point_rounds,
            params.PointMethodParams,
            WHATS_THE_POINT,
            "points, and that each class named by them is in the image",
        ),
        ("tree_energy", params.tree_rounds, params.TreeMethodParams, TREE_ENERGY, "tree energy loss on sparse labels"),
    ):
        reference = name == "partial_ce"
        yield MethodRecord(name, rounds, params=kind, card=card, summary=summary, reference=reference)
