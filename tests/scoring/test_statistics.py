"""Promises of intervals and spreads."""

import numpy as np
import pytest

from harness.contract import DataError
from harness.scoring import miou_interval, score, seed_spread
from harness.scoring.metrics import miou
from harness.scoring.statistics import bootstrap_weights


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


def test_coverage_of_the_interval_is_about_its_level():
    population = confusions(images=1500)
    truth = float(miou(population.total()))
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(100):
        part = population.subset(rng.choice(population.ids, 60, replace=False).tolist())
        _, low, high = miou_interval([part], resamples=200)
        inside += low <= truth <= high
    assert 85 <= inside <= 100


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
