"""A refiner that trains has a stage for it, as a generator has."""

import pytest

from harness.contract import PluginError
from harness.contract.run_record import RunRecord
from harness.engine.forecast import forecast
from harness.engine.plan.roles import Roles, name_of
from harness.engine.recorded_data import recorded_dataset
from harness.engine.stage.context import StageContext
from harness.engine.stage.kinds.labels import StoredLabels
from harness.engine.stage.worker import log_of, log_path
from harness.engine.store.store import Store
from harness.engine.verify import verify
from harness.maps.labels import LabelReader
from tests.engine.toy import Inline, make_plan, run_toy


def row(*refiners, name="row", method="fill"):
    return {"name": name, "method": method, "refiners": list(refiners)}


def roles(plan):
    return [role for role, _ in plan.cells[0].stages]


def test_a_refiner_that_fits_learns_in_a_stage_of_its_own_with_supervision_and_time_of_its_own(write_config, tmp_path):
    plan, manager = make_plan(write_config(methods=[row("learned")]))
    names = ["r1/generate fill", "r1/fit learned", "r1/refine learned"]
    assert roles(plan)[:3] == names
    store = Store(tmp_path / "runs")
    missing = {line.name: line.missing for line in forecast(plan, store, manager, tflops=1.0).lines}
    assert (missing["fit learned"], missing["refine learned"]) == (1, 1)
    outcome = run_toy(plan, manager, tmp_path / "runs", executor=Inline)
    path = outcome.records / "row--net--s0.json"
    record = RunRecord.model_validate_json(path.read_text())
    keys = {stage.name: stage.key for stage in record.stages if stage.seconds is not None}
    assert list(keys)[:3] == names
    assert record.meter["tags"].model_dump() == {"reads": 8, "images": 4}
    assert set(store.find(keys["r1/fit learned"]).meter) == {"tags"}
    labels = LabelReader(store.folder(keys["r1/refine learned"]))
    assert (labels.mask("train0") == 1).all()
    assert verify(path, record, store, recorded_dataset(record, store, manager)) == []


def test_labels_that_a_refiner_learns_from_are_read_when_they_are_asked_for(write_config, tmp_path, monkeypatch):
    plan, manager = make_plan(write_config(methods=[row()]))
    run_toy(plan, manager, tmp_path / "runs", executor=Inline)
    folder = Store(tmp_path / "runs").folder(dict(plan.cells[0].stages)["r1/generate fill"])
    labels = StoredLabels(folder, ("train1", "train0", "train2"))
    read = []
    plain = LabelReader.label
    monkeypatch.setattr(LabelReader, "label", lambda self, name: read.append(name) or plain(self, name))
    assert (len(labels), read) == (3, [])
    assert labels[-1].image_id == "train2"
    assert [label.image_id for label in labels[:2]] == ["train1", "train0"]
    assert [label.image_id for label in labels] == [label.image_id for label in labels]
    assert read == ["train2", "train1", "train0", *["train1", "train0", "train2"] * 2]


def test_two_refiners_of_one_name_in_a_round_have_a_role_each(write_config, tmp_path):
    plan, manager = make_plan(write_config(methods=[row("learned", "learned", "erase", "erase")]))
    wanted = ["fit learned", "refine learned", "fit learned (2)", "refine learned (2)", "refine erase"]
    assert roles(plan)[1:7] == [f"r1/{name}" for name in [*wanted, "refine erase (2)"]]
    assert run_toy(plan, manager, tmp_path / "runs", executor=Inline).exit_code == 0
    keys = dict(plan.cells[0].stages)
    assert plan.stages[keys["r1/score labels"]].inputs == {"scored": keys["r1/refine erase (2)"]}
    for role, key in plan.cells[0].stages:  # `wsss show` finds a stage's log by its role
        assert log_of(name_of(role), key) == log_path(plan.stages[key])


def test_a_generator_and_a_refiner_of_one_name_that_both_fit_have_a_role_each(write_config):
    plan, _ = make_plan(write_config(methods=[row("fitted", method="fitted")]))
    names = ["fit fitted", "generate fitted", "fit fitted (2)", "refine fitted"]
    assert roles(plan)[:4] == [f"r1/{name}" for name in names]


def test_a_role_with_a_number_names_the_same_stage():
    roles = Roles()
    for key in ("a", "b", "b", "c", "a"):
        roles.take("r1/refine crf", key)
    assert roles == {"r1/refine crf": "a", "r1/refine crf (2)": "b", "r1/refine crf (3)": "c"}
    assert {name_of(role) for role in roles} == {"refine crf"}
    assert name_of("score predictions") == "score predictions"


def test_the_seed_enters_what_a_trained_refiner_makes_and_not_the_labels_before_it(write_config):
    plan, _ = make_plan(write_config(methods=[row("learned")], seeds=[0, 1]))
    one, two = (dict(cell.stages) for cell in plan.cells)
    assert one["r1/generate fill"] == two["r1/generate fill"]
    assert one["r1/fit learned"] != two["r1/fit learned"]
    assert one["r1/refine learned"] != two["r1/refine learned"]


def test_a_refiner_that_asks_for_a_fit_is_told_what_its_record_lacks(write_config, tmp_path):
    plan, _ = make_plan(write_config(methods=[row("erase")]))
    spec = plan.stages[dict(plan.cells[0].stages)["r1/refine erase"]]
    with pytest.raises(PluginError, match=r"has no input 'fit' .*; set fits=True in its record"):
        StageContext(spec, out=tmp_path, work=tmp_path, inputs={}).input("fit")
