"""The generator on three images: what it trains, what it leaves, how it resumes."""

import numpy as np
import pytest
import torch

from harness.contract.protocol import (
    AugmentSettings,
    BackboneSettings,
    CamSettings,
    ClassifierSettings,
    OptimSettings,
)
from harness.modelling import build_classifier, load_classifier, save_classifier, training
from harness.testing import fake_context, fake_view
from wsss_recam.generator import Recam
from wsss_recam.params import RecamParams

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


def weights(folder):
    return load_classifier(folder, fold=False).state_dict()


def test_labels_hold_tagged_classes_and_their_maps_travel_along(tmp_path):
    ctx, generator = context(tmp_path), Recam(RecamParams())
    generator.fit(VIEW, ctx)
    found = {label.image_id: label for label in generator.generate(VIEW, ctx)}
    assert list(found) == list(VIEW.ids)
    for name, label in found.items():
        assert (label.mask.shape, label.mask.dtype) == (SIZE, np.uint8)
        assert set(np.unique(label.mask)) <= {0, *TAGS[name]}
        assert label.scores.classes == TAGS[name]
        assert label.scores.values.max(initial=0.0) <= 1
    start, end = weights(ctx.input("classifier")), weights(ctx.out)
    assert start.keys() == end.keys()
    assert not torch.equal(start["head.weight"], end["head.weight"])


def test_without_the_softmax_loss_it_is_the_classifier_trained_longer(tmp_path):
    ctx = context(tmp_path)
    Recam(RecamParams(lam=0.0, lr_mult=0.1, weights="second")).fit(VIEW, ctx)
    start, end = weights(ctx.input("classifier")), weights(ctx.out)
    moved = (start["head.weight"] - end["head.weight"]).norm() / start["head.weight"].norm()
    assert 0 < moved < 0.5


def test_a_killed_training_ends_with_the_weights_of_an_undisturbed_one(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    calm, struck, generator = context(tmp_path / "calm"), context(tmp_path / "struck"), Recam(RecamParams())
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
    assert [done for done, _ in struck.told] == [3, 4]
    for name, value in weights(calm.out).items():
        torch.testing.assert_close(weights(struck.out)[name], value, atol=0, rtol=0)
