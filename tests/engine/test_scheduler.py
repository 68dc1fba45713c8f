"""A run computes what is missing, survives failures, and leaves one record a cell."""

import shutil

import pytest

from harness.contract.run_record import RunRecord
from harness.engine.forecast import forecast
from harness.engine.recorded_data import recorded_dataset
from harness.engine.store.store import Store
from harness.engine.verify import verify
from harness.leaderboard.board import build_board
from harness.records.reader import load_runs
from tests.engine.toy import Inline, flip_byte, make_plan, records, run_toy, without_measurements


@pytest.fixture
def counter(tmp_path, monkeypatch):
    path = tmp_path / "counter"
    monkeypatch.setenv("TOY_COUNTER", str(path))
    return lambda: sorted(path.read_text().splitlines()) if path.exists() else []


def test_every_cell_gets_a_valid_record_with_its_confusions(write_config, tmp_path):
    plan, manager = make_plan(write_config(methods=["fill", "learnt_erase", "twice"], seeds=[0, 1]))
    outcome = run_toy(plan, manager, tmp_path / "runs", executor=Inline)
    assert (outcome.ok, outcome.failed, outcome.exit_code) == (6, 0, 0)
    for path in outcome.records.glob("*.json"):
        record = RunRecord.model_validate_json(path.read_text())
        assert record.status == "ok"
        assert {"pseudo", "val"} <= set(record.scores)
        assert all((outcome.records / score.confusion).exists() for score in record.scores.values())
    twice = RunRecord.model_validate_json((outcome.records / "twice--net--s0.json").read_text())
    assert set(twice.scores) == {"pseudo_r1", "pseudo", "val"}
    erased = RunRecord.model_validate_json((outcome.records / "learnt_erase--net--s1.json").read_text())
    assert erased.label_coverage == 7 / 8
    assert erased.supervision == "I"
    assert erased.meter["tags"].model_dump() == {"reads": 8, "images": 4}
    filled = RunRecord.model_validate_json((outcome.records / "fill--net--s0.json").read_text())
    assert filled.oracle is not None
    assert filled.reference


def test_a_row_of_labels_alone_has_a_record_without_predictions(write_config, tmp_path):
    row = {"name": "labels", "method": "fill", "labels_only": True}
    plan, manager = make_plan(write_config(methods=["fill", row]))
    outcome = run_toy(plan, manager, tmp_path / "runs", executor=Inline)
    assert outcome.exit_code == 0
    runs = load_runs(outcome.records)
    found = {run.record.label: run.record for run in runs}
    assert set(found["fill"].scores) == {"pseudo", "val"}
    assert set(found["labels"].scores) == {"pseudo"}
    assert found["labels"].rounds[-1].segmenter is None
    assert found["labels"].scores["pseudo"].sha256 == found["fill"].scores["pseudo"].sha256
    board = build_board(runs)
    assert [(row.method, row.rank, row.status) for row in board.rows] == [("fill", 1, "ok"), ("labels", None, "ok")]


def test_a_repeated_row_goes_on_training_its_segmenter_and_its_record_tells_the_steps(write_config, tmp_path):
    row = {"name": "fill_3x", "method": "fill", "repeat": 3}
    plan, manager = make_plan(write_config(methods=["fill", row]))
    outcome = run_toy(plan, manager, tmp_path / "runs", executor=Inline)
    assert outcome.exit_code == 0
    runs = load_runs(outcome.records)
    found = {run.record.label: run.record for run in runs}
    assert (found["fill"].trainings, found["fill_3x"].trainings) == (1, 3)
    assert set(found["fill_3x"].scores) == {"pseudo_r1", "pseudo_r2", "pseudo", "val"}
    assert len({score.sha256 for name, score in found["fill_3x"].scores.items() if name != "val"}) == 1
    assert {row.method: row.trainings for row in build_board(runs).rows} == {"fill": None, "fill_3x": 3}
    store = Store(tmp_path / "runs")
    for run in runs:
        assert verify(run.path, run.record, store, recorded_dataset(run.record, store, manager)) == []


