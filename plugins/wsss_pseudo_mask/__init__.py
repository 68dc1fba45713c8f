"""Pseudo-mask matters (Li et al., ICCV 2021): CVS and PMG on any CAM, PUF on any labels, cyclic relabelling."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from harness.contract import (
    CAMS,
    CLASSIFIER,
    TAGS,
    GeneratorRecord,
    MethodRecord,
    Need,
    RefinerRecord,
    Round,
    SegmenterRecord,
    SharedStage,
    Use,
    hookimpl,
)
from wsss_pseudo_mask.card import CARD
from wsss_pseudo_mask.params import (
    CvsParams,
    CvsPmgParams,
    CyclicParams,
    GeneratorParams,
    MethodParams,
    PcmParams,
    PmgParams,
    PufParams,
)


def _cyclic_needs(params: CyclicParams) -> tuple[Need, ...]:
    return (TAGS,) if params.filter_by_tags else ()


def _classifier(params: CvsPmgParams) -> tuple[SharedStage, ...]:
    return (CLASSIFIER,) if params.pcm else ()


def _cams(params: GeneratorParams) -> tuple[SharedStage, ...]:
    return (CAMS, *_classifier(params))


@hookimpl
def wsss_generators() -> Iterator[GeneratorRecord]:
    """Pseudo masks from CAMs, and from the segmenter of the round before."""
    yield GeneratorRecord(
        "cvs_pmg",
        "wsss_pseudo_mask.masks:CvsPmgGenerator",
        params=GeneratorParams,
        needs=(TAGS,),
        uses=_cams,
        reads=("cam", "classifier"),
        card=CARD,
        summary="smoothed CAMs, a foreground of each class, then the class with the larger share of its own mass",
    )
    yield GeneratorRecord(
        "cyclic",
        "wsss_pseudo_mask.cyclic:Cyclic",
        params=CyclicParams,
        needs=_cyclic_needs,
        uses_previous=True,
        card=CARD,
        summary="what the segmenter of the round before predicts on the training images, after a dense CRF",
    )


@hookimpl
def wsss_refiners() -> Iterator[RefinerRecord]:
    """The same rules on the soft scores of any other generator."""
    at = "wsss_pseudo_mask.masks:CvsPmgRefiner"
    for name, params, summary in (
        ("pcm", PcmParams, "pixel correlation of any soft scores by the shared classifier's features"),
        ("cvs", CvsParams, "coefficient of variation smoothing of any soft scores"),
        ("pmg", PmgParams, "proportional pseudo-mask generation from any soft scores"),
        ("cvs_pmg", CvsPmgParams, "both on any soft scores"),
    ):
        yield RefinerRecord(
            name, at, params=params, uses=_classifier, reads=("cam", "classifier"), card=CARD, summary=summary
        )


@hookimpl
def wsss_segmenters() -> Iterator[SegmenterRecord]:
    """The protocol's segmenter with another cross entropy."""
    yield SegmenterRecord(
        "pretended_underfitting",
        "wsss_pseudo_mask.segmenter:PretendedUnderFitting",
        params=PufParams,
        card=CARD,
        summary="no gradient from pixels of large loss once the batch as a whole fits",
    )


def _rounds(params: MethodParams) -> tuple[Round, ...]:
    """PMG masks with PUF, then fresh segmenters on the predictions of the one before, with plain cross entropy."""
    first = Round(
        Use("cvs_pmg", asdict(params.masks())), segmenter=Use("pretended_underfitting", asdict(params.puf_loss()))
    )
    again = Round(Use("cyclic", asdict(params.relabelling())))
    return (first, *[again] * params.cycles)


@hookimpl
def wsss_methods() -> Iterator[MethodRecord]:
    """The paper."""
    yield MethodRecord(
        "pseudo_mask_matters",
        _rounds,
        params=MethodParams,
        card=CARD,
        summary="CVS and PMG masks, segmenter with PUF, one cycle of relabelling",
    )
