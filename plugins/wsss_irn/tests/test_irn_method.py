"""The mathematics against the released code, the dense walk, and by hand."""

import numpy as np
import pytest
import torch

from harness.maps import half_disc, threshold_labels
from wsss_irn import method
from wsss_irn.tests.irn_vectors import VECTORS


@pytest.mark.parametrize("radius", [3, 5])
def test_paths_are_those_of_the_released_code(radius):
    vector = VECTORS[f"P1_paths_radius{radius}"]
    official = {
        tuple(offset): {tuple(step) for step in steps}
        for offset, steps in zip(
            vector["destinations_dy_dx"], vector["paths_dy_dx_in_order_of_destinations"], strict=True
        )
    }
    assert {offset: set(method.path(offset)) for offset in half_disc(radius)} == official


def test_there_are_as_many_offsets_as_in_the_released_code():
    counts = {int(radius): value["offsets"] for radius, value in VECTORS["P1_counts"].items()}
    assert {radius: len(half_disc(radius)) for radius in counts} == counts


class Training:
    """The group P2: two images, radius 4, float64."""

    def __init__(self):
        vector = VECTORS["P2_training"]
        self.vector, self.radius = vector, vector["radius"]
        self.logits = torch.tensor(vector["boundary_logits"], dtype=torch.float64).reshape(2, 12, 14)
        self.displacement = torch.tensor(vector["displacements_dy_dx"], dtype=torch.float64).reshape(2, 2, 12, 14)
        self.logits.requires_grad_()
        self.displacement.requires_grad_()
        self.affinities = method.pair_affinities(self.logits.sigmoid(), self.radius)
        self.pairs = method.label_pairs(torch.tensor(vector["labels"]), self.radius)
        same, different = method.boundary_losses(self.affinities, self.pairs)
        foreground, background = method.displacement_losses(self.displacement, self.pairs, self.radius)
        total = (same + different) / 2 + (foreground + background) / 2
        self.losses = torch.stack([same, different, foreground, background, total])


def test_affinities_are_those_of_the_released_code():
    training = Training()
    order = [half_disc(training.radius).index(tuple(offset)) for offset in training.vector["offsets_dy_dx"]]
    first = training.affinities[0, order, 0, 0].detach().numpy()
    np.testing.assert_allclose(first, training.vector["affinity_image0_first_cell"], atol=1e-9)
    assert training.affinities.sum().item() == pytest.approx(training.vector["affinity_sum"], abs=1e-5)


def test_labels_of_pairs_and_losses_are_those_of_the_released_code():
    training = Training()
    assert [float(kind.sum()) for kind in training.pairs] == training.vector["counts_bg_fg_neg"]
    expected = training.vector["losses_pos_neg_dpfg_dpbg_total"]
    np.testing.assert_allclose(training.losses.detach().numpy(), expected, atol=1e-7)


def test_gradients_are_those_of_the_released_code():
    training = Training()
    training.losses[-1].backward()
    vector = training.vector
    np.testing.assert_allclose(training.logits.grad[0], vector["gradient_boundary_logits_image0"], atol=1e-9)
    np.testing.assert_allclose(training.displacement.grad[0], vector["gradient_displacements_image0"], atol=1e-9)


def p3():
    vector = VECTORS["P3_walk"]
    boundary, cams = (torch.tensor(vector[name], dtype=torch.float32) for name in ("boundary_probability", "cams"))
    return vector, boundary[None], cams[None]


@pytest.mark.parametrize(
    ("name", "beta", "steps"), [("beta10_2^8", 10, 256), ("beta10_2^2", 10, 4), ("beta2_2^3", 2, 8)]
)
def test_the_walk_is_that_of_the_released_code(name, beta, steps):
    vector, boundary, cams = p3()
    walked = method.walk(cams, boundary, radius=vector["radius"], beta=beta, steps=steps)
    np.testing.assert_allclose(walked[0], vector["walked"][name], atol=1e-4)


