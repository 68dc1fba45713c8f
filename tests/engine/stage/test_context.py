"""What a stage may use, and how it is told what it may not."""

import json

import pytest

from harness.contract import PluginError
from harness.engine.stage.context import StageContext, weights_of
from tests.engine.toy import make_plan


@pytest.fixture
def specs(write_config):
    plan, _ = make_plan(write_config(methods=["learnt", "twice"]))
    return {role: plan.stages[key] for cell in plan.cells for role, key in cell.stages}


def context(spec, tmp_path, **options):
    return StageContext(spec, out=tmp_path, work=tmp_path, inputs={}, device="cpu", **options)


def test_only_declared_settings_are_handed_out(specs, tmp_path):
    ctx = context(specs["learn"], tmp_path)
    assert sorted(ctx.settings) == ["backbone", "classifier"]
    assert ctx.settings["backbone"].name == "net"
    with pytest.raises(KeyError, match=r"learn did not declare the protocol section 'cam'.*reads"):
        ctx.settings["cam"]


def test_only_declared_inputs_are_handed_out(specs, tmp_path):
    with pytest.raises(PluginError, match=r"has no input 'cams' \(inputs: none\); add it to the record's uses"):
        context(specs["learn"], tmp_path).input("cams")
    with pytest.raises(PluginError, match="must declare uses_previous"):
        _ = context(specs["learn"], tmp_path).previous


def test_a_generator_that_asks_for_a_fit_is_told_what_its_record_lacks(specs, tmp_path):
    spec = next(spec for spec in specs.values() if spec.kind == "generate")
    with pytest.raises(PluginError, match=r"has no input 'fit' .*; set fits=True in its record"):
        context(spec, tmp_path).input("fit")


def test_seeds_are_alike_for_every_stage_of_a_run(specs, tmp_path):
    one = context(specs["learn"], tmp_path).seed("init")
    assert context(specs["r1/segmenter toy"], tmp_path).seed("init") == one


def test_progress_is_left_where_others_can_read_it(specs, tmp_path):
    report = tmp_path / "report.json"
    ctx = context(specs["learn"], tmp_path, report=report)
    ctx.progress(1, 10)
    ctx.progress(2, 10)
    assert json.loads(report.read_text()) == {"done": 1, "total": 10}
    ctx.progress(10, 10)
    assert json.loads(report.read_text()) == {"done": 10, "total": 10}
    context(specs["learn"], tmp_path, report=tmp_path / "none" / "x.json").progress(1, 1)


def test_a_segmenter_has_one_weights_file(tmp_path):
    with pytest.raises(PluginError, match="found 0"):
        weights_of(tmp_path)
    (tmp_path / "segmenter.pth").write_text("")
    assert weights_of(tmp_path) == tmp_path / "segmenter.pth"
