"""Labels and predictions from elsewhere as rows: other people's files, scored and compared like our own.

What the files were made with is stated by the author of the benchmark file; nothing of it can be metered here.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import GeneratorRecord, MethodRecord, SegmenterRecord, hookimpl
from wsss_external import params


@hookimpl
def wsss_generators() -> Iterator[GeneratorRecord]:
    """Labels from files, and a stand-in for rows that need no labels."""
    from wsss_external.card import LABELS

    yield GeneratorRecord(
        "labels_from",
        "wsss_external.generator:LabelsFrom",
        params=params.LabelsFromParams,
        needs=params.label_needs,
        reads=("cam",),
        stated=params.stated,
        check="wsss_external.generator:check",
        card=LABELS,
        summary="pseudo labels or CAMs that another program wrote",
    )
    yield GeneratorRecord(
        "no_labels",
        "wsss_external.generator:NoLabels",
        placeholder=True,
        summary="no labels, for predictions from files",
    )


@hookimpl
def wsss_segmenters() -> Iterator[SegmenterRecord]:
    """Predictions from files."""
    from wsss_external.card import PREDICTIONS

    yield SegmenterRecord(
        "predictions_from",
        "wsss_external.segmenter:PredictionsFrom",
        params=params.PredictionsFromParams,
        stated=params.stated,
        check="wsss_external.segmenter:check",
        trains=False,
        predicts=True,
        card=PREDICTIONS,
        summary="predictions that another program wrote; trains nothing",
    )


@hookimpl
def wsss_methods() -> Iterator[MethodRecord]:
    """One row each: labels that the protocol's segmenter is trained on, and predictions that are scored."""
    from wsss_external.card import LABELS, PREDICTIONS

    labels, predictions = params.LabelsFromParams, params.PredictionsFromParams
    text = "the protocol's segmenter, trained on labels from files"
    yield MethodRecord("labels_from", params.label_rounds, params=labels, card=LABELS, summary=text)
    text = "predictions from files, scored beside the others"
    yield MethodRecord("predictions_from", params.prediction_rounds, params=predictions, card=PREDICTIONS, summary=text)
