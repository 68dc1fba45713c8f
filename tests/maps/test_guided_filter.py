from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.contract import ConfigError, PseudoLabel, SoftScores
from harness.maps import apply_guided_filter, box_mean
from harness.maps.guided_filter import POOLED_RADIUS, guided_coefficients
from harness.maps.params import GuidedFilterParams
from harness.maps.refiners import GuidedFilterRefiner

VECTORS = json.loads((Path(__file__).parent / "vectors" / "guided_filter.json").read_text())
GREY, COLOUR, BOX = (VECTORS[name] for name in ("P4_guided_grey", "P5_guided_colour", "P6_box_mean"))
PRECISIONS = pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-10), (torch.float32, 2e-5)])


def tensor(values, dtype=torch.float64):
    found = torch.tensor(values, dtype=dtype)
    return found.view(1, -1, *found.shape[-2:])


def filtered(guide, maps, case=GREY, **changes):
    return apply_guided_filter(guide, maps, **{"radius": case["r"], "eps": case["eps"], **changes})


def close(found, expected, atol):
    torch.testing.assert_close(found, tensor(expected, found.dtype), atol=atol, rtol=0)


@PRECISIONS
def test_the_mean_of_a_clipped_window_is_exact(dtype, atol):
    close(box_mean(tensor(BOX["x"], dtype), BOX["r"]), BOX["mean"], atol)


@PRECISIONS
def test_grey_guide_gives_the_published_numbers(dtype, atol):
    guide, maps = tensor(GREY["I"], dtype), tensor(GREY["p"], dtype)
    close(filtered(guide, maps), GREY["q"], atol)
    if dtype == torch.float64:
        (slope,), offset = guided_coefficients(guide, maps, radius=GREY["r"], eps=GREY["eps"])
        close(slope, GREY["a"], atol)
        close(offset, GREY["b"], atol)
        sharp = filtered(guide, maps, eps=1e-6)
        close(sharp, GREY["q_eps_1e-6"], atol)
        assert [sharp.min().item(), sharp.max().item()] == pytest.approx(GREY["q_range"], abs=atol)


@PRECISIONS
def test_colour_guide_gives_the_published_numbers(dtype, atol):
    guide, maps = tensor(COLOUR["I"], dtype), tensor(COLOUR["p"], dtype)
    close(filtered(guide, maps, COLOUR), COLOUR["q"], atol)
    slopes, offset = guided_coefficients(guide, maps, radius=COLOUR["r"], eps=COLOUR["eps"])
    close(torch.cat(slopes, 1), COLOUR["a"], 20 * atol)
    close(offset, COLOUR["b"], 20 * atol)


def test_every_window_is_the_ridge_regression_of_the_map_on_the_guide():
    guide, maps, eps = tensor(COLOUR["I"]), tensor(COLOUR["p"]), COLOUR["eps"]
    slopes, _ = guided_coefficients(guide, maps, radius=1, eps=eps)
    window = guide[0, :, 1:4, 2:5].flatten(1).T
    target = maps[0, 0, 1:4, 2:5].flatten()
    centred = window - window.mean(0)
    ridge = torch.linalg.solve(centred.T @ centred + 9 * eps * torch.eye(3), centred.T @ target)
    torch.testing.assert_close(torch.stack([slope[0, 0, 2, 3] for slope in slopes]), ridge)


def test_a_constant_guide_gives_the_mean_of_means():
    guide, maps = torch.full((1, 1, 5, 5), 0.3, dtype=torch.float64), tensor(GREY["p"])
    close(filtered(guide, maps), GREY["constant_guide_0.3_gives_double_box_mean"], 1e-10)


def test_an_affine_function_of_the_guide_is_kept():
    guide = tensor(GREY["I"])
    maps = 0.4 * guide + 0.25
    error = (filtered(guide, maps, eps=1e-12) - maps).abs().max().item()
    assert error == pytest.approx(GREY["affine_input_0.4I+0.25_eps1e-12_max_abs_error"], abs=1e-10)


def test_scaling_the_guide_scales_eps_by_the_square():
    guide, maps = tensor(COLOUR["I"]), tensor(COLOUR["p"])
    torch.testing.assert_close(
        filtered(3 * guide, maps, COLOUR, eps=9 * COLOUR["eps"]), filtered(guide, maps, COLOUR), atol=1e-10, rtol=0
    )


