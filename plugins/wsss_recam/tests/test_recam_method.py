"""Loss, gradients and maps against the numbers of the released code, and what the loss is for."""

import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from harness.contract import ConfigError
from harness.contract.protocol import OptimSettings
from harness.maps import max_normalise
from wsss_recam import method
from wsss_recam.generator import recipe
from wsss_recam.params import RecamParams

VECTORS = json.loads((Path(__file__).parent / "vectors/recam.json").read_text())
INPUTS = VECTORS["inputs"]
BATCHES = {
    "R1_loss_all_three_images": slice(None),
    "R1_loss_first_two_images": slice(2),
    "R1_loss_one_tag_only": slice(1),
}


def inputs(chosen=slice(None)):
    features, tags = (torch.tensor(INPUTS[name], dtype=torch.float64)[chosen] for name in ("features", "tags"))
    first, second = (torch.tensor(INPUTS[f"{name}_weights"], dtype=torch.float64) for name in ("first", "second"))
    return [value.requires_grad_() for value in (features, first, second)], tags


@pytest.mark.parametrize("name", BATCHES)
def test_loss_and_gradients_are_those_of_the_released_code(name):
    (features, first, second), tags = inputs(BATCHES[name])
    expected = VECTORS[name]
    bce = functional.multilabel_soft_margin_loss(features.mean((2, 3)) @ first.T, tags)
    sce = method.softmax_loss(method.class_features(features, first), second, tags)
    assert bce.item() == pytest.approx(expected["bce"], abs=1e-8)
    assert sce.item() == pytest.approx(expected["sce"], abs=1e-8)
    gradients = torch.autograd.grad(bce + sce, (features, first, second))
    for found, of in zip(gradients, ("features", "first", "second"), strict=True):
        published = torch.tensor(expected[f"gradient_{of}"], dtype=torch.float64)
        published = published[BATCHES[name]] if of == "features" else published
        torch.testing.assert_close(found, published, atol=1e-7, rtol=0)


def test_masks_and_class_features_are_those_of_the_released_code():
    (features, first, _), _ = inputs()
    expected = {key: torch.tensor(value, dtype=torch.float64) for key, value in VECTORS["R2_forward"].items()}
    masks = max_normalise(functional.conv2d(features, first[..., None, None]))
    torch.testing.assert_close(masks, expected["cams_max_normalised"], atol=1e-8, rtol=0)
    pooled = method.class_features(features, first)
    torch.testing.assert_close(pooled, expected["pooled_per_class"], atol=1e-8, rtol=0)
    torch.testing.assert_close(features.mean((2, 3)) @ first.T, expected["logits"], atol=1e-8, rtol=0)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("first", "cam_first_weights"), ("product", "recam_product_of_weights"), ("second", "second_weights_alone")],
)
def test_maps_are_those_of_the_released_code(kind, name):
    (features, first, second), _ = inputs(slice(1))
    weights = method.map_weights(first, second, kind)[..., None, None]
    plain, mirrored = (functional.conv2d(view, weights).relu()[0] for view in (features, features.flip(-1)))
    expected = torch.tensor(VECTORS["R3_inference_image0_with_its_mirror"][name], dtype=torch.float64)
    torch.testing.assert_close(plain + mirrored.flip(-1), expected, atol=1e-8, rtol=0)


def test_two_negative_weights_are_evidence_for_a_class_in_the_product_alone():
    first, second = torch.tensor([[2.0, -2.0, 2.0, -2.0]]), torch.tensor([[3.0, -3.0, -3.0, 3.0]])
    assert method.map_weights(first, second, "product").tolist() == [[6.0, 6.0, -6.0, -6.0]]
    assert method.map_weights(first, second, "supporting").tolist() == [[6.0, 0.0, -6.0, -6.0]]


def test_a_batch_without_tags_teaches_nothing_and_stays_finite():
    (features, first, second), tags = inputs()
    loss = method.softmax_loss(method.class_features(features, first), second, 0 * tags)
    loss.backward()
    assert loss.item() == 0
    assert not any(value.grad.any() for value in (features, first, second))


def test_softmax_separates_the_maps_of_two_shapes_that_always_occur_together():
    """The classifier's own loss cannot: to it both classes are one."""
    shapes = torch.zeros(4, 3, 8, 8)  # features: the left shape, the right shape, the rest
    shapes[:, 0, 2:6, 0:3], shapes[:, 1, 2:6, 5:8] = 1, 1
    shapes[:, 2] = 1 - shapes[:, :2].sum(1)
    shapes[1::2, :2] = 0
    tags = torch.tensor([[1.0, 1.0], [0.0, 0.0]]).repeat(2, 1)

    def overlap(lam):
        random = torch.Generator().manual_seed(0)
        first = torch.tensor([[1.0, 1.0, -1.0]] * 2, requires_grad=True)
        second = torch.randn(2, 3, generator=random).requires_grad_()
        learner = torch.optim.SGD((first, second), lr=1.0)
        for _ in range(200):
            loss = functional.multilabel_soft_margin_loss(shapes.mean((2, 3)) @ first.T, tags)
            loss = loss + lam * method.softmax_loss(method.class_features(shapes, first), second, tags)
            learner.zero_grad()
            loss.backward()
            learner.step()
        weights = first if lam == 0 else method.map_weights(first, second, "product")
        left, right = max_normalise(functional.conv2d(shapes[:1], weights.detach()[..., None, None]))[0]
        return (torch.minimum(left, right).sum() / torch.maximum(left, right).sum()).item()

    assert overlap(0.0) == pytest.approx(1.0)
    assert overlap(1.0) < 0.2


def test_the_rate_of_the_released_code_is_taken_under_its_optimiser_alone():
    sgd = OptimSettings(iterations=100, lr=0.1, warmup=10, weight_decay=1e-4)
    assert (recipe(RecamParams(), sgd).lr, recipe(RecamParams(), sgd).momentum) == (pytest.approx(5e-5), 0.9)
    assert recipe(RecamParams(), sgd).iterations == 80
    assert recipe(RecamParams(), sgd.model_copy(update={"optimizer": "adamw"})).lr == pytest.approx(0.01)
    assert recipe(RecamParams(lr_mult=0.5), sgd).lr == pytest.approx(0.05)


def test_the_official_preset_multiplies_weights_and_has_the_decay_for_a_momentum():
    sgd = OptimSettings(iterations=100, weight_decay=1e-4)
    official = RecamParams(preset="official")
    assert (official.map_weights, recipe(official, sgd).momentum) == ("product", 1e-4)
    assert RecamParams().map_weights == "supporting"
    assert RecamParams(preset="official", weights="first").map_weights == "first"
    assert RecamParams(lam=0.0, weights="second").map_weights == "first"


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"schedule": 0.0}, "schedule"),
        ({"lam": -1.0}, "lam"),
        ({"lr_mult": 0.0}, "lr_mult"),
        ({"threshold": 1}, "threshold"),
    ],
)
def test_impossible_parameters_are_refused_by_name(bad, words):
    with pytest.raises(ConfigError, match=f"recam: {words}"):
        RecamParams(**bad)
