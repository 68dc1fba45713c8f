"""Saliency from the image alone: finds what the border does not touch."""

import numpy as np
import pytest

from harness.maps.saliency import SIDE, barrier_distance, foreign_colours, minimum_barrier_saliency

GREEN, RED = (40, 120, 40), (200, 30, 30)


def square(height, width, first, last):
    """A green picture with a red rectangle from corner ``first`` to corner ``last`` (row, column), exclusive."""
    image = np.full((height, width, 3), GREEN, np.uint8)
    image[first[0] : last[0], first[1] : last[1]] = RED
    return image


def test_an_object_on_a_plain_ground_is_salient():
    found = minimum_barrier_saliency(square(90, 120, (30, 40), (60, 80)))
    assert found.shape == (90, 120)
    assert (found[35:55, 45:75] > 0.5).all()
    assert (found[:25] < 0.5).all()


def test_values_lie_between_zero_and_one_and_the_size_is_bounded():
    rng = np.random.default_rng(0)
    found = minimum_barrier_saliency(rng.integers(0, 256, (100, 2 * SIDE, 3)).astype(np.uint8))
    assert found.shape == (50, SIDE)
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (40, 3)])
def test_a_plain_or_tiny_image_is_finite(shape):
    assert np.isfinite(minimum_barrier_saliency(np.full((*shape, 3), 90, np.uint8))).all()


def test_the_barrier_is_the_range_of_the_best_path():
    plane = np.array([[0, 0, 0, 0, 0], [0, 5, 5, 5, 0], [0, 5, 9, 2, 1], [0, 5, 5, 5, 0], [0, 0, 0, 0, 0]], np.float32)
    found = barrier_distance(plane)
    assert found[1, 1] == 4  # in from the right border, 1 to 5
    assert found[2, 3] == 1  # from the right border, value 1, to 2
    assert found[2, 2] == 8  # along the same way, 1 to 9
    assert (found[0] == 0).all()


def test_colours_of_the_border_are_not_foreign():
    found = foreign_colours(square(40, 40, (15, 15), (25, 25)).astype(np.float32))
    assert found[20, 20] == pytest.approx(3)
    assert found[2, 2] == pytest.approx(0, abs=1e-3)
