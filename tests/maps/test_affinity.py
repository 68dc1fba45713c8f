from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.maps import cosine_step, feature_affinity
from harness.maps.affinity import half_disc

VECTORS = json.loads((Path(__file__).parent / "vectors" / "affinity.json").read_text())
WALK, LOSS, RANK = (VECTORS[name] for name in ("P2_affinity", "P3_loss_equals_propagation", "P7_low_rank"))
PRECISIONS = pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-10), (torch.float32, 2e-5)])


def known(dtype=torch.float64):
    features = torch.tensor([WALK["F"]], dtype=dtype)
    return feature_affinity([features], radius=WALK["radius"], tau=WALK["tau"], beta=WALK["beta"])


def column(values, dtype=torch.float64):
    return torch.tensor(values, dtype=dtype).view(1, 1, 2, 3)


def dense(features, radius, tau, valid=None):
    """The affinity of all pairs of cells, cell by cell."""
    count, height, width = features.shape
    cells = torch.nn.functional.normalize(features, dim=0).reshape(count, -1)
    place = torch.tensor([(y, x) for y in range(height) for x in range(width)])
    near = ((place[:, None] - place) ** 2).sum(-1) < radius**2
    weights = ((cells.T @ cells - 1) / tau).exp() * near
    if valid is not None:
        weights = weights * valid.flatten() * valid.flatten()[:, None]
    weights.fill_diagonal_(1)
    return weights


@PRECISIONS
def test_steps_of_the_walk_give_the_published_numbers(dtype, atol):
    affinity = known(dtype)
    start = column(WALK["m0"], dtype)
    for steps in (1, 2, 8):
        expected = column(WALK[f"after_{steps}"], dtype)
        torch.testing.assert_close(affinity.walk(start, steps), expected, atol=atol, rtol=0)


def test_one_step_is_the_row_stochastic_matrix_and_the_degree_its_denominator():
    affinity, matrix = known(), torch.tensor(WALK["A"], dtype=torch.float64)
    columns = affinity.walk(torch.eye(6, dtype=torch.float64).view(1, 6, 2, 3), 1)
    expected = torch.tensor(WALK["P_row_stochastic"], dtype=torch.float64)
    torch.testing.assert_close(columns.flatten(2)[0].T, expected, atol=1e-10, rtol=0)
    torch.testing.assert_close(affinity.degree().flatten(), matrix.sum(1), atol=1e-10, rtol=0)


def test_the_limit_of_the_walk_is_the_degree_weighted_mean_everywhere():
    affinity = known()
    weights = affinity.degree().flatten() / affinity.degree().sum()
    torch.testing.assert_close(weights.tolist(), WALK["stationary_weights_pi"], atol=1e-10, rtol=0)
    found = affinity.walk(column(WALK["m0"]), 3000)
    torch.testing.assert_close(found, torch.full_like(found, WALK["limit_value"]), atol=1e-10, rtol=0)


def test_a_gradient_step_on_the_energy_is_a_lazy_step_of_the_walk():
    affinity, eta = known(), LOSS["eta"]
    maps = column(LOSS["m"]).requires_grad_()
    energy = affinity.energy(maps).sum()
    (gradient,) = torch.autograd.grad(energy, maps)
    assert energy.item() == pytest.approx(LOSS["E"], abs=1e-10)
    torch.testing.assert_close(gradient, column(LOSS["dE_dm"]), atol=1e-10, rtol=0)
    stepped = maps - eta * 0.5 * gradient / affinity.degree()
    lazy = (1 - eta) * maps + eta * affinity.walk(maps, 1)
    for found, name in ((stepped, "m_after_preconditioned_gradient_step"), (lazy, "m_after_lazy_walk")):
        torch.testing.assert_close(found.detach(), column(LOSS[name]), atol=1e-10, rtol=0)
    assert affinity.energy(lazy).item() == pytest.approx(LOSS["E_after"], abs=1e-10)


@PRECISIONS
def test_the_cosine_of_all_pairs_is_never_formed_and_yet_used(dtype, atol):
    features = torch.tensor([RANK["F"]], dtype=dtype)
    maps, expected = (torch.tensor(RANK[name], dtype=dtype).view(1, 2, 2, 4) for name in ("M", "PM"))
    torch.testing.assert_close(cosine_step(features, maps), expected, atol=atol, rtol=0)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 99), st.integers(1, 9), st.integers(1, 9), st.floats(0.5, 6.0), st.integers(0, 5))
def test_the_walk_equals_the_dense_matrix(seed, height, width, radius, steps):
    random = torch.Generator().manual_seed(seed)
    features = torch.randn(2, 4, height, width, generator=random, dtype=torch.float64)
    maps = torch.rand(2, 3, height, width, generator=random, dtype=torch.float64)
    valid = torch.rand(2, height, width, generator=random) > 0.2
    found = feature_affinity([features], radius=radius, tau=0.5, valid=valid).walk(maps, steps)
    for one, inside, start, end in zip(features, valid, maps, found, strict=True):
        weights = dense(one, radius, 0.5, inside)
        step = torch.linalg.matrix_power(weights / weights.sum(1, keepdim=True), steps)
        torch.testing.assert_close(end.flatten(1), start.flatten(1) @ step.T, atol=1e-10, rtol=0)
    assert (found.amax((2, 3)) <= maps.amax((2, 3)) + 1e-9).all()
    assert (found.amin((2, 3)) >= maps.amin((2, 3)) - 1e-9).all()


def test_constant_maps_stay_and_the_input_is_not_written_to():
    affinity = feature_affinity([torch.randn(1, 4, 6, 7)], radius=1)
    assert not affinity.shifts
    maps = torch.rand(1, 2, 6, 7)
    kept = maps.clone()
    torch.testing.assert_close(affinity.walk(maps, 5), maps)
    feature_affinity([torch.randn(1, 4, 6, 1)], radius=2).walk(maps[..., :1].contiguous(), 3)
    torch.testing.assert_close(maps, kept, atol=0, rtol=0)
    constant = torch.full((1, 1, 6, 7), 0.25)
    torch.testing.assert_close(feature_affinity([torch.randn(1, 4, 6, 7)]).walk(constant, 9), constant)


def test_several_levels_share_the_cosine_on_the_largest_grid():
    fine, coarse = torch.rand(1, 3, 6, 8, dtype=torch.float64), torch.rand(1, 5, 6, 8, dtype=torch.float64)
    both = feature_affinity([fine, coarse], radius=2, tau=1.0)
    alone = [feature_affinity([level], radius=2, tau=1.0).planes for level in (fine, coarse)]
    torch.testing.assert_close(both.planes, (alone[0] * alone[1]) ** 0.5)
    assert feature_affinity([fine, coarse[..., ::2, ::2]], radius=2).size == (6, 8)


def test_half_a_disc_holds_one_of_each_opposite_pair():
    offsets = half_disc(5)
    assert len(offsets) == 34
    assert not {(-dy, -dx) for dy, dx in offsets} & set(offsets)
    assert half_disc(1) == []


def test_no_gradient_reaches_the_features():
    features = torch.rand(1, 3, 4, 4, requires_grad=True)
    affinity = feature_affinity([features], radius=2)
    assert not affinity.planes.requires_grad
    assert not affinity.walk(features, 2).requires_grad
