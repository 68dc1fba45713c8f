"""A frozen backbone in the plan: one stage of features for all rows and seeds, its size, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.contract import ConfigError
from harness.contract.protocol import FreezeSettings
from harness.contract.shared import FEATURES
from harness.engine.forecast import forecast
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.freeze import feature_bytes, levels_of_heads
from harness.engine.plan.keys import fingerprint
from harness.engine.plan.layout import build_plan
from harness.engine.store.store import Store
from harness.registry import PluginSpec, manager_from_spec
from harness.testing.bench import with_scenes

CONFIGS = Path(__file__).parents[3] / "configs" / "segmenters"
AUGMENT = {"crop": 64, "scale": [0.75, 1.5]}
OPTIM = {"iterations": 3, "batch_size": 4, "lr": 0.01}


def config(**protocol):
    """A benchmark of the conformance kit's images with a frozen backbone."""
    return {
        "name": "frozen",
        "dataset": {"name": "conformance", "params": {}},
        "backbones": [{"name": "tiny", "weights": "tiny.pth"}],
        "methods": ["box_fill", "cam"],
        "seeds": [0, 1],
        "protocol": {
            "freeze": {"views": 4, "augment": AUGMENT},
            "classifier": {"optim": OPTIM, "augment": AUGMENT},
            "segmenter": {"config": str(CONFIGS / "mlp_stride8.py"), "optim": OPTIM, "augment": AUGMENT},
        }
        | protocol,
    }


@pytest.fixture(scope="module")
def manager():
    return with_scenes(manager_from_spec(PluginSpec(env="")))


@pytest.fixture
def planned(tmp_path, manager):
    """Plan a configuration; the weights are a file that torch could have written, which no plan reads."""
    import zipfile

    with zipfile.ZipFile(tmp_path / "tiny.pth", "w") as file:
        file.writestr("archive/data.pkl", b"")

    def make(content, *overrides):
        path = tmp_path / "frozen.yaml"
        path.write_text(json.dumps(content))
        return build_plan(load_benchmark(path, overrides), manager)

    return make


def features(plan):
    return [spec for spec in plan.stages.values() if spec.run == FEATURES.run]


def test_all_rows_and_seeds_share_one_stage_of_features_that_sees_images_alone(planned):
    plan = planned(config())
    (shared,) = features(plan)
    assert shared.seed is None
    assert shared.needs == ()
    assert set(shared.settings) == {"backbone", "freeze"}
    assert not shared.key_inputs["data"].keys() & {"train/masks", "train/boxes", "train/tags"}
    (predicted,) = (spec for spec in plan.stages.values() if spec.kind == "predicted_features")
    assert (predicted.seed, predicted.needs, predicted.inputs) == (None, (), {})
    assert set(predicted.settings) == {"backbone", "freeze", "test"}
    for spec in plan.stages.values():
        reads = "backbone" in spec.settings and spec not in (shared, predicted)
        assert (spec.inputs.get("features") == shared.key) == reads
        assert (spec.inputs.get("features") == predicted.key) == (spec.kind == "predict")
        assert ("freeze" in spec.settings) == ("backbone" in spec.settings)
    assert sum(spec.name == "classifier" for spec in plan.stages.values()) == 2
    assert all(("features", shared.key) in cell.stages for cell in plan.cells)


def test_a_row_without_a_network_waits_for_no_features(planned):
    plan = planned(config() | {"methods": ["background"]})
    assert FEATURES.run not in {spec.run for spec in plan.stages.values()}


def test_only_what_the_features_depend_on_changes_their_key(planned):
    before = planned(config())
    (key,) = (spec.key for spec in features(before))
    for kept in ("segmenter.optim.lr=0.5", "classifier.optim.iterations=9", "cam.threshold=0.4", "test.flip=true"):
        plan = planned(config(), f"protocol.{kept}")
        assert [spec.key for spec in features(plan)] == [key]
        assert plan.fingerprint != before.fingerprint
    for changed in ("freeze.views=5", "freeze.levels=[0,1,2,3]"):
        assert [spec.key for spec in features(planned(config(), f"protocol.{changed}"))] != [key]


def test_a_benchmark_without_freeze_is_what_it_was(planned):
    content = config()
    del content["protocol"]["freeze"]
    plan = planned(content)
    assert not features(plan)
    assert not any("freeze" in spec.settings or "features" in spec.inputs for spec in plan.stages.values())
    assert "freeze" not in plan.benchmark.protocol.model_dump(mode="json")
    assert fingerprint(plan.benchmark.protocol, plan.dataset) == plan.fingerprint


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("protocol.segmenter.augment.crop=96", r"protocol: segmenter\.augment must equal freeze\.augment"),
        ("protocol.classifier.output_stride=8", r"classifier\.output_stride must equal freeze\.output_stride"),
        ("protocol.freeze.levels=[2,3]", r"segmenter\.config: mlp_stride8\.py reads level 1 .* to \[1, 2, 3\]"),
        ("protocol.freeze.levels=[1,2]", r"classifier\.levels reads level -1 .* to \[1, 2, 3\]"),
        ("protocol.freeze.levels=[1,2,7]", r"freeze\.levels: backbone 'tiny' has 4 levels, 7 is none of -4 to 3"),
        ("backbones=[tiny]", r"protocol\.freeze: backbone 'tiny' has random initial weights.*-o protocol.freeze=null"),
        (
            f"protocol.segmenter.config={CONFIGS / 'deeplabv3plus_lite.py'}",
            r"deeplabv3plus_lite\.py reads level 0 .* set protocol\.freeze\.levels to \[0, 1, 2, 3\]",
        ),
    ],
)
def test_what_cannot_be_frozen_is_one_sentence(planned, override, sentence):
    with pytest.raises(ConfigError, match=sentence) as caught:
        planned(config(), override)
    assert "\n" not in str(caught.value)
    assert "frozen.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("file", "levels"),
    [
        ("mlp_stride8.py", {1, 2, 3}),
        ("deeplabv3plus.py", {0, -1, -2}),
        ("segformer_b2.py", {0, 1, 2, 3}),
        ("fcn.py", {-1}),
    ],
)
def test_the_levels_of_heads_are_read_from_the_source(file, levels):
    from harness.engine.plan.segmenter_file import segmenter_files

    assert set(levels_of_heads(segmenter_files(CONFIGS / file))) == levels


