"""Trees, filter and loss give the numbers of the released code; ``vectors/released_code.json`` names their source."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from wsss_tree_energy.method import along_tree, edge_distances, tree_energy
from wsss_tree_energy.tree import grid_edges, minimum_spanning_forest, squared_differences, tree_filter

VECTORS = json.loads((Path(__file__).parent / "vectors" / "released_code.json").read_text())
TREE, FLAT, LOSS = VECTORS["T1_tree"], VECTORS["T2_flat_image"], VECTORS["T3_loss"]
TOLERANCE = 2e-6


def tensor(values, batch=True, **kwargs):
    found = torch.tensor(values, **kwargs)
    return found[None] if batch else found


def tree_edges(features):
    """The edges of the tree of one image, as pairs of cells."""
    height, width = features.shape[2:]
    forest = minimum_spanning_forest(squared_differences(features), height, width)
    return {tuple(edge) for edge in grid_edges(height, width)[forest.edge].tolist()}


def pairs(edges):
    return {tuple(edge) for edge in edges}


def test_edges_and_their_weights_are_those_of_the_released_code():
    assert grid_edges(3, 4).tolist() == TREE["grid_edges"]
    weights = squared_differences(tensor(TREE["image"]))[0] + 1
    assert weights.tolist() == pytest.approx(TREE["edge_weights"], abs=TOLERANCE)


def test_trees_of_colours_and_of_features_are_those_of_the_released_code():
    assert tree_edges(tensor(TREE["image"])) == pairs(TREE["tree_edges"])
    assert tree_edges(tensor(TREE["high_features"])) == pairs(TREE["tree_edges_high"])


def test_on_a_flat_image_the_edges_that_are_listed_first_are_the_tree():
    assert tree_edges(torch.full((1, 3, *FLAT["size"]), 0.5)) == pairs(FLAT["tree_edges"])


@pytest.mark.parametrize("sigma", [0.02, 0.2])
def test_the_low_filter_is_that_of_the_released_code(sigma):
    filtered = along_tree(tensor(TREE["probability"]), edge_distances(tensor(TREE["image"])), sigma)
    expected = VECTORS[f"T1_filter_sigma{sigma}"]["filtered"]
    np.testing.assert_allclose(filtered[0], expected, atol=TOLERANCE)


def test_the_high_filter_is_that_of_the_released_code():
    filtered = along_tree(tensor(TREE["probability"]), edge_distances(tensor(TREE["high_features"])))
    np.testing.assert_allclose(filtered[0], TREE["filtered_high"], atol=TOLERANCE)


def given():
    logits = tensor(LOSS["logits"], batch=False, requires_grad=True)
    features = tensor(LOSS["high_features"], batch=False, requires_grad=True)
    large, size = tensor(LOSS["image_twice_as_large"], batch=False), logits.shape[2:]
    image = torch.nn.functional.interpolate(large, size, mode="bilinear", align_corners=False)
    unlabelled = tensor(LOSS["unlabelled"], batch=False).float()[:, None]
    return logits, image, features, torch.nn.functional.interpolate(unlabelled, size)[:, 0].bool()


def test_loss_and_its_gradients_are_those_of_the_released_code():
    logits, image, features, unlabelled = given()
    trees = [(edge_distances(image), LOSS["sigma"]), (edge_distances(features), 1.0)]
    loss = LOSS["weight"] * tree_energy(logits.softmax(1), unlabelled, trees)
    loss.backward()
    assert loss.item() == pytest.approx(LOSS["loss_low_then_high"], abs=TOLERANCE)
    np.testing.assert_allclose(logits.grad, LOSS["gradient_logits"], atol=TOLERANCE)
    np.testing.assert_allclose(features.grad, LOSS["gradient_high_features"], atol=TOLERANCE)


def test_the_loss_of_the_low_level_alone_and_of_labelled_images_is_that_of_the_released_code():
    logits, image, _, unlabelled = given()
    trees = [(edge_distances(image), LOSS["sigma"])]
    low = tree_energy(logits.softmax(1), unlabelled, trees)
    assert LOSS["weight"] * low.item() == pytest.approx(LOSS["loss_low_only"], abs=TOLERANCE)
    none = tree_energy(logits.softmax(1), torch.zeros_like(unlabelled), trees)
    assert none.item() == LOSS["loss_everything_labelled"]


def test_gradients_by_maps_and_by_similarities_are_those_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    distances = torch.rand(2, 12 + 12 - 3 - 4, generator=generator, dtype=torch.float64)
    forest = minimum_spanning_forest(distances, 3, 4)
    x = torch.rand(2, 2, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    similarity = torch.exp(-distances).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, s: tree_filter(x, s, forest), (x, similarity))
