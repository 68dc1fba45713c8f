from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from harness.contract import CAMS, CLASSIFIER
from harness.contract.protocol import AugmentSettings, CamSettings, ClassifierSettings, OptimSettings
from harness.maps import ScoreWriter, infer_cams
from harness.modelling import load_classifier
from harness.modelling.classifier import CONFIG, WEIGHTS, CamClassifier
from harness.modelling.segmenter import seeded_model
from wsss_self_guided import SelfGuidedParams, wsss_generators
from wsss_self_guided.generator import SelfGuided

SIZE = (48, 64)
CAM = CamSettings(scales=(1.0,), threshold=0.4)


class View:
    ids = ("a", "b", "c")

    def image(self, image_id):
        return np.random.default_rng(ord(image_id)).integers(0, 256, (*SIZE, 3)).astype(np.uint8)

    def size(self, image_id):
        return SIZE

    def tags(self, image_id):
        return {"a": (1,), "b": (1, 2), "c": ()}[image_id]


@pytest.fixture
def ctx(tmp_path):
    from test_self_guided_network import CLASSIFIER as CONFIGURATION

    config = {"type": CamClassifier.__name__, "levels": [-1], **CONFIGURATION}
    folders = {name: tmp_path / name for name in ("classifier", "cams", "fit", "work")}
    for folder in folders.values():
        folder.mkdir()
    (folders["classifier"] / CONFIG).write_text(json.dumps(config))
    torch.save(seeded_model(config, 0).state_dict(), folders["classifier"] / WEIGHTS)
    view, network = View(), load_classifier(folders["classifier"])
    items = ((name, view.image(name), view.tags(name)) for name in view.ids)
    with ScoreWriter(folders["cams"]) as writer:
        for name, scores in infer_cams(network.forward_cam, items, settings=CAM):
            writer.write(name, scores)
    optim = OptimSettings(iterations=4, batch_size=2, lr=0.01)
    return SimpleNamespace(
        out=folders["fit"],
        work=folders["work"],
        device="cpu",
        threads=1,
        num_classes=3,
        settings={"cam": CAM, "classifier": ClassifierSettings(optim=optim, augment=AugmentSettings(crop=64))},
        seed=lambda axis: 0,
        input=folders.__getitem__,
        progress=lambda done, total: None,
    )


def labels(ctx, **params):
    generator = SelfGuided(SelfGuidedParams(**{"steps": 2, "filter_radius": 2, **params}))
    generator.fit(View(), ctx)
    return {label.image_id: label for label in generator.generate(View(), ctx)}


def checked(found):
    assert sorted(found) == list(View.ids)
    for name, label in found.items():
        assert label.mask.shape == SIZE
        assert label.mask.dtype == np.uint8
        assert set(np.unique(label.mask)) <= {0, *View().tags(name)}
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


def test_all_switches_off_is_the_plain_rule_on_the_shared_maps(ctx):
    from harness.maps import ScoreReader, threshold_labels, upsample

    found = labels(ctx, alternation=False, affinity=False, guided_filter=False)
    scores = ScoreReader(ctx.input("cams")).get("a")
    plain = threshold_labels(upsample(scores), scores.classes, CAM.threshold)
    assert (found["a"].mask != plain).mean() < 1e-3


def test_shared_maps_are_asked_for_only_where_they_are_final():
    (record,) = wsss_generators()
    assert record.uses(SelfGuidedParams()) == (CLASSIFIER,)
    assert record.uses(SelfGuidedParams(alternation=False)) == (CLASSIFIER, CAMS)
