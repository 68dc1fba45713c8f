"""Metrics from exact integer confusions, vectorised over leading axes.

A confusion is ``(..., C, C + 1) int64``: pixels by true class and predicted class, the last column the misses (255
predicted where the truth is scored). All results are fractions of 1 in float64; a ratio without pixels is NaN.

One policy for absent classes: a class enters a mean **if and only if the truth of the scored images holds it**. A class
that is predicted but never true has no value of its own; its pixels still count against the classes that they were
taken from. A miss lies in the union of its true class and in no prediction.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from harness.scoring.confusion import Confusions, Counts

Values = npt.NDArray[np.float64]
Metric = Callable[[Confusions], float]


def areas(confusion: Counts) -> Counts:
    """(..., 3, C) int64: intersection, truth and prediction of each class, of a (..., C, C + 1) confusion."""
    hit = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.stack((hit, confusion.sum(-1), confusion.sum(-2)[..., :-1]), axis=-2)


def iou_of_areas(areas: npt.NDArray[np.int64] | Values) -> Values:
    """(..., C) intersection over union, of (..., 3, C) areas; NaN where the truth lacks the class."""
    hit, truth, pred = np.moveaxis(areas, -2, 0)
    return _ratio(hit, truth + pred - hit, where=truth > 0)


def miou_of_areas(areas: npt.NDArray[np.int64] | Values) -> Values:
    """(...) mean IoU over the classes that the truth holds, of (..., 3, C) areas; NaN where it holds none."""
    return mean_of_known(iou_of_areas(areas))


def iou(confusion: Counts) -> Values:
    """(..., C) intersection over union; NaN where the truth lacks the class."""
    return iou_of_areas(areas(confusion))


def miou(confusion: Counts) -> Values:
    """(...) mean IoU over the classes that the truth holds; NaN where it holds none."""
    return miou_of_areas(areas(confusion))


def has_scored_pixels(confusions: Confusions) -> bool:
    """Whether the truth of any image has a pixel that is scored; without one there is no mIoU."""
    return bool(confusions.total().any())


def pixel_accuracy(confusion: Counts) -> Values:
    """(...) share of scored pixels with the right class."""
    return _ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum((-2, -1)))


def precision(confusion: Counts) -> Values:
    """(..., C) share of a class's predicted pixels that are right; NaN where it is never predicted."""
    hit, _, pred = np.moveaxis(areas(confusion), -2, 0)
    return _ratio(hit, pred)


def recall(confusion: Counts) -> Values:
    """(..., C) share of a class's true pixels that are found; NaN where the truth lacks the class."""
    hit, truth, _ = np.moveaxis(areas(confusion), -2, 0)
    return _ratio(hit, truth)


def mean_precision(confusion: Counts) -> Values:
    """(...) mean precision over the classes that the truth holds; a class that was never predicted counts 0."""
    held = confusion.sum(-1) > 0
    return mean_of_known(np.where(held, np.nan_to_num(precision(confusion)), np.nan))


def mean_recall(confusion: Counts) -> Values:
    """(...) mean recall over the classes that the truth holds."""
    return mean_of_known(recall(confusion))


def over_activation(confusion: Counts) -> Values:
    """(...) share of the predicted foreground that is background in truth."""
    return _ratio(confusion[..., 0, 1:-1].sum(-1), confusion[..., 1:-1].sum((-2, -1)))


def under_activation(confusion: Counts) -> Values:
    """(...) share of the true foreground that is predicted background or missed."""
    foreground = confusion[..., 1:, :]
    return _ratio(foreground[..., [0, -1]].sum((-2, -1)), foreground.sum((-2, -1)))


def label_coverage(confusion: Counts) -> Values:
    """(...) share of scored pixels that have a predicted class (are no miss)."""
    return _ratio(confusion[..., :-1].sum((-2, -1)), confusion.sum((-2, -1)))


def _ratio(part: npt.ArrayLike, whole: npt.ArrayLike, where: npt.ArrayLike = True) -> Values:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    result = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    np.divide(part, whole, out=result, where=(whole > 0) & np.asarray(where))
    return result


def mean_of_known(values: Values) -> Values:
    """(...) mean over the last axis of what is not NaN; NaN where nothing is known."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(-1), known.sum(-1))


def _on_total(function: Callable[[Counts], Values]) -> Callable[[object], Metric]:
    """A metric factory (``MetricRecord``) that applies ``function`` to the total of a set of images."""

    def factory(params: object) -> Metric:
        return lambda confusions: float(function(confusions.total()))

    return factory


miou_metric = _on_total(miou)
pixel_accuracy_metric = _on_total(pixel_accuracy)
precision_metric = _on_total(mean_precision)
recall_metric = _on_total(mean_recall)
over_activation_metric = _on_total(over_activation)
under_activation_metric = _on_total(under_activation)
label_coverage_metric = _on_total(label_coverage)
