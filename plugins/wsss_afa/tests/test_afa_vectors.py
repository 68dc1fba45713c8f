"""The formulas equal the numbers of the released code; ``vectors/afa.json`` names the commit."""

import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from wsss_afa import method

VECTORS = json.loads((Path(__file__).parent / "vectors" / "afa.json").read_text())
WINDOW = method.pair_window((2, 3), 1, torch.device("cpu"))
DILATIONS = (1, 2)


def given(group, name, dtype=torch.float32):
    return torch.tensor(VECTORS[group][name], dtype=dtype)


def close(found, group, name, tolerance=2e-6):
    torch.testing.assert_close(found, given(group, name), atol=tolerance, rtol=tolerance)


def test_the_affinity_is_that_of_the_raw_attention_of_the_last_two_blocks():
    logits = given("A1_head", "raw_logits_of_three_blocks")[-2:].flatten(0, 1)  # maps, cell, cell
    keys = torch.eye(6).expand_as(logits)
    found = method.affinity(logits[None], keys[None], given("A1_head", "weight"), given("A1_head", "bias"))
    close(found[0], "A1_head", "affinity_of_last_two")


def test_pair_targets_and_the_affinity_loss_with_its_gradient():
    group = "A2_affinity_loss"
    assert torch.equal(WINDOW.float(), given(group, "radius_mask"))
    target = method.pair_targets(given(group, "label_2x3_at_stride_16", torch.long)[None], WINDOW)
    assert torch.equal(target[0], given(group, "target", torch.long))
    predicted = given(group, "predicted")[None].requires_grad_()
    loss = method.affinity_loss(predicted, target)
    loss.backward()
    assert loss.item() == pytest.approx(VECTORS[group]["loss"], abs=1e-6)
    close(predicted.grad[0], group, "gradient")


@pytest.mark.parametrize("score", [0.35, 0.55])
def test_the_walk_spreads_the_present_classes(score):
    classes, used = method.present_planes(given("A3_walk", "tags")[None])
    assert classes.tolist() == [[0, 1, 3]]
    planes = method.probabilities(given("A3_walk", "cams")[None], score, classes, used)
    moved = method.walked(planes, given("A3_walk", "affinity")[None], WINDOW, power=2)
    expected = torch.tensor(VECTORS["A3_walk"]["walked_by_background_score"][str(score)])
    torch.testing.assert_close(moved[0], expected[classes[0]], atol=2e-6, rtol=2e-6)


def test_refinement_of_pixels():
    around = method.neighbourhood(given("A4_par", "image")[None], DILATIONS)
    assert around.share.sum(1).sub(1.01).abs().max() < 1e-5
    found = method.refined(given("A4_par", "maps")[None], around, VECTORS["A4_par"]["iterations"])
    close(found[0], "A4_par", "refined", 1e-5)


def seeds():
    group = "A5_labels"
    y0, y1, x0, x1 = VECTORS[group]["box_y0_y1_x0_x1"]
    inside = torch.zeros(1, 16, 16, dtype=torch.bool)
    inside[:, y0:y1, x0:x1] = True
    return given(group, "image")[None], given(group, "cams")[None], given(group, "tags")[None], inside


def test_seed_labels_of_two_background_scores():
    image, cams, tags, inside = seeds()
    classes, used = method.present_planes(tags)
    around = method.neighbourhood(functional.interpolate(image, (8, 8), mode="bilinear"), DILATIONS)
    half = functional.interpolate(cams, (8, 8), mode="bilinear")
    low, high = (
        functional.interpolate(
            method.refined(method.probabilities(half, score, classes, used), around, 2),
            (16, 16),
            mode="bilinear",
        )
        for score in VECTORS["A5_labels"]["background_scores_low_high"]
    )
    label = method.agreed_label(method.named(high, classes), method.named(low, classes), inside)
    assert torch.equal(label[0], given("A5_labels", "label", torch.long))


def test_labels_without_refinement():
    _, cams, tags, inside = seeds()
    classes, used = method.present_planes(tags)
    low, high = (
        method.named(method.probabilities(cams, score, classes, used), classes)
        for score in VECTORS["A5_labels"]["background_scores_low_high"]
    )
    label = method.agreed_label(high, low, inside)
    assert torch.equal(label[0], given("A5_labels", "plain_label_with_ignored_middle", torch.long))


def test_the_segmentation_loss_with_its_gradient():
    logits = given("A6_segmentation_loss", "logits")[None].requires_grad_()
    loss = method.segmentation_loss(logits, given("A6_segmentation_loss", "label", torch.long)[None])
    loss.backward()
    assert loss.item() == pytest.approx(VECTORS["A6_segmentation_loss"]["loss"], abs=2e-6)
    close(logits.grad[0], "A6_segmentation_loss", "gradient")


@pytest.mark.parametrize("cls", [0, 1, 255])
def test_a_batch_without_a_kind_of_pixel_has_a_finite_loss(cls):
    logits = torch.zeros(1, 3, 2, 2, requires_grad=True)
    loss = method.segmentation_loss(logits, torch.full((1, 2, 2), cls))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
