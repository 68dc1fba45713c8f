"""Head, losses and gradients against the numbers of the released code."""

import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from harness.contract import CLASSIFIER, ConfigError
from harness.contract.protocol import OptimSettings
from wsss_seam import method
from wsss_seam.generator import recipe
from wsss_seam.params import SeamParams, uses

VECTORS = json.loads((Path(__file__).parent / "vectors/seam.json").read_text())
HEAD, FUNCTIONS, LOSS = VECTORS["S1_head"], VECTORS["S2_functions"], VECTORS["S3_loss"]


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def upsampled(maps, size):
    return functional.interpolate(maps, size, mode="bilinear", align_corners=True)


def close(found, expected, atol=1e-8):
    torch.testing.assert_close(found, tensor(expected), atol=atol, rtol=0)


def test_scores_and_correlated_maps_of_the_head_are_those_of_the_released_code():
    image = tensor(HEAD["image"])
    low, middle, top = map(tensor, HEAD["features_low_mid_top"])
    weights = {name: tensor(value)[..., None, None] for name, value in HEAD["weights"].items()}
    cam = functional.conv2d(top, weights["cam"])
    close(cam, HEAD["cam_before_upsampling"])
    parts = (functional.conv2d(low, weights["f8_3"]).relu(), functional.conv2d(middle, weights["f8_4"]).relu())
    features = functional.conv2d(torch.cat([upsampled(image, low.shape[2:]), *parts], 1), weights["f9"])
    rv = upsampled(method.correlate(method.activations(cam[:, 1:]), features), image.shape[2:])
    close(rv[0], HEAD["cam_rv_image0"])
    assert rv.sum().item() == pytest.approx(HEAD["cam_rv_sum"], abs=1e-5)


def test_normalisation_winners_and_minimum_are_those_of_the_released_code():
    maps = tensor(FUNCTIONS["maps"])
    close(method.normalise(maps), FUNCTIONS["max_norm"])
    close(torch.cat([maps[:, :1], method.winners(maps[:, 1:])], 1), FUNCTIONS["max_onehot"])
    minimum = method.minimum_loss(maps, torch.ones(1, 4))
    assert minimum.item() == pytest.approx(FUNCTIONS["min_pooling_loss"], abs=1e-8)


def test_a_matrix_in_parts_gives_the_same_maps(monkeypatch):
    maps, features = torch.rand(2, 3, 5, 7), torch.randn(2, 4, 5, 7)
    whole = method.correlate(maps, features)
    monkeypatch.setattr(method, "MATRIX", 8 * 35)
    torch.testing.assert_close(method.correlate(maps, features), whole)


def test_an_absent_class_takes_cells_from_the_tagged_ones_unless_it_may_not_compete():
    cam = torch.tensor([[[[5.0, 4.0]], [[0.0, 0.01]]]])
    assert method.activations(cam)[0, 1:, 0].gt(0).tolist() == [[True, False], [False, True]]
    tagged = method.activations(cam, torch.tensor([[1.0, 0.0]]))
    assert tagged[0, 1:, 0].gt(0).tolist() == [[True, True], [False, False]]


def views():
    return [tensor(LOSS[name]).requires_grad_() for name in ("view1_cam", "view1_cam_rv", "view2_cam", "view2_cam_rv")]


def losses(cam1, rv1, cam2, rv2, **changes):
    first, second = method.Maps(cam1[:, 1:], rv1), method.Maps(cam2[:, 1:], rv2)
    return method.siamese_losses(first, second, tensor(LOSS["tags"]), **{"size": (3, 3), **changes})


def test_every_term_of_the_loss_is_that_of_the_released_code():
    found, terms = losses(*views()), LOSS["terms"]
    assert found["loss_cls"].item() == pytest.approx((terms["loss_cls1"] + terms["loss_cls2"]) / 2, abs=1e-8)
    assert found["loss_min"].item() == pytest.approx((terms["loss_rvmin1"] + terms["loss_rvmin2"]) / 2, abs=1e-8)
    assert found["loss_er"].item() == pytest.approx(terms["loss_er"], abs=1e-8)
    assert found["loss_ecr"].item() == pytest.approx(terms["loss_ecr1"] + terms["loss_ecr2"], abs=1e-8)
    assert sum(found.values()).item() == pytest.approx(terms["loss"], abs=1e-8)


def test_the_gradients_have_the_lengths_of_the_released_code():
    given = views()
    gradients = torch.autograd.grad(sum(losses(*given).values()), given)
    expected = LOSS["gradient_norms_view1_cam_rv_view2_cam_rv"]
    assert [gradient.norm().item() for gradient in gradients] == pytest.approx(expected, abs=1e-8)


def test_one_class_and_a_view_of_one_cell_have_finite_losses_and_gradients():
    cam1, cam2 = torch.randn(2, 1, 3, 3, requires_grad=True), torch.randn(2, 1, 1, 1, requires_grad=True)
    first, second = (method.Maps(cam, torch.cat([cam, cam], 1)) for cam in (cam1, cam2))
    total = sum(method.siamese_losses(first, second, torch.tensor([[1.0], [0.0]]), size=(1, 1)).values())
    total.backward()
    assert total.isfinite()
    assert cam1.grad.isfinite().all()


def test_the_share_of_hard_values_is_of_the_classes_that_there_are_unless_21_are_meant():
    given = views()
    assert losses(*given, channels=21)["loss_ecr"] == losses(*given)["loss_ecr"]
    assert losses(*given, channels=105)["loss_ecr"] < losses(*given)["loss_ecr"]
    assert losses(*given, hard=1.0)["loss_ecr"] == losses(*given, channels=10**6)["loss_ecr"]


def test_the_official_preset_trains_from_initial_weights_with_the_decay_for_a_momentum():
    sgd = OptimSettings(iterations=100, lr=0.1, weight_decay=5e-4)
    official, intended = (recipe(SeamParams(preset=name), sgd) for name in ("official", "intended"))
    assert (official.iterations, official.lr, official.momentum) == (100, 0.1, 5e-4)
    assert (intended.iterations, intended.lr, intended.momentum) == (25, pytest.approx(0.01), 0.9)
    assert recipe(SeamParams(schedule=0.5, lr_mult=1.0), sgd).lr == 0.1
    assert uses(SeamParams(preset="official")) == ()
    assert uses(SeamParams()) == (CLASSIFIER,)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"scale": 0.0}, "scale"),
        ({"hard": 1.5}, "hard"),
        ({"schedule": -1.0}, "schedule"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_impossible_parameters_are_refused_by_name(bad, words):
    with pytest.raises(ConfigError, match=f"seam: {words}"):
        SeamParams(**bad)
