"""The generator on three images: what it trains, what it leaves, how it resumes."""

from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from harness.contract import ConfigError
from harness.contract.protocol import (
    AugmentSettings,
    BackboneSettings,
    CamSettings,
    ClassifierSettings,
    OptimSettings,
)
from harness.modelling import CamClassifier, build_classifier, load_classifier, save_classifier, training
from harness.modelling.features import Levels
from harness.modelling.frozen import digest, freeze, supplying
from harness.testing import fake_context, fake_view
from wsss_seam.generator import Seam
from wsss_seam.network import SeamNetwork
from wsss_seam.params import SeamParams

SIZE = (48, 64)
TAGS = {"a": (1,), "b": (1, 2), "c": ()}
IMAGES = {name: np.random.default_rng(ord(name)).integers(0, 256, (*SIZE, 3)).astype(np.uint8) for name in TAGS}
VIEW = fake_view(IMAGES, tags=TAGS)


def context(folder):
    """A stage's context behind a shared classifier."""
    settings = {
        "cam": CamSettings(scales=(1.0,), threshold=0.4),
        "backbone": BackboneSettings(name="tiny"),
        "classifier": ClassifierSettings(
            optim=OptimSettings(iterations=5, batch_size=2, lr=0.01), augment=AugmentSettings(crop=64)
        ),
    }
    shared, fit = (fake_context(folder / name, settings=settings) for name in ("classifier", "fit"))
    save_classifier(build_classifier(shared).state_dict(), shared)
    fit.inputs = {"classifier": shared.out, "fit": fit.out}
    return fit


def weights(ctx):
    return torch.load(ctx.out / "seam.pth", weights_only=True)


@pytest.mark.parametrize("preset", ["intended", "official"])
def test_labels_hold_tagged_classes_and_their_maps_travel_along(tmp_path, preset):
    ctx, generator = context(tmp_path), Seam(SeamParams(preset=preset, schedule=0.5))
    generator.fit(VIEW, ctx)
    found = {label.image_id: label for label in generator.generate(VIEW, ctx)}
    assert list(found) == list(VIEW.ids)
    for name, label in found.items():
        assert (label.mask.shape, label.mask.dtype) == (SIZE, np.uint8)
        assert set(np.unique(label.mask)) <= {0, *TAGS[name]}
        assert label.scores.classes == TAGS[name]
        assert 0 <= label.scores.values.min(initial=0.0) <= label.scores.values.max(initial=0.0) <= 1


def network(ctx, **params):
    return build_classifier(ctx, SeamNetwork, params=asdict(SeamParams(**params)))


def test_it_begins_with_the_shared_classifier_or_with_its_initial_weights(tmp_path):
    ctx = context(tmp_path)
    shared = load_classifier(ctx.input("classifier"), fold=False).state_dict()
    shared = {name: value + 1.0 if name.startswith("head.") else value for name, value in shared.items()}
    save_classifier(shared, SimpleNamespace(out=ctx.input("classifier"), settings=ctx.settings, num_classes=3))
    for start, moved in (("classifier", 1.0), ("initial", 0.0)):
        Seam(SeamParams(start=start, schedule=0.1, lr_mult=1e-6)).fit(VIEW, ctx)  # no step: what it began with
        difference = weights(ctx)["head.weight"] - network(ctx).head.weight
        torch.testing.assert_close(difference, torch.full_like(difference, moved))


def test_only_the_scores_train_the_backbone_and_every_part_learns(tmp_path):
    model = network(context(tmp_path)).train()
    images, tags = torch.randn(2, 3, 65, 65), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    found = model.losses(images, tags)
    sum(found.values()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    backbone = next(model.backbone.parameters())
    model.zero_grad()
    model.maps(images, tags).rv.sum().backward()
    assert backbone.grad is None
    assert model.embedding.weight.grad.any()


@pytest.mark.parametrize(("switch", "term"), [("er", "loss_er"), ("ecr", "loss_ecr"), ("min_pool", "loss_min")])
def test_a_term_that_is_switched_off_is_no_loss(tmp_path, switch, term):
    images, tags = torch.randn(2, 3, 65, 65), torch.ones(2, 2)
    ctx = context(tmp_path)
    assert term in network(ctx).losses(images, tags)
    assert term not in network(ctx, **{switch: False}).losses(images, tags)


@pytest.mark.parametrize("levels", [(0, 4), (-5, -2)])
def test_a_level_that_the_backbone_lacks_is_named(tmp_path, levels):
    with pytest.raises(ConfigError, match=r"seam: levels: the backbone has 4 levels, no level (4|-5)"):
        network(context(tmp_path), levels=levels)


def test_without_pixel_correlation_the_maps_are_the_scores(tmp_path):
    model, images = network(context(tmp_path), pcm=False).eval(), torch.randn(1, 3, 65, 65)
    cam, rv = model.maps(images)
    torch.testing.assert_close(rv[:, 1:], cam.relu())
    torch.testing.assert_close(model.forward_cam(images), CamClassifier.forward_cam(model, images))


def test_behind_a_frozen_backbone_only_the_small_view_is_computed(tmp_path):
    model = network(context(tmp_path), dropout=0.0)
    freeze(model.backbone)
    images, tags = torch.randn(2, 3, 65, 65), torch.ones(2, 2)
    levels = dict(enumerate(model.backbone(images)))
    stored, computed = Levels(levels, digest(model.backbone), len(levels)), []
    compute = model.backbone._compute
    model.backbone._compute = lambda x: computed.append(x.shape[-1]) or compute(x)
    with supplying(model, stored, images):
        supplied = model.losses(images, tags)
    assert computed == [model.inputs.side(0.3 * 65)]
    assert {name: value.item() for name, value in supplied.items()} == pytest.approx(
        {name: value.item() for name, value in model.losses(images, tags).items()}
    )


def test_a_killed_training_ends_with_the_weights_of_an_undisturbed_one(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    calm, struck, generator = context(tmp_path / "calm"), context(tmp_path / "struck"), Seam(SeamParams(schedule=1.0))
    generator.fit(VIEW, calm)

    def kill(done, total):
        if done == 2:
            raise KeyboardInterrupt

    undisturbed, struck.progress = struck.progress, kill
    with pytest.raises(KeyboardInterrupt):
        generator.fit(VIEW, struck)
    assert not list(struck.out.iterdir())
    struck.progress = undisturbed
    generator.fit(VIEW, struck)
    assert [done for done, _ in struck.told] == [3, 4, 5]
    for name, value in weights(calm).items():
        torch.testing.assert_close(weights(struck)[name], value, atol=0, rtol=0)
