"""The records: supervision letters, rounds, shared stages, and a run of all of it."""

import json

import pytest
import yaml

from harness.common.shipped import configs_folder
from harness.contract import ConfigError, letters
from harness.engine.executors.builtin import LocalParams
from harness.engine.executors.local import LocalExecutor
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.layout import build_plan
from harness.engine.progress import ProgressDisplay
from harness.engine.scheduler import run_plan
from harness.registry import PluginSpec, manager_from_spec
from wsss_bilevel_box.params import BilevelBoxParams, rounds

MANAGER = manager_from_spec(PluginSpec(env=""))
CONFIGS = configs_folder()


def plan_of(folder, rows, **dataset):
    optim = {"iterations": 2, "batch_size": 2, "lr": 0.01}
    params = {"train": 4, "val": 2, "size": 64, "classes": 2, "auxiliary_classes": 2, "auxiliary_train": 4, **dataset}
    config = {
        "name": "bilevel",
        "dataset": {"name": "synthetic", "params": params},
        "backbones": ["tiny"],
        "methods": rows,
        "protocol": {
            "classifier": {"optim": optim, "augment": {"crop": 64}},
            "segmenter": {"config": str(CONFIGS / "segmenters/fcn.py"), "optim": optim, "augment": {"crop": 64}},
        },
    }
    path = folder / "bilevel.yaml"
    path.write_text(yaml.safe_dump(config))
    registered = {kind: MANAGER.records(kind) for kind in ("method", "backbone")}
    return build_plan(load_benchmark(path, registered=registered), MANAGER)


def stages_of(plan, label):
    (cell,) = (cell for cell in plan.cells if cell.row.label == label)
    return dict(cell.stages)


def test_the_auxiliary_masks_stand_in_the_supervision_letters(tmp_path):
    assert letters(MANAGER.needs("method", "bilevel_box")) == "B+B(aux)+F(aux)"
    (cell,) = plan_of(tmp_path, ["bilevel_box"]).cells
    assert cell.row.supervision == "B+B(aux)+F(aux)"


def test_a_data_set_without_auxiliary_part_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="has no auxiliary part"):
        plan_of(tmp_path, ["bilevel_box"], auxiliary_classes=0)


def test_the_auxiliary_part_enters_the_fingerprint_but_no_stage_of_other_methods(tmp_path):
    one = plan_of(tmp_path, ["bilevel_box", "box_fill"])
    two = plan_of(tmp_path, ["bilevel_box", "box_fill"], auxiliary_train=5)
    none = plan_of(tmp_path, ["box_fill"], auxiliary_classes=0)
    assert len({plan.fingerprint for plan in (one, two, none)}) == 3
    assert stages_of(one, "box_fill") == stages_of(two, "box_fill") == stages_of(none, "box_fill")
    assert stages_of(one, "bilevel_box")["bilevel_1"] != stages_of(two, "bilevel_box")["bilevel_1"]


def test_three_rounds_with_warm_starts():
    three = rounds(BilevelBoxParams())
    assert [r.generator.params["round"] for r in three] == [1, 2, 3]
    assert [r.warm_start for r in three] == [False, True, True]
    drawn = rounds(BilevelBoxParams(round1_uses_prob=True))
    assert [r.generator.name for r in drawn] == ["box_fill", "bilevel_box", "bilevel_box", "bilevel_box"]


def test_variants_share_the_first_generator(tmp_path):
    rows = [
        "bilevel_box",
        {"name": "once", "method": "bilevel_box", "params": {"rounds": 1}},
        {"name": "blind", "method": "bilevel_box", "params": {"probability": False}},
        {"name": "unrolled", "method": "bilevel_box", "params": {"scheme": "unrolled"}},
    ]
    plan = plan_of(tmp_path, rows)
    first = {stages_of(plan, label)["bilevel_1"] for label in ("bilevel_box", "once", "blind", "unrolled")}
    second = {stages_of(plan, label)["bilevel_2"] for label in ("bilevel_box", "blind", "unrolled")}
    assert len(first) == 1
    assert len(second) == 3


def test_rounds_run_from_auxiliary_masks_to_a_record(tmp_path):
    """The default method goes through tests/test_poison.py; this is the other network, scheme and preset."""
    params = {"preset": "official", "network": "small", "scheme": "unrolled", "rounds": 2}
    plan = plan_of(tmp_path, [{"name": "row", "method": "bilevel_box", "params": params}])
    outcome = run_plan(
        plan,
        runs=tmp_path / "runs",
        manager=MANAGER,
        make_executor=lambda: LocalExecutor(LocalParams(jobs=1, device="cpu")),
        progress=ProgressDisplay(plan, tmp_path / "runs"),
        device="cpu",
    )
    logs = [path.read_text() for path in (tmp_path / "runs" / "logs").glob("*.log")]
    assert outcome.exit_code == 0, logs
    (path,) = outcome.records.glob("*.json")
    record = json.loads(path.read_text())
    assert {"pseudo_r1", "pseudo", "val"} <= set(record["scores"])
    assert record["meter"]["masks(aux)"]["images"] == 4
    assert "masks" not in record["meter"]
