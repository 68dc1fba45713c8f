"""A row on a frozen backbone, run with the engine's own code on the conformance kit's images."""

from __future__ import annotations

import json
from functools import cached_property

import numpy as np
import pytest

from harness.contract.shared import FEATURES
from harness.engine.forecast import forecast
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.freeze import predicted_bytes
from harness.engine.plan.layout import build_plan
from harness.registry import PluginSpec, manager_from_spec
from harness.testing.bench import Bench, with_scenes
from tests.engine.plan.test_freeze import config
from tests.modelling.pretrained import write_weights


class FrozenBench(Bench):
    """The same row on a frozen backbone, with two seeds."""

    overrides = ()

    @cached_property
    def plan(self):
        path = self.folder / "frozen.yaml"
        path.write_text(json.dumps({**config(), "methods": [self.row]}))
        return build_plan(load_benchmark(path, self.overrides), self.manager)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frozen")
    write_weights(folder / "tiny.pth")
    return FrozenBench(with_scenes(manager_from_spec(PluginSpec(env=""))), "box_fill", folder)


def test_two_seeds_learn_from_one_set_of_features_that_is_as_large_as_the_plan_says(bench):
    told = forecast(bench.plan, bench.store, bench.manager, tflops=40).features_mib * 2**20
    bench.run()
    (shared,) = (spec for spec in bench.plan.stages.values() if spec.run == FEATURES.run)
    artifact = bench.store.open(shared.key)
    protocol = bench.plan.benchmark.protocol
    about = predicted_bytes(protocol.freeze, protocol.test, (16, 32, 64, 128), bench.plan.dataset.images["val"])
    assert artifact.size == pytest.approx(told - about, rel=0.02)
    assert {kind: len(ids) for kind, ids in artifact.meter.items()} == {"images": 8}
    assert set(artifact.files) == {"features.json", "level1.npy", "level2.npy", "level3.npy"}
    level = np.load(bench.store.folder(shared.key) / "level2.npy", mmap_mode="r")
    assert (level.shape, level.dtype) == ((8 * 4, 4, 4, 64), np.float16)
    assert forecast(bench.plan, bench.store, bench.manager, tflops=40).features_mib == 0
    weights = [bench.digests(spec)["segmenter.pth"] for spec in bench.stages if spec.kind == "segmenter"]
    assert len(set(weights)) == 2, "the seeds differ in the order of images and views"
    for spec in bench.stages:
        kinds = set(bench.store.open(spec.key).meter)
        assert kinds <= {"images"} | {need.kind.value for need in spec.needs}


def test_after_an_edit_of_the_heads_rate_the_features_are_still_there(bench):
    other = FrozenBench(bench.manager, "box_fill", bench.folder)
    other.overrides = ("protocol.classifier.optim.lr=0.5", "protocol.segmenter.optim.lr=0.5")
    stored = {spec.name for spec in other.stages if bench.store.find(spec.key)}
    assert stored == {"features", "features of predicted images", "generate box_fill"}