def test_labels_behind_the_walk_are_those_of_the_released_code():
    vector, boundary, cams = p3()
    expected = vector["label_beta10_2^2"]
    walked = method.walk(cams, boundary, radius=5, beta=10, steps=4)
    height, width = expected["image_size"]
    large = torch.nn.functional.interpolate(walked, scale_factor=4, mode="bilinear", align_corners=False)
    planes = method.joint_normalise(large[0, :, :height, :width].numpy())
    found = threshold_labels(planes, expected["classes"][1:], expected["threshold"])
    np.testing.assert_array_equal(found, expected["label"])


def test_seeds_are_those_of_the_released_code():
    vector = VECTORS["P4_seeds"]
    strict, loose = (np.array(vector[f"from_threshold_{t}"], np.uint8) for t in ("0.30", "0.05"))
    np.testing.assert_array_equal(method.confident_labels(strict, loose), vector["seed"])


def dense_transitions(boundary, radius, beta):
    """The matrix over all pairs of cells, pair by pair from the definition; rows sum to 1."""
    height, width = boundary.shape
    matrix = np.eye(height * width)
    for dy, dx in half_disc(radius):
        for y in range(height - dy):
            for x in range(max(-dx, 0), width - max(dx, 0)):
                worst = max(boundary[y + py, x + px] for py, px in method.path((dy, dx)))
                one, other = y * width + x, (y + dy) * width + x + dx
                matrix[one, other] = matrix[other, one] = (1 - worst) ** beta
    return matrix / matrix.sum(1, keepdims=True)


def test_the_walk_by_planes_equals_the_matrix_over_all_pairs_of_cells():
    rng = np.random.default_rng(0)
    boundary, maps = rng.random((20, 26)) ** 2, rng.random((2, 20, 26))
    power = np.linalg.matrix_power(dense_transitions(boundary, 5, 10.0), 256)
    expected = (maps * (1 - boundary)).reshape(2, -1) @ power.T
    walked = method.walk(torch.tensor(maps)[None], torch.tensor(boundary)[None], radius=5, beta=10.0, steps=256)
    np.testing.assert_allclose(walked[0], expected.reshape(maps.shape), atol=1e-10)


def test_scores_do_not_cross_a_closed_boundary():
    boundary = torch.zeros(1, 9, 13)
    boundary[..., 6] = 1
    maps = torch.zeros(1, 1, 9, 13)
    maps[..., 4, 2] = 1
    walked = method.walk(maps, boundary, radius=4, beta=8, steps=200)[0, 0]
    assert walked[:, 7:].sum() == 0
    assert (walked[:, :6] > 0).all()


def test_a_map_smaller_than_the_reach_has_no_pairs_to_learn_from_and_still_walks():
    boundary = torch.rand(1, 3, 5)
    assert method.pair_affinities(boundary, 10).numel() == 0
    pairs = method.label_pairs(torch.zeros(1, 3, 5, dtype=torch.long), 10)
    losses = method.boundary_losses(method.pair_affinities(boundary, 10), pairs)
    assert [float(loss) for loss in losses] == [0, 0]
    assert method.walk(torch.rand(1, 1, 3, 5), boundary, radius=10, beta=10, steps=4).isfinite().all()


def test_pairs_with_an_ignored_cell_teach_nothing():
    labels = torch.full((1, 6, 8), 255)
    assert not any(kind.any() for kind in method.label_pairs(labels, 3))


def test_nothing_found_stays_nothing():
    assert not method.joint_normalise(np.zeros((2, 3, 3), np.float32)).any()
    assert method.joint_normalise(np.zeros((0, 3, 3), np.float32)).shape == (0, 3, 3)


def test_labels_are_reduced_and_enlarged_to_the_nearest_pixel():
    label = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(method.nearest_label(label, (3, 4)), label)
    np.testing.assert_array_equal(method.nearest_label(label, (6, 8)), label.repeat(2, 0).repeat(2, 1))
    np.testing.assert_array_equal(method.nearest_label(label.repeat(3, 0).repeat(3, 1), (3, 4)), label)
    cells = method.nearest(torch.from_numpy(label)[None], (2, 2))[0]
    np.testing.assert_array_equal(cells, [[0, 3], [8, 11]])