def test_a_second_run_computes_nothing_and_starts_no_executor(write_config, tmp_path, counter):
    plan, manager = make_plan(write_config())
    run_toy(plan, manager, tmp_path / "runs", executor=Inline)
    before, computed = records(tmp_path / "runs"), counter()

    def forbidden():
        raise AssertionError("nothing is left to compute")

    outcome = run_toy(*make_plan(write_config()), tmp_path / "runs", executor=forbidden)
    assert outcome.exit_code == 0
    assert (records(tmp_path / "runs"), counter()) == (before, computed)


def test_equal_stages_of_different_methods_run_once(write_config, tmp_path, counter):
    run_toy(*make_plan(write_config(methods=["learnt", "learnt_erase"])), tmp_path / "runs", executor=Inline)
    assert [line.split()[0] for line in counter()].count("learn") == 1
    assert counter().count("generate") == 1
    assert counter().count("train") == 2


def test_every_method_gets_the_same_initialisation_seed(write_config, tmp_path, counter):
    run_toy(*make_plan(write_config(methods=["learnt", "fitted"])), tmp_path / "runs", executor=Inline)
    seeds = {line.split()[0]: line.split()[1] for line in counter() if " " in line}
    assert seeds["learn"] == seeds["fit"]


@pytest.mark.parametrize(
    ("mode", "kind", "words"),
    [
        ("raise", "ValueError", "deliberate failure"),
        ("factory", "RuntimeError", "this factory never works"),
        ("size", "PluginError", "image 'train0': the mask is 8x9, the image 8x8"),
        ("class", "PluginError", "image 'train0': the mask holds class 77, known are 0..2 and 255"),
        ("skip", "PluginError", "image 'train3' got no label (1 of 4 are missing)"),
        ("masks", "SupervisionError", "masks"),
        ("settings", "KeyError", "add it to the record's reads"),
        ("settings", "KeyError", "(toy_plugin.py, line "),
        ("bug", "NameError", "name 'undefined' is not defined (toy_plugin.py, line "),
        ("seed", "PluginError", "set random=True in its record"),
        ("full", "StoreError", "cannot be written, the disk is full"),
    ],
)
def test_a_failing_method_is_a_row_and_the_others_go_on(write_config, tmp_path, mode, kind, words):
    rows = [{"name": "bad", "method": "fill", "params": {"mode": mode}}, "fill"]
    outcome = run_toy(*make_plan(write_config(methods=rows)), tmp_path / "runs", executor=Inline)
    assert outcome.exit_code == 3
    found = records(tmp_path / "runs")
    assert found["fill--net--s0"]["status"] == "ok"
    bad = found["bad--net--s0"]
    assert (bad["status"], bad["error"]["stage"], bad["error"]["kind"]) == ("failed", "r1/generate fill", kind)
    assert words in bad["error"]["message"]
    assert "Traceback" in (tmp_path / "runs" / bad["error"]["log"]).read_text()
    assert not list((tmp_path / "runs" / "store").glob("??/.*")), "nothing half-written remains"


def test_a_failed_shared_stage_fails_exactly_the_cells_that_need_it(write_config, tmp_path, monkeypatch):
    plan, manager = make_plan(write_config())
    monkeypatch.setitem(manager.get("generator", "learnt").uses[0].run.__globals__, "nap", lambda: 1 / 0)
    run_toy(plan, manager, tmp_path / "runs", executor=Inline)
    found = {stem: (record["error"] or {}).get("stage") for stem, record in records(tmp_path / "runs").items()}
    assert found == {
        "fill--net--s0": "r1/generate fill",
        "learnt--net--s0": "learn",
        "learnt_erase--net--s0": "learn",
    }


def test_a_changed_parameter_replaces_the_record_before_anything_runs(write_config, tmp_path):
    runs = tmp_path / "runs"
    run_toy(*make_plan(write_config(methods=["fill"])), runs, executor=Inline)
    broken = [{"name": "fill", "params": {"mode": "raise"}}]
    run_toy(*make_plan(write_config(methods=broken)), runs, executor=Inline)
    assert records(runs)["fill--net--s0"]["status"] == "failed"
    run_toy(*make_plan(write_config(methods=["fill"])), runs, executor=Inline)
    assert records(runs)["fill--net--s0"]["status"] == "ok"


