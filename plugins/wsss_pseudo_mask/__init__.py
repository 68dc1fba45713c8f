"""Pseudo-mask matters (Li et al., ICCV 2021): CVS and PMG on any CAM, PUF on any labels, cyclic relabelling.

Hooks import the card, so that what the paper reports is no part of the code of a stage.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import TAGS, GeneratorRecord, MethodRecord, RefinerRecord, SegmenterRecord, hookimpl
from wsss_pseudo_mask import params

_READS = ("cam", "classifier")


@hookimpl
def wsss_generators() -> Iterator[GeneratorRecord]:
    """Pseudo masks from CAMs, and from the segmenter of the round before."""
    from wsss_pseudo_mask.card import CARD

    yield GeneratorRecord(
        "cvs_pmg",
        "wsss_pseudo_mask.generator:CvsPmgGenerator",
        params=params.GeneratorParams,
        needs=(TAGS,),
        uses=params.cams,
        reads=_READS,
        card=CARD,
        summary="smoothed CAMs, a foreground of each class, then the class with the larger share of its own mass",
    )
    at, needs = "wsss_pseudo_mask.cyclic:Cyclic", params.cyclic_needs
    summary = "what the segmenter of the round before predicts on the training images, after a dense CRF"
    yield GeneratorRecord(
        "cyclic", at, params=params.CyclicParams, needs=needs, uses_previous=True, card=CARD, summary=summary
    )


@hookimpl
def wsss_refiners() -> Iterator[RefinerRecord]:
    """The same rules on the soft scores of any other generator."""
    from wsss_pseudo_mask.card import CARD

    at, uses = "wsss_pseudo_mask.generator:CvsPmgRefiner", params.classifier
    for name, kind, summary in (
        ("pcm", params.PcmParams, "pixel correlation of any soft scores by the shared classifier's features"),
        ("cvs", params.CvsParams, "coefficient of variation smoothing of any soft scores"),
        ("pmg", params.PmgParams, "proportional pseudo-mask generation from any soft scores"),
        ("cvs_pmg", params.CvsPmgParams, "both on any soft scores"),
    ):
        yield RefinerRecord(name, at, params=kind, uses=uses, reads=_READS, card=CARD, summary=summary)


@hookimpl
def wsss_segmenters() -> Iterator[SegmenterRecord]:
    """The protocol's segmenter with another cross entropy."""
    from wsss_pseudo_mask.card import CARD

    at = "wsss_pseudo_mask.segmenter:PretendedUnderFitting"
    summary = "no gradient from pixels of large loss once the batch as a whole fits"
    yield SegmenterRecord("pretended_underfitting", at, params=params.PufParams, card=CARD, summary=summary)


@hookimpl
def wsss_methods() -> Iterator[MethodRecord]:
    """The paper."""
    from wsss_pseudo_mask.card import CARD

    summary = "CVS and PMG masks, segmenter with PUF, one cycle of relabelling"
    yield MethodRecord("pseudo_mask_matters", params.rounds, params=params.MethodParams, card=CARD, summary=summary)
