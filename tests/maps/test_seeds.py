from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.maps import background_power, power_labels, threshold_labels

ROW = np.array([[[0.2, 0.3, 0.8, 0.5]], [[0.1, 0.0, 0.9, 0.5]]], np.float32)


def test_the_strongest_class_above_the_threshold_wins_and_ties_go_to_the_background():
    labels = threshold_labels(ROW, (3, 7), 0.3)
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[0, 0, 7, 3]]


def test_the_threshold_is_compared_in_the_precision_of_the_scores():
    assert threshold_labels(np.full((1, 1, 1), 0.3, np.float32), (1,), 0.3).tolist() == [[0]]


def test_a_larger_power_gives_more_foreground():
    assert power_labels(ROW, (3, 7), 1).tolist() == [[0, 0, 7, 0]]
    assert power_labels(ROW, (3, 7), 11).tolist() == [[3, 3, 7, 3]]
    np.testing.assert_allclose(background_power(ROW, 2), [[0.64, 0.49, 0.01, 0.25]], atol=1e-6)


def test_without_classes_everything_is_background():
    nothing = np.zeros((0, 2, 3), np.float32)
    assert not threshold_labels(nothing, (), 0.3).any()
    assert not power_labels(nothing, (), 4).any()
    assert (background_power(nothing, 4) == 1).all()


@given(st.integers(0, 99), st.floats(0.01, 0.99), st.lists(st.integers(1, 20), min_size=1, max_size=4, unique=True))
def test_labels_are_background_or_present(seed, threshold, classes):
    values = np.random.default_rng(seed).random((len(classes), 5, 6)).astype(np.float32)
    for labels in (threshold_labels(values, classes, threshold), power_labels(values, classes, 4.0)):
        assert labels.shape == (5, 6)
        assert set(np.unique(labels)) <= {0, *classes}
