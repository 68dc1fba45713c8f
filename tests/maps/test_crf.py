from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numba
import numpy as np
import pytest
import torch

from harness.contract import ConfigError
from harness.maps import Bilateral, DenseCRF, Gaussian, kernels_for
from harness.maps.crf.lattice import Lattice, _embed, _number, _slot, packing, scales
from harness.maps.crf.lattice_torch import TorchLattice

VECTORS = Path(__file__).parent / "vectors" / "dense_crf.json"


def scene(height=18, width=22):
    """An image of two colours with a little noise, and three noisy probabilities that roughly follow it."""
    rng = np.random.default_rng(0)
    inside = np.zeros((height, width), bool)
    inside[4:13, 6:17] = True
    image = np.where(inside[..., None], (200, 60, 40), (30, 90, 160)) + rng.integers(-6, 7, (height, width, 3))
    scores = np.stack([~inside, inside, np.zeros_like(inside)]) * 0.4 + rng.random((3, height, width)) * 0.6 + 0.05
    return image.astype(np.uint8), (scores / scores.sum(0)).astype(np.float32), inside


def exact_mean_field(image, probabilities, pairwise, iterations):
    """All pairs of pixels, no lattice."""
    labels = len(probabilities)
    unary = np.log(np.clip(probabilities.reshape(labels, -1).astype(float), 1e-5, 1))
    kernels = []
    for kernel in pairwise:
        features = kernel.features(image).astype(float)
        weights = np.exp(-0.5 * ((features[:, :, None] - features[:, None]) ** 2).sum(0))
        norm = 1 / np.sqrt(weights.sum(1))
        kernels.append(kernel.compat * norm[:, None] * weights * norm)
    marginals = np.exp(unary) / np.exp(unary).sum(0)
    for _ in range(iterations):
        logits = unary + sum(marginals @ kernel for kernel in kernels)
        logits = np.exp(logits - logits.max(0))
        marginals = logits / logits.sum(0)
    return marginals.reshape(probabilities.shape)


OWN = pytest.mark.parametrize("backend", ["numba", "torch"])


@OWN
def test_two_label_problems_equal_pydensecrf(backend):
    vector = json.loads(VECTORS.read_text())
    score = np.array(vector["score"], np.float32)
    pairwise = [Gaussian(3, 10), Bilateral(80, 13, 10)]
    crf = DenseCRF(np.array(vector["image"], np.uint8), pairwise=pairwise, backend=backend)
    marginals = crf.infer_many(np.stack([(1 - score) ** 11, score], axis=1), 10)
    np.testing.assert_allclose(marginals[:, 1], vector["foreground"], atol=5e-5)


@OWN
def test_three_labels_equal_pydensecrf(backend):
    """A band whose probability says background goes to the object whose colour it has."""
    image = np.full((10, 10, 3), 100, np.uint8)
    image[2:8, 3:8] = (20, 200, 50)
    probabilities = np.empty((3, 10, 10), np.float32)
    probabilities[:] = np.array([0.8, 0.1, 0.1])[:, None, None]
    probabilities[:, 0, 0] = 0.4, 0.1, 0.5
    probabilities[:, 2:8, 3:6] = np.array([0.2, 0.7, 0.1])[:, None, None]
    probabilities[:, 2:8, 6:8] = np.array([0.5, 0.35, 0.15])[:, None, None]
    pairwise = [Gaussian(1, 3), Bilateral(67, 3, 4)]
    marginals = DenseCRF(image, pairwise=pairwise, backend=backend).infer(probabilities, 10)
    expected = np.zeros((10, 10), int)
    expected[2:8, 3:8] = 1
    np.testing.assert_array_equal(marginals.argmax(0), expected)
    np.testing.assert_allclose(marginals[:, 5, 7], [0.00931, 0.98967, 0.00101], atol=5e-5)


def test_marginals_are_near_the_exact_mean_field():
    image, probabilities, _ = scene()
    pairwise = [Gaussian(3, 3), Bilateral(20, 13, 5)]
    found = DenseCRF(image, pairwise=pairwise).infer(probabilities, 5)
    exact = exact_mean_field(image, probabilities, pairwise, 5)
    assert (found.argmax(0) == exact.argmax(0)).mean() > 0.995
    assert np.quantile(abs(found - exact), 0.99) < 0.03


def test_labels_snap_to_the_edges_of_the_image():
    image, probabilities, inside = scene()
    assert (probabilities.argmax(0) != inside).mean() > 0.05
    found = DenseCRF(image, pairwise=[Gaussian(3, 3), Bilateral(40, 13, 10)]).infer(probabilities, 10)
    np.testing.assert_array_equal(found.argmax(0), inside)


