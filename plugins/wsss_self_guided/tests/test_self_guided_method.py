from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.contract import ConfigError
from harness.maps import feature_affinity
from wsss_self_guided import method
from wsss_self_guided.params import SelfGuidedParams

VECTORS = json.loads((Path(__file__).parent / "vectors" / "self_guided.json").read_text())
MAPS, LABELS = VECTORS["P1_cam_normalise"], VECTORS["P8_labels_and_losses"]
PRECISIONS = pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-10), (torch.float32, 2e-5)])


def tensor(values, dtype=torch.float64):
    return torch.tensor([values], dtype=dtype)


def labelled(margin, dtype=torch.float64):
    """Labels of the published maps, whose absent class scores highest."""
    slots = method.class_slots(tensor(LABELS["present"]))
    maps = tensor(LABELS["M"], dtype)
    planes = torch.cat([maps[:, :1], method.in_slots(maps[:, 1:], slots)], 1)
    return method.dense_labels(planes, slots, margin=margin)


@PRECISIONS
def test_maps_and_background_are_the_published_numbers(dtype, atol):
    scores, present = tensor(MAPS["S"], dtype), tensor(MAPS["y"]) > 0
    for alpha in (4, 16):
        maps = method.localization_maps(scores, present, alpha)
        torch.testing.assert_close(maps[:, 1:], tensor(MAPS["M"], dtype), atol=atol, rtol=0)
        torch.testing.assert_close(maps[:, 0], tensor(MAPS[f"bg_alpha{alpha}"], dtype), atol=atol, rtol=0)
        assert not maps[:, 2].any()
        torch.testing.assert_close(method.localization_maps(7 * scores, present, alpha), maps, atol=1e-4, rtol=0)


@PRECISIONS
def test_labels_are_the_published_ones_and_hold_present_classes_only(dtype, atol):
    assert labelled(0.0, dtype)[0].tolist() == LABELS["label_margin0"]
    assert labelled(0.15, dtype)[0].tolist() == LABELS["label_margin0.15"]


@PRECISIONS
def test_losses_are_the_published_numbers(dtype, atol):
    logits = tensor(LABELS["z"], dtype).requires_grad_()
    loss = method.classification_loss(logits, tensor(LABELS["y"], dtype))
    assert loss.item() == pytest.approx(LABELS["loss_cls"], abs=atol)
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(gradient, tensor(LABELS["dloss_cls_dz"], dtype), atol=atol, rtol=0)
    seg = method.balanced_cross_entropy(tensor(LABELS["seg_logits"], dtype), labelled(0.15))
    assert seg.item() == pytest.approx(LABELS["loss_seg_balanced_on_margin0.15"], abs=5 * atol)


def test_a_label_map_without_background_foreground_or_anything_gives_finite_terms():
    logits = tensor(LABELS["seg_logits"]).requires_grad_()
    for value in (0, 1):
        labels = torch.full((1, 2, 3), value)
        expected = torch.nn.functional.cross_entropy(logits, labels)
        torch.testing.assert_close(method.balanced_cross_entropy(logits, labels), expected)
    nothing = method.balanced_cross_entropy(logits, torch.full((1, 2, 3), 255))
    (gradient,) = torch.autograd.grad(nothing, logits)
    assert nothing.item() == 0
    assert not gradient.any()


def test_slots_hold_the_tagged_classes_of_each_image():
    tags = torch.tensor([[0.0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]])
    assert method.class_slots(tags).tolist() == [[0, 2, 4], [0, -1, -1], [0, 1, -1]]
    assert method.class_slots(tags[1:2]).tolist() == [[0]]
    assert method.class_slots(torch.ones(1, 3)).tolist() == [[0, 1, 2, 3]]


def test_padding_does_not_hold_the_peak_and_is_ignored():
    scores = torch.tensor([[[[1.0, 2.0, 9.0]]]])
    valid = torch.tensor([[[True, True, False]]])
    maps = method.localization_maps(scores, torch.tensor([[True]]), 4.0, valid)
    torch.testing.assert_close(maps[0, 1, 0], torch.tensor([0.5, 1.0, 0.0]), atol=1e-4, rtol=0)
    labels = method.dense_labels(maps, torch.tensor([[0, 3]]), valid=valid)
    assert labels.tolist() == [[[3, 3, 255]]]


