from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import torch

from harness.contract.protocol import AugmentSettings, OptimSettings
from harness.modelling import fit
from harness.modelling.classifier import CamClassifier
from harness.modelling.segmenter import seeded_model
from harness.testing import fake_context
from wsss_self_guided.network import SelfGuidedNetwork, TaggedImages
from wsss_self_guided.params import SelfGuidedParams

CLASSES = 2
CLASSIFIER = {
    "backbone": {
        "type": "ResNetV1c",
        "depth": 18,
        "stem_channels": 8,
        "base_channels": 8,
        "num_stages": 4,
        "out_indices": (0, 1, 2, 3),
        "strides": (1, 2, 1, 1),
        "dilations": (1, 1, 2, 4),
        "norm_cfg": {"type": "SyncBN", "requires_grad": True},
    },
    "channels": (8, 16, 32, 64),
    "num_classes": CLASSES,
}


def network(epoch=2, **params):
    params = asdict(SelfGuidedParams(**{"alpha": 2.0, "radius": 2.0, "steps": 2, "filter_radius": 2, **params}))
    model = seeded_model({"type": SelfGuidedNetwork.__name__, "params": params, "epoch": epoch, **CLASSIFIER}, 0)
    classifier = seeded_model({"type": CamClassifier.__name__, **CLASSIFIER}, 1)
    model.begin(classifier.state_dict())
    return model, classifier


def dataset(count=4):
    images = np.random.default_rng(0).integers(0, 256, (count, 40, 48, 3)).astype(np.uint8)
    tags = np.eye(CLASSES, dtype=np.float32)[np.arange(count) % CLASSES]
    return TaggedImages(
        [str(i) for i in range(count)],
        lambda name: images[int(name)],
        settings=AugmentSettings(crop=64, scale=(0.8, 1.0)),
        seed=0,
        maps=lambda name: [np.zeros((40, 48), np.uint8)],
        tags=tags,
    )


def batch(count=4):
    data = dataset(count)
    return data.collate([data.sample(i, i) for i in range(count)])


def losses(model):
    return model(**model.data_preprocessor(batch(), True), mode="loss")


def test_it_begins_as_the_classifier():
    model, classifier = network()
    state = model.classifier_state()
    assert state.keys() == {key for key in classifier.state_dict() if key.startswith(("backbone.", "head."))}
    for key, value in state.items():
        torch.testing.assert_close(value, classifier.state_dict()[key])


def test_the_guide_is_the_crop_in_zero_to_one_and_padding_is_marked():
    data = batch()
    inputs = network()[0].data_preprocessor(data, True)
    torch.testing.assert_close(inputs["guide"], data["inputs"].permute(0, 3, 1, 2) / 255)
    assert not inputs["valid"].all()
    assert inputs["valid"].any()


@pytest.mark.parametrize("switches", [{}, {"affinity": False}, {"guided_filter": False}, {"affinity_loss": 0.1}])
def test_every_part_of_the_network_learns_and_labels_carry_no_gradient(switches):
    model, _ = network(**switches)
    model.train()
    found = losses(model)
    assert ("loss_affinity" in found) == ("affinity_loss" in switches)
    sum(found.values()).backward()
    for name, parameter in model.named_parameters():
        if name.startswith("label_"):
            assert parameter.grad is None
        else:
            assert parameter.grad is not None, name
    model.zero_grad()
    losses(model)["loss_seg"].backward()
    assert model.head.weight.grad is None


def test_labels_follow_the_network_until_the_foreground_drifts():
    model, _ = network(epoch=1)
    model.train()
    losses(model)
    assert not model.frozen
    with torch.no_grad():
        model.head.weight.add_(0.5)
    losses(model)
    remembered = {key: value.clone() for key, value in model.label_head.state_dict().items()}
    model.shares[0] = 1e-3 * model.shares[0] + 1e-6
    losses(model)
    assert model.frozen
    with torch.no_grad():
        model.head.weight.add_(1.0)
    losses(model)
    for key, value in remembered.items():
        torch.testing.assert_close(model.classifier_state()[f"head.{key}"], value)


def test_without_the_guard_drift_is_only_recorded():
    model, _ = network(epoch=1, drift_guard=False)
    losses(model)
    model.shares[0] = 1e-6
    losses(model)
    assert not model.frozen
    assert len(model.shares) == 2


def test_labels_of_a_period_come_from_the_remembered_network():
    model, _ = network(epoch=1, period=2)
    start = model.label_head.weight.clone()
    for changed in (False, True):
        with torch.no_grad():
            model.head.weight.add_(0.1)
        losses(model)
        assert torch.equal(model.label_head.weight, start) != changed


def test_a_resumed_training_ends_with_the_weights_of_an_undisturbed_one(tmp_path):
    optim = OptimSettings(iterations=5, batch_size=2, lr=0.01)

    def trained(name, iterations=5):
        model, _ = network()
        fit(model, dataset(), optim, fake_context(tmp_path / name), checkpoint_iterations=3)
        return model

    whole, again = trained("a"), trained("a")  # the second resumes from the checkpoint after three steps
    assert (tmp_path / "a" / "work" / "checkpoint.pth").exists()
    assert whole.shares == again.shares
    for key, value in whole.state_dict().items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(value, again.state_dict()[key], atol=0, rtol=0)
