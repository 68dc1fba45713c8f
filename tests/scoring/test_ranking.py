from __future__ import annotations

import numpy as np
import pytest

from harness.contract import DataError
from harness.scoring import score
from harness.scoring.metrics import miou
from harness.scoring.ranking import agreement, halves, row_values


def confusions(wrong: float, seed: int = 0, images: int = 20):
    truth = np.random.default_rng(5).integers(0, 3, (images, 8, 8)).astype(np.uint8)
    rng = np.random.default_rng(seed)
    pred = np.where(rng.random(truth.shape) < wrong, (truth + 1) % 3, truth).astype(np.uint8)
    return score(((f"i{n}", *pair) for n, pair in enumerate(zip(truth, pred, strict=True))), 3)


def test_the_value_of_a_row_is_the_mean_of_its_seeds() -> None:
    seeds = [confusions(0.2, 1), confusions(0.2, 2)]
    expected = np.mean([miou(one.total()) for one in seeds])
    np.testing.assert_allclose(row_values([seeds]), [expected])


def test_rows_that_differ_by_noise_alone_agree_less_on_halves_than_rows_that_lie_apart() -> None:
    noise = halves([[confusions(0.3, seed)] for seed in range(8)])
    apart = halves([[confusions(0.1 * step, step)] for step in range(8)])
    assert noise.shape == (100,)
    assert np.nanmean(noise) < 0.4
    assert np.nanmean(apart) > 0.95
    np.testing.assert_array_equal(noise, halves([[confusions(0.3, seed)] for seed in range(8)]))


def test_a_turned_ranking_has_minus_one() -> None:
    values = np.array([0.1, 0.4, 0.2])
    assert agreement(values, values) == pytest.approx(1.0)
    assert agreement(values, -values) == pytest.approx(-1.0)
    assert np.isnan(agreement(values, np.zeros(3)))


def test_one_image_and_other_images_are_refused() -> None:
    with pytest.raises(DataError, match="one image"):
        halves([[confusions(0.1, images=1)], [confusions(0.2, images=1)]])
    with pytest.raises(DataError, match="different images"):
        halves([[confusions(0.1)], [confusions(0.2, images=19)]])