def test_a_damaged_intermediate_artifact_is_computed_again(write_config, tmp_path, counter):
    runs = tmp_path / "runs"
    plan, manager = make_plan(write_config(methods=["learnt"]))
    run_toy(plan, manager, runs, executor=Inline)
    undisturbed = records(runs)
    learn = dict(plan.cells[0].stages)["learn"]
    flip_byte(runs / "store" / learn[:2] / learn / "model")
    generate = dict(plan.cells[0].stages)["r1/generate learnt"]
    shutil.rmtree(runs / "store" / generate[:2] / generate)
    shutil.rmtree(runs / "store" / plan.cells[0].pseudo[0][:2] / plan.cells[0].pseudo[0])
    shutil.rmtree(runs / "records")
    run_toy(*make_plan(write_config(methods=["learnt"])), runs, executor=Inline)
    assert [line.split()[0] for line in counter()].count("learn") == 2
    assert [path.name[:64] for path in (runs / "corrupt").iterdir()] == [learn]
    assert without_measurements(records(runs)) == without_measurements(undisturbed)


def test_a_damaged_score_is_never_shown(write_config, tmp_path):
    runs = tmp_path / "runs"
    run_toy(*make_plan(write_config(methods=["fill"])), runs, executor=Inline)
    sound = records(runs)
    flip_byte(next(runs.glob("records/*/*.val.npz")))
    plan, manager = make_plan(write_config(methods=["fill"]))
    key = plan.cells[0].val
    flip_byte(runs / "store" / key[:2] / key / "confusions.npz")
    run_toy(plan, manager, runs, executor=Inline)
    assert without_measurements(records(runs)) == without_measurements(sound)
    assert len(list((runs / "corrupt").iterdir())) == 1


def test_observers_are_told_and_change_nothing(write_config, tmp_path, monkeypatch):
    plan, manager = make_plan(write_config(methods=["fill"]))
    told = []
    monkeypatch.setattr(manager, "notify", lambda event, **content: told.append((event, content)))
    run_toy(plan, manager, tmp_path / "runs", executor=Inline)
    names = [event for event, _ in told]
    assert names[0] == "wsss_run_started"
    assert names[-1] == "wsss_run_finished"
    assert names.count("wsss_stage_finished") == len(plan.stages)
    assert told[0][1]["run"].cells == (("fill", "net", 0),)


def test_event_files_of_a_training_outlive_its_work_folder(write_config, tmp_path):
    plan, manager = make_plan(write_config(methods=["fill"]))
    (key,) = [key for key, spec in plan.stages.items() if spec.kind == "segmenter"]
    event = tmp_path / "runs" / "work" / key / "vis_data" / "events.out.tfevents.1"
    event.parent.mkdir(parents=True)
    event.write_text("losses")
    run_toy(plan, manager, tmp_path / "runs", executor=Inline)
    (kept,) = (tmp_path / "runs" / "tensorboard").rglob("events.*")
    assert (kept.read_text(), kept.parent.name) == ("losses", f"segmenter-toy-{key[:12]}")
    assert not event.exists()


def test_a_record_is_written_only_when_every_stage_can_tell_what_it_read(write_config, tmp_path, counter):
    plan, manager = make_plan(write_config(methods=["learnt"]))
    run_toy(plan, manager, tmp_path / "runs", executor=Inline)
    before = records(tmp_path / "runs")
    counted = len(counter())
    for path in (tmp_path / "runs" / "records").glob("*/*.json"):
        path.unlink()
    store = Store(tmp_path / "runs")
    learn = next(artifact for artifact in store.artifacts() if artifact.name == "learn")
    shutil.rmtree(store.folder(learn.key))
    assert forecast(plan, store, manager, tflops=1.0).missing == 1
    run_toy(plan, manager, tmp_path / "runs", executor=Inline)
    assert without_measurements(records(tmp_path / "runs")) == without_measurements(before)
    assert len(counter()) == counted + 1