def test_marginals_are_probabilities():
    image, probabilities, _ = scene()
    found = DenseCRF(image).infer(probabilities, 3)
    assert found.dtype == np.float32
    assert found.shape == probabilities.shape
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)


@OWN
@pytest.mark.parametrize(("pairwise", "iterations"), [((Gaussian(), Bilateral()), 0), ((), 7)])
def test_without_messages_the_marginals_are_the_clipped_and_normalised_probabilities(pairwise, iterations, backend):
    image, probabilities, _ = scene()
    probabilities[0, 0] = 0
    found = DenseCRF(image, pairwise=pairwise, backend=backend).infer(probabilities * 0.5, iterations)
    clipped = np.clip(probabilities * 0.5, 1e-5, 1)
    np.testing.assert_allclose(found, clipped / clipped.sum(0), atol=1e-5)


@OWN
def test_problems_solved_together_equal_problems_solved_alone(backend):
    image, probabilities, _ = scene()
    crf = DenseCRF(image, backend=backend)
    batch = np.stack([probabilities, probabilities[::-1], probabilities[[1, 0, 2]]])
    for together, alone in zip(crf.infer_many(batch, 4), batch, strict=True):
        np.testing.assert_allclose(together, crf.infer(alone, 4), atol=1e-5)


def test_the_order_of_the_labels_does_not_matter():
    image, probabilities, _ = scene()
    crf = DenseCRF(image)
    order = [2, 0, 1]
    np.testing.assert_allclose(crf.infer(probabilities[order], 5), crf.infer(probabilities, 5)[order], atol=1e-4)


@OWN
def test_the_input_is_left_alone(backend):
    image, probabilities, _ = scene()
    before = probabilities.copy()
    DenseCRF(image, backend=backend).infer(probabilities, 2)
    np.testing.assert_array_equal(probabilities, before)


def test_the_number_of_threads_does_not_change_a_bit():
    image, probabilities, _ = scene()
    found = []
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        found.append(DenseCRF(image).infer(probabilities, 5).tobytes())
    assert found[0] == found[1]


@OWN
def test_a_single_pixel_keeps_its_label(backend):
    crf = DenseCRF(np.zeros((1, 1, 3), np.uint8), backend=backend)
    assert crf.infer(np.array([0.3, 0.7], np.float32)[:, None, None], 5)[:, 0, 0].argmax() == 1


@OWN
@pytest.mark.parametrize(
    ("pairwise", "words"),
    [
        ((Gaussian(sxy=0),), "sxy .* positive"),
        ((Bilateral(srgb=-1),), "srgb .* positive"),
        ((Bilateral(sxy=1e-4, srgb=1e-4),), "too small"),
    ],
)
def test_impossible_kernels_are_refused(pairwise, words, backend):
    with pytest.raises(ConfigError, match=words):
        DenseCRF(scene()[0], pairwise=pairwise, backend=backend)


def test_wrong_shapes_are_refused():
    image, probabilities, _ = scene()
    with pytest.raises(ConfigError, match=r"\(H, W, 3\) uint8"):
        DenseCRF(image.astype(np.float32))
    with pytest.raises(ValueError, match="L >= 2"):
        DenseCRF(image).infer(probabilities[:1])


def test_the_lattice_filters_like_a_gaussian():
    """On scattered points in five dimensions, against all pairs, both with the same normalisation."""
    rng = np.random.default_rng(1)
    features = (rng.random((5, 800)) * 1.5).astype(np.float32)
    values = rng.random((800, 3)).astype(np.float32)
    lattice = Lattice(features)
    found = np.zeros_like(values)
    lattice.filter_into(found, values, 1.0, np.empty(2 * 3 * lattice.rows, np.float32), add=False)
    weights = np.exp(-0.5 * ((features[:, :, None] - features[:, None]) ** 2).sum(0))
    norm = 1 / np.sqrt(weights.sum(1))
    error = abs(found / (norm[:, None] * (weights @ (norm[:, None] * values))) - 1)
    assert np.median(error) < 0.02
    assert error.max() < 0.2


