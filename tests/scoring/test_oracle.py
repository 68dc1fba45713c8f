"""Promises of the threshold sweep."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.contract import ConfigError, DataError
from harness.scoring import score, sweep
from harness.scoring.metrics import miou
from harness.scoring.oracle import threshold_confusions

THRESHOLDS = [0.1, 0.25, 0.5, 0.8]


def relabel(classes, scores, threshold):
    """The definition: strongest foreground class where it reaches the threshold, else background."""
    planes = [plane for plane, cls in enumerate(classes) if cls != 0]
    if not planes:
        return np.zeros(scores.shape[1:], np.uint8)
    strongest = np.array([classes[plane] for plane in planes], np.uint8)[scores[planes].argmax(0)]
    return np.where(scores[planes].max(0) >= np.float32(threshold), strongest, 0).astype(np.uint8)


def item(seed, classes, size=(9, 11), num_classes=5):
    rng = np.random.default_rng(seed)
    truth = rng.choice([*range(num_classes), 255], size).astype(np.uint8)
    values = rng.choice([*THRESHOLDS, 0.0, 0.3, 0.99, 1.0], (len(classes), *size))
    return truth, classes, values.astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from([(1,), (2, 4), (0, 3), (4, 1, 2), (0,), ()]), min_size=1, max_size=4), st.integers(0, 99)
)
def test_equals_relabelling_at_every_threshold(present, seed):
    items = [item(seed + n, classes) for n, classes in enumerate(present)]
    found = threshold_confusions(items, 5, THRESHOLDS)
    for threshold, confusion in zip(THRESHOLDS, found, strict=True):
        labels = [(str(n), truth, relabel(classes, s, threshold)) for n, (truth, classes, s) in enumerate(items)]
        assert (confusion == score(labels, 5).total()).all()


def test_summary_names_the_best_threshold_and_the_area():
    items = [item(0, (1, 2)), item(1, (0, 3))]
    confusions = threshold_confusions(items, 5, THRESHOLDS)
    oracle = sweep(iter(items), 5, THRESHOLDS)
    curve = miou(confusions)
    assert oracle.thresholds == THRESHOLDS
    assert oracle.miou == curve.tolist()
    assert oracle.best_miou == curve.max()
    assert oracle.best_threshold == THRESHOLDS[curve.argmax()]
    assert oracle.area == curve.mean()


def test_a_background_plane_changes_nothing():
    truth, classes, scores = item(3, (1, 2))
    with_plane = np.concatenate([np.ones_like(scores[:1]), scores])
    assert sweep([(truth, (0, 1, 2), with_plane)], 5, THRESHOLDS) == sweep([(truth, classes, scores)], 5, THRESHOLDS)


def test_perfect_scores_are_perfect_below_one():
    truth = np.array([[0, 1], [1, 255]], np.uint8)
    oracle = sweep([(truth, (1,), (truth == 1)[None].astype(np.float32))], 2, [0.5, 1.0, 1.5])
    assert oracle.miou[:2] == [1.0, 1.0]
    assert oracle.best_threshold == 0.5


@pytest.mark.parametrize("thresholds", [[], [0.5, 0.5], [0.5, 0.1]])
def test_thresholds_that_do_not_ascend_are_refused(thresholds):
    with pytest.raises(ConfigError, match="ascending"):
        sweep([item(0, (1,))], 5, thresholds)


@pytest.mark.parametrize(
    ("truth", "classes", "scores", "sentence"),
    [
        (np.zeros((2, 2)), (1,), np.zeros((1, 2, 3)), "do not fit"),
        (np.zeros((2, 2)), (1, 2), np.zeros((1, 2, 2)), "do not fit"),
        (np.zeros((2, 2)), (7,), np.zeros((1, 2, 2)), "are not 5 classes"),
        (np.zeros((2, 2)), (1, 1), np.zeros((2, 2, 2)), "are not 5 classes"),
        (np.full((2, 2), 9), (1,), np.zeros((1, 2, 2)), "no class"),
        (np.zeros((2, 2)), (1,), np.full((1, 2, 2), np.nan), "not a number"),
        (np.full((2, 2), 255), (1,), np.zeros((1, 2, 2)), "no pixel is scored"),
    ],
)
def test_input_that_does_not_fit_is_refused(truth, classes, scores, sentence):
    with pytest.raises(DataError, match=sentence):
        sweep([(truth.astype(np.uint8), classes, scores.astype(np.float32))], 5, THRESHOLDS)
