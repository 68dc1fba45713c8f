"""Why a stage is stale, and that no worker runs other code than its key was made from."""

import shutil

import pytest

from harness.contract import PluginError
from harness.engine.code.check import check_code
from harness.engine.plan.reasons import differences, reasons, told
from harness.engine.store.store import Store
from harness.registry import PluginSpec, manager_from_spec
from tests.commands import wsss
from tests.engine import toy
from tests.engine.toy import Inline, make_plan, run_toy


@pytest.fixture
def config(write_config):
    return write_config(methods=["learnt"])


@pytest.fixture
def stored(config, tmp_path):
    """Artifacts of a finished run."""
    run_toy(*make_plan(config), tmp_path / "runs", executor=Inline)
    return list(Store(tmp_path / "runs").artifacts())


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """The toys' plugin as a copy that may be edited; returns how."""
    copy = tmp_path / "toy_plugin.py"
    shutil.copy(toy.PLUGIN, copy)
    monkeypatch.setattr(toy, "toy_manager", lambda: manager_from_spec(_spec(copy)))

    def edit(before, after):
        text = copy.read_text()
        assert before in text
        copy.write_text(text.replace(before, after))
        manager_from_spec.cache_clear()

    return edit


def _spec(file):
    return PluginSpec(files=(str(file),), env="", builtins=("harness.engine.executors.builtin",))


def why(plan, stored):
    have = {artifact.key for artifact in stored}
    found = reasons(plan, [key for key in plan.stages if key not in have], stored)
    return {plan.stages[key].name: told(listed) for key, listed in found.items()}


def test_a_changed_setting_is_named_with_both_values(config, stored):
    plan, _ = make_plan(config, ["protocol.segmenter.optim.lr=0.5"])
    assert why(plan, stored) == {
        "segmenter toy": "lr 0.01 -> 0.5",
        "predict": "upstream: segmenter toy",
        "score predictions": "upstream: predict",
    }


def test_a_changed_file_is_named_and_a_comment_is_none(plugin, config, tmp_path):
    run_toy(*make_plan(config), tmp_path / "runs", executor=Inline)
    stored = list(Store(tmp_path / "runs").artifacts())
    plugin("SIZE = 8", "SIZE = 8  # pixels")
    assert why(make_plan(config)[0], stored) == {}
    plugin("SIZE = 8", "SIZE = 4 + 4")
    assert why(make_plan(config)[0], stored)["generate learnt"] == "toy_plugin.py changed, upstream: learn"


def test_a_stage_that_never_ran_is_new_and_so_is_what_reads_from_it(write_config, stored):
    plan, _ = make_plan(write_config(methods=["learnt_erase"]))
    assert why(plan, stored)["refine erase"] == "new"
    assert set(why(plan, stored).values()) == {"new"}
    assert set(why(plan, []).values()) == {""}


def test_another_data_set_and_another_backbone_are_nothing_to_compare_with(write_config, stored):
    assert set(why(make_plan(write_config(), ["dataset.params.train=5"])[0], stored).values()) == {"new"}
    other = why(make_plan(write_config(methods=["learnt"], backbones=["wide"]))[0], stored)
    assert other["segmenter toy"] == "new"


def test_a_library_and_a_file_that_came_or_went_are_told_apart():
    before, after = {"torch": "2.12", "a.py": "1", "b.py": "1"}, {"torch": "2.13", "a.py": "2", "c.py": "1"}
    assert differences(before, after) == [
        "a.py changed",
        "b.py no longer used",
        "c.py now used",
        "torch 2.12 -> 2.13",
    ]
    assert told(differences(before, after)) == "a.py changed, b.py no longer used, c.py now used and 1 more"


def test_the_command_prints_the_reason(config, stored, tmp_path, toys):
    arguments = ("--runs", tmp_path / "runs", "--plugin", toy.PLUGIN, "-o", "protocol.segmenter.optim.lr=0.5")
    code, output = wsss("plan", config, *arguments)
    assert code == 0, output
    assert "to compute segmenter toy: lr 0.01 -> 0.5" in output


def test_a_worker_refuses_code_that_was_changed_after_planning(config, tmp_path, monkeypatch):
    plan, _ = make_plan(config)
    spec = next(spec for spec in plan.stages.values() if spec.kind == "predict")
    check_code(spec)
    changed = {**spec.key_inputs["code"], "harness/modelling/crf.py": "0" * 64}
    monkeypatch.setitem(spec.key_inputs, "code", changed)
    with pytest.raises(
        PluginError, match=r"predict: the code is not what the run was planned with: harness/modelling/crf"
    ):
        check_code(spec)


def test_an_artifact_and_a_record_hold_a_hash_for_each_file(stored, tmp_path):
    for artifact in stored:
        assert {"harness/engine/stage/kinds/stage.py", "toy_plugin.py"} <= set(artifact.inputs["code"])
    (record,) = toy.records(tmp_path / "runs").values()
    assert set(record["code"]) == {file for artifact in stored for file in artifact.inputs["code"]}
