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
Pixels = Counts | Values
"""Counts of pixels; as float64 where they come from the bootstrap, exact below 2**53."""

Metric = Callable[..., Values]


def areas(confusion: Pixels) -> Pixels:
    """(..., 3, C): intersection, truth and prediction of each class, of a (..., C, C + 1) confusion."""
    hit = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.stack((hit, confusion.sum(-1), confusion.sum(-2)[..., :-1]), axis=-2)


def iou_of_areas(areas: Pixels) -> Values:
    """(..., C) intersection over union, of (..., 3, C) areas; NaN where the truth lacks the class."""
    hit, truth, pred = np.moveaxis(areas, -2, 0)
    return _ratio(hit, truth + pred - hit, where=truth > 0)


def miou_of_areas(areas: Pixels) -> Values:
    """(...) mean IoU over the classes that the truth holds, of (..., 3, C) areas; NaN where it holds none."""
    return mean_of_known(iou_of_areas(areas))


def iou(confusion: Pixels) -> Values:
    """(..., C) intersection over union; NaN where the truth lacks the class."""
    return iou_of_areas(areas(confusion))


def miou(confusion: Pixels) -> Values:
    """(...) mean IoU over the classes that the truth holds; NaN where it holds none."""
    return miou_of_areas(areas(confusion))


def has_scored_pixels(confusions: Confusions) -> bool:
    """Whether the truth of any image has a pixel that is scored; without one there is no mIoU."""
    return bool(confusions.total().any())


def pixel_accuracy(confusion: Pixels) -> Values:
    """(...) share of scored pixels with the right class."""
    return _ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum((-2, -1)))


def precision(confusion: Pixels) -> Values:
    """(..., C) share of a class's predicted pixels that are right; NaN where it is never predicted."""
    hit, _, pred = np.moveaxis(areas(confusion), -2, 0)
    return _ratio(hit, pred)


def recall(confusion: Pixels) -> Values:
    """(..., C) share of a class's true pixels that are found; NaN where the truth lacks the class."""
    hit, truth, _ = np.moveaxis(areas(confusion), -2, 0)
    return _ratio(hit, truth)


def mean_precision(confusion: Pixels) -> Values:
    """(...) mean precision over the classes that the truth holds; a class that was never predicted counts 0."""
    held = confusion.sum(-1) > 0
    return mean_of_known(np.where(held, np.nan_to_num(precision(confusion)), np.nan))


def mean_recall(confusion: Pixels) -> Values:
    """(...) mean recall over the classes that the truth holds."""
    return mean_of_known(recall(confusion))


def weighted_iou(confusion: Pixels) -> Values:
    """(...) mean IoU in which each class weighs as many pixels as the truth has of it."""
    truth = confusion.sum(-1)
    return _ratio((np.nan_to_num(iou(confusion)) * truth).sum(-1), truth.sum(-1))


def foreground_iou(confusion: Pixels) -> Values:
    """(...) IoU of foreground against background, whatever the classes: how well objects are found."""
    truth, pred = confusion[..., 1:, :].sum((-2, -1)), confusion[..., 1:-1].sum((-2, -1))
    hit = confusion[..., 1:, 1:-1].sum((-2, -1))
    return _ratio(hit, truth + pred - hit)


def over_activation(confusion: Pixels) -> Values:
    """(...) share of the predicted foreground that is background in truth."""
    return _ratio(confusion[..., 0, 1:-1].sum(-1), confusion[..., 1:-1].sum((-2, -1)))


def under_activation(confusion: Pixels) -> Values:
    """(...) share of the true foreground that is predicted background or missed."""
    foreground = confusion[..., 1:, :]
    return _ratio(foreground[..., [0, -1]].sum((-2, -1)), foreground.sum((-2, -1)))


def label_coverage(confusion: Pixels) -> Values:
    """(...) share of scored pixels that have a predicted class (are no miss)."""
    return _ratio(confusion[..., :-1].sum((-2, -1)), confusion.sum((-2, -1)))


def boundary_iou(confusion: Pixels, boundary: Pixels) -> Values:
    """(...) mean IoU of boundary regions over the classes that the truth holds, of (..., 3, C) areas of them."""
    return miou_of_areas(boundary)


def iou_by_size(size: int) -> Metric:
    """Mean IoU of the objects of one size (0 small, 1 medium, 2 large) over the foreground classes that have some."""
    return lambda confusion, areas: miou_of_areas(areas[..., size, :, :])


def _ratio(part: npt.ArrayLike, whole: npt.ArrayLike, where: npt.ArrayLike = True) -> Values:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    result = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    np.divide(part, whole, out=result, where=(whole > 0) & np.asarray(where))
    return result


def mean_of_known(values: Values) -> Values:
    """(...) mean over the last axis of what is not NaN; NaN where nothing is known."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(-1), known.sum(-1))


def _factory(metric: Metric) -> Callable[[object], Metric]:
    """A metric factory (``MetricRecord``): these take no parameters."""
    return lambda params: metric


miou_metric = _factory(miou)
pixel_accuracy_metric = _factory(pixel_accuracy)
mean_accuracy_metric = _factory(mean_recall)
weighted_iou_metric = _factory(weighted_iou)
foreground_iou_metric = _factory(foreground_iou)
precision_metric = _factory(mean_precision)
recall_metric = _factory(mean_recall)
over_activation_metric = _factory(over_activation)
under_activation_metric = _factory(under_activation)
label_coverage_metric = _factory(label_coverage)
boundary_iou_metric = _factory(boundary_iou)
small_iou_metric, medium_iou_metric, large_iou_metric = (_factory(iou_by_size(size)) for size in range(3))