@pytest.mark.parametrize(("threshold", "alpha"), [(0.5, 1.0), (0.382, 2.0), (0.276, 4.0), (0.123, 16.0)])
def test_the_power_of_a_threshold_ties_there(threshold, alpha):
    assert method.tie_power(threshold) == pytest.approx(alpha, rel=5e-3)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99), st.booleans(), st.integers(0, 4))
def test_refined_maps_are_probabilities_of_the_filled_slots(seed, walk, radius):
    random = torch.Generator().manual_seed(seed)
    scores = torch.randn(2, 2, 5, 6, generator=random)
    slots = torch.tensor([[0, 1, 2], [0, 2, -1]])
    maps = method.localization_maps(scores, slots[:, 1:] > 0, 4.0)
    affinity = feature_affinity([torch.randn(2, 3, 5, 6, generator=random)], radius=2) if walk else None
    guide = torch.rand(2, 3, 20, 24, generator=random)
    refined = method.refine_maps(maps, affinity, guide, slots >= 0, SelfGuidedParams(filter_radius=radius))
    torch.testing.assert_close(refined.sum(1), torch.ones(2, 20, 24))
    assert refined.min() >= 0
    assert not refined[1, 2].any()
    assert set(method.dense_labels(refined, slots)[1].unique().tolist()) <= {0, 2}


def test_refinement_moves_a_blurred_map_to_the_object():
    inside = torch.zeros(1, 1, 64, 64)
    inside[..., 16:48, 16:48] = 1
    guide = 0.2 + 0.5 * inside.expand(1, 3, 64, 64)
    features = torch.cat([inside, 1 - inside], 1)[..., 4::8, 4::8]
    scores = torch.zeros(1, 1, 8, 8)
    scores[..., 2:6, 2:5] = 1.0  # three quarters of the object
    maps = method.localization_maps(scores, torch.tensor([[True]]), 1.0)
    slots = torch.tensor([[0, 1]])

    def overlap(affinity, **changes):
        refined = method.refine_maps(maps, affinity, guide, slots >= 0, SelfGuidedParams(**changes))
        found, truth = method.dense_labels(refined, slots)[0] == 1, inside[0, 0] == 1
        return ((found & truth).sum() / (found | truth).sum()).item()

    affinity = feature_affinity([features], radius=3)
    plain, walked = overlap(None, guided_filter=False), overlap(affinity, guided_filter=False, steps=1)
    assert walked > plain
    assert overlap(None) >= plain


def test_the_energy_falls_along_its_gradient():
    affinity = feature_affinity([torch.randn(1, 4, 6, 7)], radius=2)
    maps, present = torch.rand(1, 2, 6, 7, requires_grad=True), torch.tensor([[True, True]])
    loss = method.affinity_energy_loss(maps, affinity, present)
    (gradient,) = torch.autograd.grad(loss, maps)
    assert method.affinity_energy_loss(maps - gradient, affinity, present) < loss
    constant = method.affinity_energy_loss(torch.ones(1, 2, 6, 7), affinity, present)
    assert constant.item() == pytest.approx(0, abs=1e-6)
    assert method.affinity_energy_loss(maps, affinity, ~present).item() == 0


@pytest.mark.parametrize(
    ("bad", "words"),
    [({"preset": "official"}, "no code was published"), ({"tau": 0.0}, "tau"), ({"alpha": 0.0}, "alpha")],
)
def test_impossible_parameters_are_refused_by_name(bad, words):
    with pytest.raises(ConfigError, match=words):
        SelfGuidedParams(**bad)


def test_a_class_is_found_where_its_score_reaches_the_floor_and_not_on_padding():
    scores = torch.zeros(1, 3, 2, 2)
    scores[0, 0, 0, 0], scores[0, 1, 1, 1], scores[0, 2] = 0.2, 0.2, -1.0
    slots, valid = torch.tensor([[0, 4, 7, 9]]), torch.tensor([[[True, True], [True, False]]])
    assert method.detected(scores, slots, 0.05).tolist() == [[True, True, False]]
    assert method.detected(scores, slots, 0.05, valid).tolist() == [[True, False, False]]
    assert method.detected(scores, slots, 0.0).tolist() == [[True, True, True]], "no floor"
    assert method.detected(scores, torch.tensor([[0, 4, -1, -1]]), 0.0).tolist() == [[True, False, False]]
