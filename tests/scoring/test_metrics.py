"""Promises of the metrics, with numbers worked by hand."""

import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.contract import MetricRecord
from harness.scoring import builtin as records
from harness.scoring import metrics, score

# rows: truth 0, 1, 2, 3; columns: predicted 0, 1, 2, 3, miss. Class 2 is predicted but never true, class 3 is neither.
CONFUSION = np.array(
    [
        [6, 1, 1, 0, 2],
        [2, 4, 0, 0, 2],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]
)


def test_iou_counts_a_miss_in_the_union_of_its_true_class_only():
    iou = metrics.iou(CONFUSION)
    assert iou[:2].tolist() == [6 / 12, 4 / 9]


def test_class_predicted_but_never_true_and_class_absent_from_both_are_left_out_of_the_mean():
    assert np.isnan(metrics.iou(CONFUSION)[2:]).all()
    assert metrics.miou(CONFUSION) == pytest.approx((6 / 12 + 4 / 9) / 2)


def test_a_true_class_that_is_never_predicted_counts_zero():
    confusion = CONFUSION.copy()
    confusion[3, 0] = 1
    assert metrics.miou(confusion) == pytest.approx((6 / 13 + 4 / 9 + 0) / 3)
    assert metrics.mean_precision(confusion) == pytest.approx((6 / 9 + 4 / 5 + 0) / 3)


def test_shares_by_hand():
    assert metrics.pixel_accuracy(CONFUSION) == 10 / 18
    assert metrics.precision(CONFUSION)[:3].tolist() == [6 / 8, 4 / 5, 0.0]
    assert metrics.recall(CONFUSION)[:2].tolist() == [6 / 10, 4 / 8]
    assert metrics.mean_recall(CONFUSION) == pytest.approx(0.55)
    assert metrics.over_activation(CONFUSION) == 2 / 6
    assert metrics.under_activation(CONFUSION) == 4 / 8
    assert metrics.label_coverage(CONFUSION) == 14 / 18
    assert metrics.weighted_iou(CONFUSION) == pytest.approx((10 * 6 / 12 + 8 * 4 / 9) / 18)
    assert metrics.foreground_iou(CONFUSION) == 4 / (8 + 6 - 4)


def test_foreground_iou_does_not_ask_which_class():
    confusion = np.array([[5, 0, 0, 0], [0, 0, 3, 0], [0, 2, 0, 0]])
    assert metrics.foreground_iou(confusion) == 1.0
    assert metrics.pixel_accuracy(confusion) == 0.5


SHARES = (
    metrics.miou,
    metrics.pixel_accuracy,
    metrics.weighted_iou,
    metrics.foreground_iou,
    metrics.mean_precision,
    metrics.mean_recall,
    metrics.over_activation,
    metrics.under_activation,
    metrics.label_coverage,
)
COUNTS = arrays(np.int64, (3, 4), elements=st.integers(0, 1000))


@given(COUNTS)
def test_every_metric_is_a_share_or_no_value(confusion):
    for share in SHARES:
        value = float(share(confusion))
        assert np.isnan(value) or 0 <= value <= 1


@given(COUNTS, st.integers(1, 9))
def test_no_metric_depends_on_how_often_all_images_are_there(confusion, times):
    for share in SHARES:
        np.testing.assert_allclose(share(confusion * times), share(confusion), rtol=1e-12)


@given(COUNTS)
def test_an_iou_is_never_above_what_it_bounds(confusion):
    if confusion.any():
        assert metrics.weighted_iou(confusion) <= metrics.pixel_accuracy(confusion) + 1e-12
        assert metrics.miou(confusion) <= metrics.mean_recall(confusion) + 1e-12


@given(arrays(np.int64, 3, elements=st.integers(1, 1000)))
def test_perfect_label_maps_are_one_everywhere(truth):
    confusion = np.zeros((3, 4), np.int64)
    confusion[range(3), range(3)] = truth
    for share in set(SHARES) - {metrics.over_activation, metrics.under_activation}:
        assert share(confusion) == pytest.approx(1.0)


def test_ratios_without_pixels_are_nan_not_zero():
    nothing = np.zeros((4, 5), np.int64)
    functions = (metrics.miou, metrics.pixel_accuracy, metrics.over_activation, metrics.under_activation)
    assert all(np.isnan(function(nothing)) for function in functions)


def test_leading_axes_are_vectorised():
    stack = np.random.default_rng(0).integers(0, 9, (2, 3, 4, 5))
    for function in (metrics.iou, metrics.miou, metrics.precision, metrics.mean_precision, metrics.over_activation):
        single = [[function(confusion) for confusion in row] for row in stack]
        np.testing.assert_array_equal(function(stack), single)


def test_counts_beyond_float32_stay_exact():
    confusion = np.array([[2**33 + 1, 0, 0], [0, 1, 0]])
    assert metrics.areas(confusion)[1, 0] == 2**33 + 1


def test_every_registered_metric_gives_one_number_for_a_set_of_images():
    truth, pred = np.array([[0, 0, 1, 255]], np.uint8), np.array([[0, 1, 1, 0]], np.uint8)
    confusions = score([("a", truth, pred)], 2)
    values = {}
    total = confusions.total()
    for record in records.wsss_metrics():
        assert isinstance(record, MetricRecord)
        module, _, attribute = record.factory.partition(":")
        factory = getattr(importlib.import_module(module), attribute)
        assert record.summary
        assert record.column
        if not record.counts:
            values[record.name] = float(factory(record.params())(total))
    assert values == {
        "miou": 0.5,
        "pixel_accuracy": pytest.approx(2 / 3),
        "mean_accuracy": 0.75,
        "weighted_iou": 0.5,
        "foreground_iou": 0.5,
        "precision": 0.75,
        "recall": 0.75,
        "over_activation": 0.5,
        "under_activation": 0.0,
        "label_coverage": 1.0,
    }
