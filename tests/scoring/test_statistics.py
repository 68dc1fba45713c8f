"""Promises of intervals and spreads."""

import numpy as np
import pytest

from harness.contract import DataError
from harness.scoring import miou_interval, score, seed_spread
from harness.scoring.metrics import iou, miou
from harness.scoring.statistics import bootstrap_weights, row_intervals
from tests.scoring.counts import draw_counts, draw_truth, from_counts


def confusions(images=40, seed=0, noise=0.3, ids="i", num_classes=3):
    rng = np.random.default_rng(7)
    truth = rng.integers(0, num_classes, (images, 6, 6)).astype(np.uint8)
    rng = np.random.default_rng(seed)
    wrong = rng.random(truth.shape) < rng.uniform(0, 2 * noise, (images, 1, 1))
    pred = np.where(wrong, rng.integers(0, num_classes, truth.shape), truth).astype(np.uint8)
    return score(((f"{ids}{n}", *pair) for n, pair in enumerate(zip(truth, pred, strict=True))), num_classes)


def test_value_is_the_data_set_miou_and_lies_in_its_interval():
    scored = confusions()
    value, low, high = miou_interval([scored])
    assert value == miou(scored.total())
    assert low < value < high


def test_equals_the_plain_loop_over_dense_confusions():
    scored = [confusions(seed=1), confusions(seed=2)]
    dense = np.stack([each.subset(sorted(each.ids)).dense() for each in scored])
    loop = []
    for weights in np.concatenate(list(bootstrap_weights(sorted(scored[0].ids), 200))):
        counts = weights.astype(np.int64)[:, None, None]
        loop.append(np.mean([miou((counts * seed).sum(0)) for seed in dense]))
    _, low, high = miou_interval(scored, resamples=200)
    np.testing.assert_allclose((low, high), np.quantile(loop, [0.025, 0.975]), rtol=1e-12)


def test_the_same_content_gives_the_same_interval_whatever_the_order():
    scored = confusions()
    assert miou_interval([scored]) == miou_interval([scored.subset(scored.ids[::-1])])


def test_resamples_are_shared_by_methods_and_differ_between_image_sets():
    first, again = (next(bootstrap_weights(["a", "b", "c"], 50)) for _ in range(2))
    assert (first == again).all()
    assert (first != next(bootstrap_weights(["a", "b", "d"], 50))).any()
    assert (first.sum(1) == 3).all()


def test_resampling_in_batches_changes_nothing(monkeypatch):
    scored = confusions()
    whole = miou_interval([scored])
    monkeypatch.setattr("harness.scoring.statistics._BATCH", 90)
    assert miou_interval([scored]) == whole


def test_known_images_keep_their_resamples_across_versions():
    assert next(bootstrap_weights(["a", "b", "c"], 4)).tolist() == [[2, 0, 1], [1, 1, 1], [0, 0, 3], [2, 0, 1]]


def test_seeds_are_resampled_jointly():
    scored = confusions()
    assert miou_interval([scored, scored]) == pytest.approx(miou_interval([scored]))


def test_class_absent_from_a_resample_is_left_out_not_counted_zero():
    common, rare = np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8)
    scored = score([*((f"c{n}", common, common) for n in range(9)), ("r", rare, rare)], 2)
    assert miou_interval([scored]) == (1.0, 1.0, 1.0)


def test_the_interval_of_a_row_holds_the_truth_in_92_to_98_of_a_hundred_samples():
    """400 samples of 100 images, drawn with replacement from a population whose mIoU is known."""
    rng = np.random.default_rng(0)
    population = draw_counts(rng, draw_truth(rng, 4000), 0.3)
    truth = float(miou(from_counts(population).total()))
    inside = 0
    for _ in range(400):
        _, low, high = miou_interval([from_counts(population[rng.integers(0, 4000, 100)])], resamples=300)
        inside += low <= truth <= high
    assert 0.92 <= inside / 400 <= 0.98


def test_class_intervals_hold_their_values_and_are_none_for_a_class_that_the_truth_lacks():
    scored = from_counts(
        np.pad(draw_counts(np.random.default_rng(0), np.full((30, 2), 50), 0.3), ((0, 0), (0, 1), (0, 1)))
    )
    *known, absent = row_intervals([scored]).classes
    values = iou(scored.total())
    assert [interval.value for interval in known] == values[:2].tolist()
    assert all(interval.low < interval.value < interval.high for interval in known)
    assert absent is None


def test_seeds_that_scored_different_images_are_refused():
    with pytest.raises(DataError, match="different images"):
        miou_interval([confusions(images=4), confusions(images=5)])
    with pytest.raises(DataError, match="was not scored"):
        miou_interval([confusions(images=4), confusions(images=4, ids="j")])


def test_nothing_scored_has_no_miou():
    blank = np.full((1, 1), 255, np.uint8)
    with pytest.raises(DataError, match="no scored pixel"):
        miou_interval([score([("a", blank, blank)], 2)])


def test_spread_of_one_seed_is_unknown_not_zero():
    assert seed_spread([0.5]) == (0.5, None)
    assert seed_spread([0.4, 0.6]) == (0.5, pytest.approx(0.1 * 2**0.5))
