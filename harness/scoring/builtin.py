"""The built-in metrics, registered like those of any plugin."""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import MetricRecord, hookimpl

_METRICS = {
    "miou": ("mIoU", "mean IoU over the classes that the truth holds"),
    "pixel_accuracy": ("pixel accuracy", "share of scored pixels with the right class"),
    "precision": ("precision", "mean class precision; a class never predicted counts 0"),
    "recall": ("recall", "mean class recall"),
    "over_activation": ("over-activation", "share of predicted foreground that is background"),
    "under_activation": ("under-activation", "share of true foreground predicted background or missed"),
    "label_coverage": ("label coverage", "share of scored pixels that have a predicted class"),
}


@hookimpl
def wsss_metrics() -> Iterator[MetricRecord]:
    """Metrics of a set of per-image confusions."""
    for name, (column, summary) in _METRICS.items():
        yield MetricRecord(name, factory=f"harness.scoring.metrics:{name}_metric", column=column, summary=summary)
