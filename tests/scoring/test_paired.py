"""Promises of the paired tests, their correction, and the ranks made of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap, permutation_test

from harness.contract import DataError
from harness.scoring.metrics import miou
from harness.scoring.paired import ALPHA, compare, holm, pair_interval, permutations, sign_batches
from harness.scoring.statistics import bootstrap_weights
from tests.scoring.counts import draw_counts, draw_truth, from_counts


def make(wrong, *, seed=0, images=40, runs=1):
    """Rows of the same images, one for each share of ``wrong`` pixels, as (name -> seed -> counts)."""
    rng = np.random.default_rng(seed)
    truth = draw_truth(rng, images)
    return {f"m{n}": {run: draw_counts(rng, truth, share) for run in range(runs)} for n, share in enumerate(wrong)}


def rows(counts):
    return {name: {seed: from_counts(each) for seed, each in seeds.items()} for name, seeds in counts.items()}


def data_set_miou(counts):
    total = counts.sum(0)
    return float(miou(np.concatenate([total, np.zeros((len(total), 1), np.int64)], axis=1)))


def by_scipy(left, right):
    """A statistic of two (N,) arrays of image numbers, as scipy permutes them: ``x`` holds 0 = left, 1 = right."""

    def statistic(x, y):
        return data_set_miou(both[x, np.arange(len(x))]) - data_set_miou(both[y, np.arange(len(y))])

    both = np.stack((left, right))
    return statistic


def test_with_few_images_the_p_value_is_scipys_exact_one():
    counts = make((0.2, 0.3, 0.45), images=9)
    compared = compare(rows(counts), resamples=100)
    assert compared.permutations == 2**9
    for pair in compared.pairs:
        x, y = np.zeros(9, int), np.ones(9, int)
        statistic = by_scipy(counts[pair.left][0], counts[pair.right][0])
        expected = permutation_test((x, y), statistic, permutation_type="samples", vectorized=False, n_resamples=np.inf)
        assert pair.difference.value == pytest.approx(expected.statistic)
        assert pair.p == pytest.approx(expected.pvalue)


def test_with_many_images_the_p_value_is_scipys_within_its_error():
    counts = make((0.3, 0.4), images=60, seed=3)
    (pair,) = compare(rows(counts)).pairs
    x, y = np.zeros(60, int), np.ones(60, int)
    statistic = by_scipy(counts["m0"][0], counts["m1"][0])
    expected = permutation_test(
        (x, y), statistic, permutation_type="samples", vectorized=False, n_resamples=2000, random_state=0
    )
    tail = expected.pvalue / 2
    spread = 2 * (tail * (1 - tail) * (1 / 1000 + 1 / 2000)) ** 0.5
    assert 0.05 < expected.pvalue < 0.5
    assert abs(pair.p - expected.pvalue) < 3 * spread


def test_the_interval_is_scipys_percentile_interval_within_its_error():
    counts = make((0.2, 0.3), images=50)
    (pair,) = compare(rows(counts), resamples=2000).pairs
    left, right = counts["m0"][0], counts["m1"][0]

    def statistic(drawn):
        return data_set_miou(left[drawn]) - data_set_miou(right[drawn])

    expected = bootstrap(
        (np.arange(50),), statistic, method="percentile", vectorized=False, n_resamples=2000, random_state=0
    )
    found = (pair.difference.low, pair.difference.high)
    assert found == pytest.approx(tuple(expected.confidence_interval), abs=0.15 * expected.standard_error)
    assert pair.standard_error == pytest.approx(expected.standard_error, rel=0.05)


def test_the_interval_equals_the_plain_loop_over_the_same_resamples():
    counts = make((0.2, 0.3), runs=2)
    found = pair_interval(*rows(counts).values(), resamples=200)
    ids = [f"i{n:04d}" for n in range(40)]
    loop = [
        np.mean([data_set_miou(weights[:, None, None] * counts["m0"][s]) for s in (0, 1)])
        - np.mean([data_set_miou(weights[:, None, None] * counts["m1"][s]) for s in (0, 1)])
        for weights in np.concatenate(list(bootstrap_weights(ids, 200))).astype(np.int64)
    ]
    np.testing.assert_allclose(found[1:], np.quantile(loop, [0.025, 0.975]), rtol=1e-12)


def test_rows_of_several_seeds_are_compared_seed_by_seed_on_those_they_share():
    counts = make((0.2, 0.3), runs=3)
    del counts["m0"][0], counts["m1"][2]
    (pair,) = compare(rows(counts), resamples=100).pairs
    assert pair.seeds == (1,)
    assert pair.difference.value == data_set_miou(counts["m0"][1]) - data_set_miou(counts["m1"][1])


def test_seeds_are_exchanged_jointly_so_copies_of_a_seed_change_nothing():
    counts = make((0.3, 0.33))
    (one,) = compare(rows(counts), resamples=100).pairs
    copies = {name: {0: seeds[0], 1: seeds[0]} for name, seeds in counts.items()}
    (two,) = compare(rows(copies), resamples=100).pairs
    assert (one.p, one.difference) == (two.p, pytest.approx(two.difference))


def test_rows_without_a_common_seed_are_not_tested_and_share_their_rank():
    counts = make((0.1, 0.6), runs=2)
    del counts["m0"][0], counts["m1"][1]
    compared = compare(rows(counts))
    assert (compared.pairs, compared.resolvable) == ((), None)
    assert [compared.rank(name) for name in counts] == [1, 1]
    assert pair_interval(*rows(counts).values()) is None


def test_equal_rows_do_not_differ_and_clearly_worse_ones_do():
    counts = make((0.2, 0.5))
    compared = compare(rows({"good": counts["m0"], "copy": counts["m0"], "bad": counts["m1"]}))
    same, *others = compared.pairs
    assert (same.difference.value, same.p, same.better) == (0.0, 1.0, None)
    assert [pair.better for pair in others] == ["good", "copy"]
    assert [compared.rank(name) for name in ("good", "copy", "bad")] == [1, 1, 3]
    assert compared.ties("good") == ["copy"]


def test_a_row_tied_with_both_neighbours_shares_the_better_rank():
    """The middle row differs from neither end, the ends differ from each other: ranks 1, 1, 2."""
    truth = draw_truth(np.random.default_rng(1), 60)
    ends = [draw_counts(np.random.default_rng(2), truth, share) for share in (0.3, 0.4)]
    middle = draw_counts(np.random.default_rng(8), truth, 0.35)
    compared = compare(rows({"top": {0: ends[0]}, "middle": {0: middle}, "bottom": {0: ends[1]}}))
    assert [pair.significant for pair in compared.pairs] == [False, True, False]
    assert [compared.rank(name) for name in ("top", "middle", "bottom")] == [1, 1, 2]


def test_rows_of_other_images_or_other_truth_are_refused():
    one, two = make((0.2,)), make((0.2,), seed=1)
    with pytest.raises(DataError, match="row 'two', seed 0: its images were scored against other masks"):
        compare(rows({"one": one["m0"], "two": two["m0"]}))
    short = make((0.2,), images=9)
    with pytest.raises(DataError, match="different images"):
        compare(rows({"one": one["m0"], "two": short["m0"]}))


def test_a_ratio_has_an_interval_of_its_own_and_none_against_zero():
    counts = make((0.2, 0.5))
    good, bad = rows(counts).values()
    value, low, high = pair_interval(good, bad, relative=True)
    assert value == pytest.approx(data_set_miou(counts["m0"][0]) / data_set_miou(counts["m1"][0]))
    assert 1 < low < value < high
    moved = np.roll(np.eye(3, dtype=np.int64), 1, axis=1)
    nothing = {0: from_counts(counts["m0"][0].sum(2)[:, :, None] * moved)}
    assert pair_interval(good, nothing, relative=True) is None


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_a_p_value_keeps_the_order_and_equals_its_definition(p):
    adjusted = holm(p)
    assert all(one <= two <= 1 for one, two in zip(p, adjusted, strict=True))
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()
    for place, value in enumerate(adjusted):
        below = [min(1.0, (len(p) - step) * p[k]) for step, k in enumerate(order) if p[k] <= p[place]]
        assert value == pytest.approx(max(below))


def test_enough_exchanges_are_drawn_for_the_strictest_threshold_of_holm():
    for pairs in (1, 45, 500):
        assert 1 / (1 + permutations(pairs)) < ALPHA / pairs / 3.9


def test_exchanges_do_not_depend_on_the_batch_and_list_every_one_of_few_images(monkeypatch):
    ids = [f"i{n}" for n in range(70)]
    whole = np.concatenate(list(sign_batches(ids, 50, width=1)))
    monkeypatch.setattr("harness.scoring.paired._BATCH", 300)
    assert (np.concatenate(list(sign_batches(ids, 50, width=1))) == whole).all()
    assert abs(whole.mean()) < 0.05
    few = np.concatenate(list(sign_batches(ids[:5], 40, width=1)))
    assert len({tuple(signs) for signs in few}) == 32


def test_ranking_separates_equal_methods_in_at_most_five_of_a_hundred_tables():
    """400 tables of four methods with the same distribution; without Holm's correction about 18 % would separate."""
    wrong = uncorrected = 0
    for trial in range(400):
        compared = compare(rows(make((0.3,) * 4, seed=trial, images=25)), resamples=2)
        wrong += any(compared.rank(name) > 1 for name in ("m0", "m1", "m2", "m3"))
        uncorrected += any(pair.p <= ALPHA for pair in compared.pairs)
    assert wrong <= 0.05 * 400
    assert uncorrected > 0.10 * 400


def test_intervals_hold_the_truth_in_92_to_98_of_a_hundred_samples():
    """400 samples of 100 images from a population whose mIoU is known: of a row, and of the difference of two."""
    rng = np.random.default_rng(4)
    truth = draw_truth(rng, 4000)
    population = [draw_counts(rng, truth, share) for share in (0.25, 0.35)]
    known = data_set_miou(population[0]) - data_set_miou(population[1])
    inside = 0
    for _ in range(400):
        drawn = rng.integers(0, 4000, 100)
        _, low, high = pair_interval(*({0: from_counts(counts[drawn])} for counts in population), resamples=300)
        inside += low <= known <= high
    assert 0.92 <= inside / 400 <= 0.98