def test_the_size_is_told_before_anything_is_computed(planned, tmp_path, manager):
    plan = planned(config())
    cells = 32 * 8**2 + 64 * 4**2 + 128 * 4**2
    expected = forecast(plan, Store(tmp_path / "runs"), manager, tflops=40)
    predicted = 32 * 47 * 63 + 64 * 24 * 32 + 128 * 24 * 32  # of 375 x 500 pixels, where the protocol names no size
    assert expected.features_mib * 2**20 == 2 * cells * 4 * 8 + 4 * predicted * plan.dataset.images["val"]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("channels", "gib"), [((24, 32, 96, 320), 37.4), ((256, 512, 1024, 2048), 349.3)], ids=["mobilenet_v2", "resnet50"]
)
def test_voc_2012_on_paper_is_what_the_docs_say(channels, gib):
    settings = FreezeSettings(augment={"crop": 321}, views=8)
    assert round(feature_bytes(settings, channels, 10_582) / 2**30, 1) == gib
    assert f"{gib:.1f} GiB" in (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()


@pytest.mark.parametrize(("crop", "output_stride"), [(225, 8), (192, 16), (225, 32)])
def test_the_told_size_is_that_of_the_levels_of_every_shipped_backbone(crop, output_stride):
    import torch

    from harness.modelling.backbones import backbone_config
    from harness.modelling.builtin import wsss_backbones
    from harness.modelling.probe import hollow

    for record in wsss_backbones():
        if output_stride not in record.output_strides or record.name.endswith("101"):
            continue
        network = hollow(backbone_config(record, output_stride))
        network.eval()
        with torch.no_grad():
            levels = network(torch.empty(1, 3, crop, crop, device="meta"))
        levels_stored = tuple(range(len(levels)))
        settings = FreezeSettings(views=1, levels=levels_stored, output_stride=output_stride, augment={"crop": crop})
        actual = 2 * sum(level.numel() for level in levels)
        assert feature_bytes(settings, record.channels, 1) == pytest.approx(actual, rel=0.02), record.name


def test_a_row_that_trains_a_backbone_says_so_where_the_protocol_freezes_it(planned, manager, tmp_path):
    from harness.engine.record_writer import Records

    def marked(*overrides, frozen=True):
        content = config() | {"methods": ["cam", "self_guided"], "seeds": [0]}
        if not frozen:
            del content["protocol"]["freeze"]
        plan = planned(content, *overrides)
        records = Records(plan, Store(tmp_path / "runs"), manager)
        return [cell.row.label for cell in plan.cells if records._describe(cell)["trains_backbone"]]

    assert marked() == ["self_guided"]
    assert marked("methods.self_guided.alternation=false") == []
    assert marked(frozen=False) == []


def test_gpu_hours_count_the_backbone_once_for_each_view_and_in_no_training_step(planned, manager):
    from harness.engine.estimate import _Costs

    content = config() | {"methods": ["full"], "seeds": [0]}
    frozen = planned(content)
    del content["protocol"]["freeze"]
    trained = planned(content)

    def flops(plan):
        costs = _Costs(plan, manager)
        return {spec.name: costs.of(spec) for spec in plan.stages.values()}

    steps, views = OPTIM["iterations"] * OPTIM["batch_size"], 4 * 8
    saved = flops(trained)["segmenter plain"] - flops(frozen)["segmenter plain"]
    assert saved == pytest.approx(3 * steps * flops(frozen)["features"] / views)
    assert flops(frozen)["segmenter plain"] > 0


def test_planning_and_telling_the_size_import_no_torch(planned, tmp_path):
    planned(config() | {"methods": ["box_fill"]})
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from harness.engine.forecast import forecast\n"
        "from harness.engine.plan.config import load_benchmark\n"
        "from harness.engine.plan.layout import build_plan\n"
        "from harness.engine.store.store import Store\n"
        "from harness.registry import PluginSpec, manager_from_spec\n"
        "from harness.testing.bench import with_scenes\n"
        "manager = with_scenes(manager_from_spec(PluginSpec(env='')))\n"
        "plan = build_plan(load_benchmark(Path(sys.argv[1])), manager)\n"
        "assert forecast(plan, Store(Path(sys.argv[2])), manager, tflops=40).features_mib > 0\n"
        "print('torch' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "frozen.yaml"), str(tmp_path / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("False\n", 0), done.stderr
