from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from harness.contract import ConfigError, PseudoLabel, SoftScores
from harness.maps.params import DenseCrfParams
from harness.maps.probabilities import label_probabilities, score_probabilities
from harness.maps.refiners import DenseCrfRefiner

HEIGHT, WIDTH = 24, 32


def scene():
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[6:18, 8:24] = True
    image = np.where(inside[..., None], (210, 50, 40), (20, 120, 90)).astype(np.uint8)
    return image, inside


def refined(label, **params):
    image, _ = scene()
    view = SimpleNamespace(image=lambda image_id: image)
    (found,) = DenseCrfRefiner(DenseCrfParams(**params)).refine([label], view, SimpleNamespace(device="cpu"))
    assert found.image_id == label.image_id
    assert found.mask.dtype == np.uint8
    return found


def test_soft_scores_grow_to_the_edges_and_the_marginals_are_kept():
    _, inside = scene()
    values = np.full((1, HEIGHT // 2, WIDTH // 2), 0.05, np.float16)
    values[0, 3:9, 4:12] = 0.25  # (1 - 0.25)^4 is more: background before refinement
    values[0, 4:8, 5:10] = 0.9
    scores = SoftScores((7,), values, (HEIGHT, WIDTH))
    found = refined(PseudoLabel("a", np.zeros((HEIGHT, WIDTH), np.uint8), scores))
    np.testing.assert_array_equal(found.mask, np.where(inside, 7, 0))
    assert (found.scores.classes, found.scores.values.shape, found.scores.size) == ((7,), values.shape, (HEIGHT, WIDTH))
    assert found.scores.values[0, 6, 8] > 0.9


def test_the_backend_is_a_parameter():
    _, inside = scene()
    label = PseudoLabel("a", np.where(inside, 3, 0).astype(np.uint8))
    np.testing.assert_array_equal(refined(label, backend="torch").mask, refined(label).mask)


def test_labels_alone_are_refined_and_ignored_pixels_are_decided():
    _, inside = scene()
    mask = np.where(inside, 3, 0).astype(np.uint8)
    mask[6:18, 22:26] = 255
    mask[10:12, 10:12] = 0
    found = refined(PseudoLabel("a", mask))
    np.testing.assert_array_equal(found.mask, np.where(inside, 3, 0))
    assert found.scores is None


@pytest.mark.parametrize("scores", [None, SoftScores((), np.zeros((0, 6, 8), np.float16), (HEIGHT, WIDTH))])
def test_an_image_without_classes_stays_as_it_is(scores):
    label = PseudoLabel("a", np.zeros((HEIGHT, WIDTH), np.uint8), scores)
    assert refined(label) is label


def test_no_class_appears_that_was_not_there():
    rng = np.random.default_rng(0)
    mask = rng.choice(np.array([0, 4, 9, 255], np.uint8), (HEIGHT, WIDTH))
    assert set(np.unique(refined(PseudoLabel("a", mask)).mask)) <= {0, 4, 9}


def test_background_of_soft_scores_is_a_power_unless_it_is_stored():
    values = np.array([[[0.5, 0.2]], [[0.1, 0.9]]], np.float16)
    classes, found = score_probabilities(SoftScores((2, 5), values, (1, 2)), 2.0)
    assert classes == (0, 2, 5)
    np.testing.assert_allclose(found[0], [[0.25, 0.01]], atol=1e-3)
    classes, found = score_probabilities(SoftScores((0, 5), values, (1, 2)), 2.0)
    assert classes == (0, 5)
    np.testing.assert_allclose(found, values, atol=1e-6)


def test_labels_become_probabilities():
    classes, found = label_probabilities(np.array([[0, 4, 255]], np.uint8), 0.7)
    assert classes == (0, 4)
    np.testing.assert_allclose(found[:, 0], [[0.7, 0.3, 0.5], [0.3, 0.7, 0.5]], atol=1e-6)


@pytest.mark.parametrize("bad", [{"iterations": -1}, {"bilateral_srgb": 0.0}, {"certainty": 1.0}])
def test_impossible_parameters_are_refused_by_name(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        DenseCrfParams(**bad)


def test_registration_is_light():
    code = (
        "import sys, harness.maps, harness.maps.builtin as r\n"
        "assert {'dense_crf', 'guided_filter'} <= {x.name for x in r.wsss_refiners()}\n"
        "assert not {'numpy', 'torch', 'numba', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