def test_three_equal_channels_are_a_grey_guide_with_a_third_of_eps():
    guide, maps = tensor(GREY["I"]), tensor(GREY["p"])
    torch.testing.assert_close(
        filtered(guide.expand(1, 3, 5, 5), maps, eps=0.03), filtered(guide, maps, eps=0.01), atol=1e-10, rtol=0
    )


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99), st.integers(1, 12), st.integers(3, 14), st.integers(3, 14))
def test_box_means_equal_the_mean_over_the_window(seed, radius, height, width):
    x = torch.rand(2, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    found = box_mean(x, radius)
    for row, column in ((0, 0), (height - 1, 1), (height // 2, width // 2)):
        rows, columns = (
            slice(max(row - radius, 0), row + radius + 1),
            slice(max(column - radius, 0), column + radius + 1),
        )
        torch.testing.assert_close(found[..., row, column], x[..., rows, columns].mean((2, 3)))


def test_running_sums_equal_pooling():
    x = torch.rand(1, 2, 90, 80)
    both = [box_mean(x, radius) for radius in (POOLED_RADIUS, POOLED_RADIUS + 1)]
    wide = x.double()
    expected = torch.stack([wide[..., : 34 + i, : 34 + i].mean((2, 3)) for i in range(-1, 1)])
    torch.testing.assert_close(torch.stack([means[..., 0, 0] for means in both]).double(), expected, atol=1e-6, rtol=0)


def test_a_bright_flat_patch_keeps_float32_exact():
    noise = 1e-3 * torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    guide, maps = 0.9 + noise, torch.rand(1, 1, 40, 40)
    found = apply_guided_filter(guide, maps, radius=4, eps=1e-6)
    exact = apply_guided_filter(guide.double(), maps.double(), radius=4, eps=1e-6)
    assert (found - exact).abs().max() < 5e-5


def test_a_map_follows_the_edges_of_the_image():
    guide = torch.full((1, 3, 40, 40), 0.2)
    guide[..., 20:] = 0.8
    blurred = torch.linspace(0, 1, 40).expand(1, 1, 40, 40).contiguous()
    found = apply_guided_filter(guide, blurred, radius=8, eps=1e-3)
    assert (found[..., 20] - found[..., 19]).min() > 0.2
    assert (found[..., 19] - found[..., 15]).abs().max() < 0.1


def test_images_of_a_batch_do_not_mix_and_radius_zero_changes_nothing():
    guide, maps = torch.rand(2, 3, 20, 24), torch.rand(2, 2, 20, 24)
    both = apply_guided_filter(guide, maps, radius=3, eps=1e-3)
    alone = apply_guided_filter(guide[1:], maps[1:], radius=3, eps=1e-3)
    torch.testing.assert_close(both[1:], alone)
    assert apply_guided_filter(guide, maps, radius=0, eps=1e-3) is maps


def test_the_fit_at_a_quarter_of_the_size_is_near_the_full_one():
    guide = torch.nn.functional.interpolate(torch.rand(1, 3, 6, 6), (96, 96), mode="bicubic").clamp(0, 1)
    maps = torch.nn.functional.interpolate(torch.rand(1, 2, 8, 8), (96, 96), mode="bilinear")
    full, fast = (apply_guided_filter(guide, maps, radius=8, eps=1e-3, subsample=s) for s in (1, 4))
    assert (full - fast).abs().mean() < 0.02


def scene():
    inside = np.zeros((24, 32), bool)
    inside[6:18, 8:24] = True
    return np.where(inside[..., None], (210, 50, 40), (20, 120, 90)).astype(np.uint8), inside


def refined(label, **params):
    image, _ = scene()
    view, ctx = SimpleNamespace(image=lambda image_id: image), SimpleNamespace(device="cpu", threads=1)
    (found,) = GuidedFilterRefiner(GuidedFilterParams(**params)).refine([label], view, ctx)
    return found


def test_the_refiner_snaps_labels_and_scores_to_the_image():
    _, inside = scene()
    ragged = np.where(inside, 3, 0).astype(np.uint8)
    ragged[6:18, 22:24] = 0
    ragged[10:12, 5:8] = 3
    found = refined(PseudoLabel("a", ragged), radius=6)
    wrong = [(mask != np.where(inside, 3, 0)).mean() for mask in (ragged, found.mask)]
    assert wrong[1] < wrong[0] / 3, wrong
    assert found.scores is None
    values = np.where(inside[::2, ::2], 0.9, 0.1)[None].astype(np.float16)
    soft = refined(PseudoLabel("a", ragged, SoftScores((3,), values, (24, 32))))
    assert (soft.scores.classes, soft.scores.values.shape, soft.scores.size) == ((3,), values.shape, (24, 32))
    np.testing.assert_array_equal(soft.mask, np.where(inside, 3, 0))


def test_the_refiner_leaves_an_image_without_classes_alone():
    label = PseudoLabel("a", np.zeros((24, 32), np.uint8))
    assert refined(label) is label


@pytest.mark.parametrize("bad", [{"radius": -1}, {"eps": 0.0}, {"certainty": 1.0}, {"subsample": 0}])
def test_impossible_parameters_are_refused_by_name(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        GuidedFilterParams(**bad)
