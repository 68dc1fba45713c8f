"""The filter is what its definition says, on trees of any shape, and padding has no part in it."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsss_tree_energy.method import along_tree, edge_distances, tree_energy
from wsss_tree_energy.tree import grid_edges, minimum_spanning_forest, squared_differences, tree_filter

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))
FEW = settings(deadline=None, max_examples=30)


def kruskal(weights, edges, cells):
    """Edges of the minimum spanning tree; of equal weights the first counts."""
    leader, kept = list(range(cells)), []
    for edge in np.argsort(weights, kind="stable"):
        one, other = (leader[cell] for cell in edges[edge])
        if one != other:
            leader = [one if cell == other else cell for cell in leader]
            kept.append(int(edge))
    return sorted(kept)


def products(similarity, kept, edges, cells):
    """S of one image by its definition: products along paths, found by walking from every cell."""
    near = {cell: [] for cell in range(cells)}
    for edge in kept:
        one, other = edges[edge]
        near[one].append((other, similarity[edge]))
        near[other].append((one, similarity[edge]))
    result = np.eye(cells)
    for start in range(cells):
        walk = [(start, -1)]
        while walk:
            cell, before = walk.pop()
            for other, weight in near[cell]:
                if other != before:
                    result[start, other] = result[start, cell] * weight
                    walk.append((other, cell))
    return result


@FEW
@given(SHAPES, st.integers(0, 1000), st.booleans())
def test_trees_and_filter_are_those_of_the_definition(shape, seed, with_ties):
    batch, height, width = shape
    rng, edges, cells = np.random.default_rng(seed), grid_edges(height, width), height * width
    distances = rng.integers(0, 3, (batch, len(edges))) if with_ties else rng.random((batch, len(edges)))
    distances = torch.from_numpy(distances.astype(np.float64))
    similarity, x = torch.exp(-distances), torch.from_numpy(rng.random((batch, 2, height, width)))
    forest = minimum_spanning_forest(distances, height, width)
    filtered = tree_filter(x, similarity, forest)
    found = np.divmod(np.sort(forest.edge), max(len(edges), 1))
    for image in range(batch):
        kept = kruskal(distances[image].numpy(), edges, cells)
        assert found[1][found[0] == image].tolist() == kept
        weights = products(similarity[image].numpy(), kept, edges, cells)
        expected = (x[image].flatten(1).numpy() @ weights / weights.sum(1)).reshape(2, height, width)
        np.testing.assert_allclose(filtered[image], expected, atol=1e-12)


def test_distances_and_their_gradients_are_those_of_finite_differences():
    features = torch.rand(2, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(squared_differences, features)
    for image, (edge, (one, other)) in product(range(2), enumerate(grid_edges(3, 4))):
        cells = features[image].flatten(1)
        gap = (cells[:, one] - cells[:, other]).square().sum()
        assert squared_differences(features)[image, edge].item() == pytest.approx(gap.item())


def test_half_precision_is_filtered_as_float32():
    distances = torch.rand(1, 24)
    x = torch.rand(1, 2, 4, 4).bfloat16().requires_grad_()
    filtered = along_tree(x, distances)
    filtered.sum().backward()
    assert (filtered.dtype, x.grad.dtype) == (torch.float32, torch.bfloat16)


def test_no_path_leads_through_padding():
    """Two pixels of an image that touches padding on three sides are filtered as without the padding."""
    image, x = torch.rand(1, 3, 4, 5), torch.rand(1, 2, 4, 5)
    padded = torch.nn.functional.pad(image, (2, 3, 0, 2), value=0.5)
    outside = torch.nn.functional.pad(torch.zeros(1, 4, 5), (2, 3, 0, 2), value=1).bool()
    around = torch.nn.functional.pad(x, (2, 3, 0, 2), value=7.0)
    found = along_tree(around, edge_distances(padded, outside), 0.02)[:, :, :4, 2:7]
    torch.testing.assert_close(found, along_tree(x, edge_distances(image), 0.02))
    joined = along_tree(around, edge_distances(padded), 0.02)[:, :, :4, 2:7]
    assert not torch.allclose(joined, found)


def test_unlabelled_pixels_agree_with_those_of_their_colour_and_labelled_ones_have_no_say():
    image = torch.zeros(1, 3, 2, 4)
    image[..., 2:] = 1.0
    same = torch.tensor([[0.9, 0.9, 0.2, 0.2]]).expand(2, 4)
    agreeing = torch.stack([same, 1 - same])[None]
    everywhere, trees = torch.ones(1, 2, 4, dtype=torch.bool), [(edge_distances(image), 0.02)]
    assert tree_energy(agreeing, everywhere, trees).item() == pytest.approx(0, abs=1e-6)
    odd = agreeing.clone()
    odd[0, :, 0, 0] = torch.tensor([0.1, 0.9])  # 4 pixels of one colour: 0.9, 0.9, 0.9 and 0.1
    assert tree_energy(odd, everywhere, trees).item() == pytest.approx(2 * (3 * 0.2 + 0.6) / 8, abs=1e-6)
    labelled = everywhere.clone()
    labelled[0, 0, 0] = False
    assert tree_energy(odd, labelled, trees).item() == pytest.approx(2 * 3 * 0.2 / 7, abs=1e-6)


def test_gradients_are_not_slow_where_features_are_far_apart():
    """A similarity of e^-87 would be a denormal number, with which a processor computes many times as long."""
    features = (30 * torch.randn(1, 16, 6, 6)).requires_grad_()
    x = torch.rand(1, 2, 6, 6)
    (gradient,) = torch.autograd.grad(along_tree(x, edge_distances(features)).square().sum(), features)
    assert not gradient.any()
