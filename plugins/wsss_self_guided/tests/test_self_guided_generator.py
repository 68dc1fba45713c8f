from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from harness.contract import CAMS, CLASSIFIER
from harness.contract.protocol import (
    AugmentSettings,
    BackboneSettings,
    CamSettings,
    ClassifierSettings,
    OptimSettings,
)
from harness.maps import ScoreWriter, infer_cams
from harness.modelling import build_classifier, load_classifier, save_classifier
from harness.modelling.classifier import WEIGHTS
from harness.testing import fake_context, fake_view
from wsss_self_guided import method, wsss_generators
from wsss_self_guided.generator import SelfGuided
from wsss_self_guided.params import SelfGuidedParams

SIZE = (48, 64)
CAM = CamSettings(scales=(1.0,), threshold=0.4)
TAGS = {"a": (1,), "b": (1, 2), "c": ()}
IMAGES = {name: np.random.default_rng(ord(name)).integers(0, 256, (*SIZE, 3)).astype(np.uint8) for name in TAGS}
VIEW = fake_view(IMAGES, tags=TAGS)


@pytest.fixture
def ctx(tmp_path):
    optim = OptimSettings(iterations=4, batch_size=2, lr=0.01)
    settings = {
        "cam": CAM,
        "backbone": BackboneSettings(name="tiny"),
        "classifier": ClassifierSettings(optim=optim, augment=AugmentSettings(crop=64)),
    }
    contexts = {name: fake_context(tmp_path / name, settings=settings) for name in ("classifier", "cams", "fit")}
    save_classifier(build_classifier(contexts["classifier"]).state_dict(), contexts["classifier"])
    network = load_classifier(contexts["classifier"].out)
    items = ((name, VIEW.image(name), VIEW.tags(name)) for name in VIEW.ids)
    with ScoreWriter(contexts["cams"].out) as writer:
        for name, scores in infer_cams(network.forward_cam, items, settings=CAM):
            writer.write(name, scores)
    contexts["fit"].inputs = {name: made.out for name, made in contexts.items()}
    return contexts["fit"]


def labels(ctx, **params):
    generator = SelfGuided(SelfGuidedParams(**{"steps": 2, "filter_radius": 2, "min_peak": 0.0, **params}))
    generator.fit(VIEW, ctx)
    return {label.image_id: label for label in generator.generate(VIEW, ctx)}


def checked(found):
    assert sorted(found) == list(VIEW.ids)
    for name, label in found.items():
        assert label.mask.shape == SIZE
        assert label.mask.dtype == np.uint8
        assert set(np.unique(label.mask)) <= {0, *TAGS[name]}
    assert not found["c"].mask.any()
    assert found["b"].scores.classes == (0, 1, 2)
    np.testing.assert_allclose(found["b"].scores.values.sum(0), 1, atol=5e-3)


def test_without_alternation_nothing_is_trained_and_the_shared_maps_are_refined(ctx):
    checked(labels(ctx, alternation=False))
    assert not list(ctx.out.iterdir())
    assert not list(ctx.work.iterdir())


def test_alternation_leaves_a_classifier_the_network_and_the_foreground_of_each_epoch(ctx):
    checked(labels(ctx, schedule=0.5))
    history = json.loads((ctx.out / "train.json").read_text())
    assert len(history["foreground"]) == 1  # 2 steps = 1 epoch of 3 images, half of the classifier's schedule
    start, end = (torch.load(folder / WEIGHTS) for folder in (ctx.input("classifier"), ctx.out))
    assert not torch.equal(start["head.weight"], end["head.weight"])


@pytest.mark.parametrize("freeze_bn", [True, False])
def test_alternation_keeps_the_batch_norm_statistics_that_the_class_head_knows(ctx, freeze_bn):
    labels(ctx, schedule=0.5, freeze_bn=freeze_bn)
    start, end = (torch.load(folder / WEIGHTS) for folder in (ctx.input("classifier"), ctx.out))
    kept = [torch.equal(start[name], end[name]) for name in start if name.endswith("running_mean")]
    assert kept
    assert all(kept) if freeze_bn else not any(kept)


def test_all_switches_off_is_the_plain_rule_on_the_shared_maps(ctx):
    from harness.maps import ScoreReader, threshold_labels, upsample

    found = labels(ctx, alternation=False, affinity=False, guided_filter=False)
    scores = ScoreReader(ctx.input("cams")).get("a")
    planes = upsample(scores)
    plain = threshold_labels(planes, scores.classes, CAM.threshold)
    apart = np.abs(planes.max(0) - CAM.threshold) > 2e-3  # alpha makes the rules tie at the threshold, up to rounding
    assert apart.mean() > 0.95
    assert (found["a"].mask == plain)[apart].all()


@pytest.mark.parametrize("alternation", [False, True])
def test_a_class_that_the_network_does_not_find_is_not_painted(ctx, alternation):
    found = labels(ctx, alternation=alternation, schedule=0.5, min_peak=1e6)
    assert not any(label.mask.any() for label in found.values())
    assert all(label.scores.classes == () for label in found.values())


def test_of_two_classes_the_one_below_the_floor_is_left_out(ctx):
    network = load_classifier(ctx.input("classifier"))
    with torch.inference_mode():
        pixels = torch.from_numpy(IMAGES["b"])[None]
        side = network.inputs.side
        view = method.resize(network.data_preprocessor.normalise(pixels), (side(SIZE[0]), side(SIZE[1])))
        peaks = network.forward_cam(view).amax((2, 3))[0, :2].tolist()
    assert peaks[0] != peaks[1]
    label = labels(ctx, alternation=False, min_peak=sum(peaks) / 2)["b"]
    stronger = 1 + peaks.index(max(peaks))
    assert label.scores.classes == (0, stronger)
    assert set(np.unique(label.mask)) <= {0, stronger}


def test_shared_maps_are_asked_for_only_where_they_are_final():
    (record,) = wsss_generators()
    assert record.uses(SelfGuidedParams()) == (CLASSIFIER,)
    assert record.uses(SelfGuidedParams(alternation=False)) == (CLASSIFIER, CAMS)
