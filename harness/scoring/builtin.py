"""The built-in metrics, registered like those of any plugin."""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import MetricRecord, hookimpl

_METRICS = {
    "miou": ("mIoU", "mean IoU over the classes that the truth holds"),
    "pixel_accuracy": ("pixel accuracy", "share of scored pixels with the right class"),
    "mean_accuracy": ("mean class accuracy", "mean over classes of the share of true pixels that are found"),
    "weighted_iou": ("frequency-weighted IoU", "mean IoU, each class weighted by its true pixels"),
    "foreground_iou": (
        "foreground IoU",
        "IoU of foreground against background, whatever the classes: where it is far above mIoU, class names cost more "
        "than shapes",
    ),
    "precision": ("precision", "mean class precision; a class never predicted counts 0"),
    "recall": ("recall", "mean class recall, which is the mean class accuracy"),
    "over_activation": ("over-activation", "share of predicted foreground that is background"),
    "under_activation": ("under-activation", "share of true foreground predicted background or missed"),
}

_SIZES = {"small": "less than 0.33 %", "medium": "0.33 % to 3 %", "large": "3 % or more"}


@hookimpl
def wsss_metrics() -> Iterator[MetricRecord]:
    """Metrics of a set of label maps."""
    for name, (column, summary) in _METRICS.items():
        yield MetricRecord(name, factory=f"harness.scoring.metrics:{name}_metric", column=column, summary=summary)
    yield MetricRecord(
        "label_coverage",
        factory="harness.scoring.metrics:label_coverage_metric",
        column="label coverage",
        summary="share of scored pixels that have a predicted class",
        of=("labels",),
    )
    yield MetricRecord(
        "boundary_iou",
        factory="harness.scoring.metrics:boundary_iou_metric",
        column="boundary IoU",
        summary="mean IoU of the pixels within 2 % of the image diagonal from the boundary of their class",
        counts=("boundary",),
    )
    for size, share in _SIZES.items():
        yield MetricRecord(
            f"{size}_iou",
            factory=f"harness.scoring.metrics:{size}_iou_metric",
            column=f"IoU of {size} objects",
            summary=f"mean IoU of objects of {share} of the image",
            counts=("size",),
        )