@pytest.mark.parametrize(("deviation", "vertices"), [(1.0, 100_000), (40.0, 1)])
def test_vertices_are_numbered_in_order_of_appearance(deviation, vertices):
    """A large image whose table of vertices grows many times, and one whose pixels share a few."""
    features = Gaussian(deviation, 3).features(np.zeros((300, 400, 3), np.uint8))
    low, strides = packing(features.min(axis=1), features.max(axis=1))
    keys, _ = _embed(features, scales(2), low, strides)
    ids, known, table, numbers = _number(keys.copy())
    assert len(known) > vertices
    np.testing.assert_array_equal(known[ids], keys)
    first_seen = np.unique(ids, return_index=True)[1]
    assert (np.diff(first_seen) > 0).all()
    slots = [_slot(table, key) for key in known[:: max(len(known) // 50, 1)]]
    np.testing.assert_array_equal(known[numbers[slots]], table[slots])


def test_torch_equals_numba():
    image, probabilities, _ = scene(37, 41)
    batch = np.stack([probabilities, probabilities[[1, 2, 0]]])
    pairwise = [Gaussian(2, 4), Bilateral(30, 9, 6)]
    numba_, torch_ = (DenseCRF(image, pairwise=pairwise, backend=b).infer_many(batch, 10) for b in ("numba", "torch"))
    assert torch_.dtype == np.float32
    np.testing.assert_allclose(torch_, numba_, atol=1e-4)


def test_the_lattice_in_torch_has_the_vertices_and_sums_of_the_one_in_numba():
    """On scattered points: no two share a simplex, most vertices lack neighbours."""
    rng = np.random.default_rng(2)
    features = (rng.random((5, 600)) * 40).astype(np.float32)
    values = rng.random((600, 3)).astype(np.float32)
    lattice, other = Lattice(features), TorchLattice(torch.from_numpy(features))
    found = np.zeros_like(values)
    lattice.filter_into(found, values, 1.0, np.empty(2 * 3 * lattice.rows, np.float32), add=False)
    assert other.vertices == lattice.rows - 1
    np.testing.assert_allclose(other.filter(torch.from_numpy(values)).numpy(), found, atol=1e-5)


class ExactPydensecrf:
    """Stands in for ``pydensecrf.densecrf.DenseCRF``: same calls, all pairs of pixels."""

    def __init__(self, count, labels):
        self._shape = (labels, count)
        self._kernels = []

    def setUnaryEnergy(self, energy):
        assert (energy.shape, energy.dtype, energy.flags.c_contiguous) == (self._shape, np.float32, True)
        self._energy = energy

    def addPairwiseEnergy(self, features, compat):
        assert (features.dtype, features.flags.c_contiguous) == (np.float32, True)
        weights = np.exp(-0.5 * ((features[:, :, None] - features[:, None]) ** 2).sum(0))
        norm = 1 / np.sqrt(weights.sum(1))
        self._kernels.append(compat * norm[:, None] * weights * norm)

    def inference(self, iterations):
        logits = -self._energy
        for step in range(iterations + 1):
            marginals = np.exp(logits - logits.max(0))
            marginals /= marginals.sum(0)
            if step < iterations:
                logits = -self._energy + sum(marginals @ kernel for kernel in self._kernels)
        return marginals.tolist()


def test_pydensecrf2_gets_energies_and_features(monkeypatch):
    package, module = ModuleType("pydensecrf"), ModuleType("pydensecrf.densecrf")
    package.densecrf, module.DenseCRF = module, ExactPydensecrf
    monkeypatch.setitem(sys.modules, "pydensecrf", package)
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", module)
    image, probabilities, _ = scene()
    pairwise = [Gaussian(3, 3), Bilateral(20, 13, 5)]
    batch = np.stack([probabilities, probabilities[::-1]])
    found = DenseCRF(image, pairwise=pairwise, backend="pydensecrf2").infer_many(batch, 5)
    assert (found.dtype, found.shape) == (np.float32, batch.shape)
    for marginals, given in zip(found, batch, strict=True):
        np.testing.assert_allclose(marginals, exact_mean_field(image, given, pairwise, 5), atol=1e-4)


def test_a_backend_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydensecrf", None)
    with pytest.raises(ConfigError, match=r"backend: pydensecrf2 cannot be imported .* numba or torch"):
        DenseCRF(scene()[0], backend="pydensecrf2")
    with pytest.raises(ConfigError, match="must be numba, torch or pydensecrf2, got 'cuda'"):
        DenseCRF(scene()[0], backend="cuda")


def test_kernels_keep_their_share_of_the_image_or_their_pixels():
    papers = (Gaussian(3, 10), Bilateral(80, 13, 10))
    assert kernels_for((375, 500), papers) == papers
    assert kernels_for((240, 320), papers) == (Gaussian(3 * 0.64, 10), Bilateral(80 * 0.64, 13, 10))
    assert kernels_for((240, 320), papers, reference=None) == papers
