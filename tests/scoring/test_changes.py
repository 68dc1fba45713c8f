"""Promises of the changes between two rows, class by class and image by image."""

import numpy as np
import pytest
from scipy.stats import permutation_test

from harness.scoring.changes import class_changes, image_changes
from harness.scoring.metrics import iou
from tests.scoring.counts import draw_counts, draw_truth, from_counts


def two(images=30, seed=0):
    rng = np.random.default_rng(seed)
    truth = draw_truth(rng, images)
    return draw_counts(rng, truth, 0.4), draw_counts(rng, truth, 0.2)


def ious(counts):
    return iou(np.concatenate([counts.sum(0), np.zeros((counts.shape[1], 1), np.int64)], axis=1))


def test_class_changes_are_differences_of_data_set_ious_with_an_interval_around():
    before, after = two()
    changes = class_changes({0: from_counts(before)}, {0: from_counts(after), 1: from_counts(before)})
    assert [change.cls for change in changes] == [0, 1, 2]
    np.testing.assert_allclose([change.before for change in changes], ious(before))
    np.testing.assert_allclose([change.change.value for change in changes], ious(after) - ious(before))
    assert all(change.change.low < change.change.value < change.change.high for change in changes)


def test_the_p_value_of_a_class_is_scipys_exact_one():
    before, after = two(images=8, seed=2)
    both = np.stack((before, after))
    found = class_changes({0: from_counts(before)}, {0: from_counts(after)})
    for change in found:

        def statistic(x, y, cls=change.cls):
            return ious(both[y, np.arange(8)])[cls] - ious(both[x, np.arange(8)])[cls]

        expected = permutation_test(
            (np.zeros(8, int), np.ones(8, int)), statistic, permutation_type="samples", vectorized=False,
            n_resamples=np.inf,
        )  # fmt: skip
        assert change.p == pytest.approx(expected.pvalue)
        assert change.p_holm >= change.p


def test_a_class_that_the_truth_lacks_has_no_change():
    before, after = two()
    padded = [np.pad(counts, ((0, 0), (0, 1), (0, 1))) for counts in (before, after)]
    changes = class_changes(*({0: from_counts(counts)} for counts in padded))
    assert [change.cls for change in changes] == [0, 1, 2]


def test_images_are_ordered_by_the_size_of_their_change():
    before, after = two(images=6)
    after[2] = before[2]
    changes = image_changes({0: from_counts(before)}, {0: from_counts(after)})
    sizes = [abs(change.change) for change in changes]
    assert sizes == sorted(sizes, reverse=True)
    assert (changes[-1].image_id, changes[-1].change) == ("i0002", 0.0)


def test_the_change_of_an_image_is_of_the_miou_over_the_classes_it_holds():
    before = np.array([[[6, 2], [0, 0]], [[4, 0], [4, 0]], [[0, 0], [0, 0]]])
    after = np.array([[[8, 0], [0, 0]], [[4, 0], [0, 4]], [[0, 0], [0, 0]]])
    changes = image_changes({0: from_counts(before)}, {0: from_counts(after)})
    assert [(item.image_id, item.before, item.after) for item in changes] == [
        ("i0001", 0.25, 1.0),
        ("i0000", 0.75, 1.0),
    ]


def test_several_seeds_are_averaged():
    before, after = two()
    one = image_changes({0: from_counts(before)}, {0: from_counts(after)})
    mixed = image_changes(
        {0: from_counts(before), 1: from_counts(before)}, {0: from_counts(after), 1: from_counts(before)}
    )
    assert mixed[0].image_id == one[0].image_id
    assert mixed[0].change == pytest.approx(one[0].change / 2)
