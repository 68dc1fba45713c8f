"""A row whose segmenter makes its labels while it trains: nothing stands where pseudo labels would be scored."""

import json
import re

import pytest

import harness
from harness.contract import Claim, ConfigError, StoreError
from harness.engine.recorded_data import recorded_dataset
from harness.engine.store.store import Store
from harness.engine.verify import verify
from harness.export.rows import find_row
from harness.leaderboard import build_board, load_runs
from harness.records.reader import read_record
from tests.commands import wsss
from tests.engine.toy import Inline, make_plan, run_toy

OWN = {"name": "own", "rounds": [{"generator": "blank", "segmenter": "own"}]}
THEN = {"name": "then", "rounds": [*OWN["rounds"], {"generator": "again", "segmenter": "toy", "warm_start": True}]}
LAST = {"name": "last", "rounds": [{"generator": "fill", "segmenter": "toy"}, *OWN["rounds"]]}


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Runs folder and folder of records of the three rows and of one with labels."""
    from tests.engine.toy import BENCHMARK

    folder = tmp_path_factory.mktemp("own")
    (folder / "model.py").write_text("model = dict(type='EncoderDecoder')\n")
    config = folder / "toy.yaml"
    config.write_text(json.dumps({**BENCHMARK, "methods": [OWN, THEN, LAST, "fill"]}))
    plan, manager = make_plan(config)
    outcome = run_toy(plan, manager, folder / "runs", executor=Inline)
    assert outcome.exit_code == 0
    return folder / "runs", outcome.records, manager


def recorded(scored):
    return {run.record.label: run.record for run in load_runs(scored[1])}


def test_only_labels_that_say_something_are_scored_whichever_round_they_are_of(scored):
    found = recorded(scored)
    assert {label: set(record.scores) for label, record in found.items()} == {
        "own": {"val"},
        "then": {"pseudo", "val"},
        "last": {"pseudo_r1", "val"},
        "fill": {"pseudo", "val"},
    }
    assert (found["own"].label_coverage, found["last"].label_coverage, found["own"].oracle) == (None, None, None)
    assert [item.labels for item in found["last"].rounds] == [True, False]
    assert found["own"].supervision == "I"


def test_the_training_is_told_that_there_are_no_labels(scored):
    found, store = recorded(scored), Store(scored[0])
    told = {
        (record.label, stage.name): (store.folder(stage.key) / "unlabelled").read_text()
        for record in found.values()
        for stage in record.stages
        if "/segmenter " in stage.name
    }
    assert told == {
        ("own", "r1/segmenter own"): "True",
        ("then", "r1/segmenter own"): "True",
        ("then", "r2/segmenter toy"): "False",
        ("last", "r2/segmenter own"): "True",
        ("fill", "r1/segmenter toy"): "False",
    }


def test_every_table_has_a_dash_where_pseudo_labels_would_be_scored(scored):
    rows = {row.method: row for row in build_board(load_runs(scored[1])).rows}
    assert all(row.rank and row.val_miou is not None for row in rows.values())
    assert [rows[name].pseudo_miou is None for name in ("own", "last", "then", "fill")] == [True, True, False, False]
    text = wsss("leaderboard", scored[1], "--format", "md").stdout
    (line,) = (line for line in text.splitlines() if "| own " in line and "[" in line)
    header = next(line for line in text.splitlines() if "pseudo mIoU" in line)
    cells = dict(zip(map(str.strip, header.split("|")), map(str.strip, line.split("|")), strict=True))
    assert cells["pseudo mIoU (train)"] == "—"
    for form in ("tex", "csv", "json"):
        assert wsss("leaderboard", scored[1], "--format", form).code == 0
    page = wsss("leaderboard", scored[1], "--format", "html")
    assert page.code == 0
    assert "pseudo label of own" not in page.stdout


def test_compare_and_claims_have_nothing_to_say_of_labels_that_are_none(scored):
    assert wsss("compare", "own", "fill", "--runs", scored[1]).code == 0
    labels = wsss("compare", "own", "fill", "--runs", scored[1], "--score", "pseudo")
    assert "no statistics: row own makes no pseudo labels" in labels.stdout
    claims = [Claim("own", "fill", "s", metric="pseudo-label mIoU")]
    (answer,) = build_board(load_runs(scored[1]), claims=claims).claims
    assert (answer.verdict, answer.reason) == ("not comparable", "row own makes no pseudo labels")


def test_verify_confirms_such_a_row(scored):
    runs, folder, manager = scored
    store = Store(runs)
    for path in folder.glob("*.json"):
        record = read_record(path)
        assert verify(path, record, store, recorded_dataset(record, store, manager)) == []


def test_export_and_programs_say_in_one_sentence_that_there_are_no_labels(scored):
    sentence = r"^row own--net--s0 makes its labels while it trains: it has no pseudo labels$"
    with pytest.raises(StoreError, match=sentence):
        find_row(scored[1], "own").labels()
    with pytest.raises(StoreError, match="has no pseudo labels"):
        find_row(scored[1], "last").labels()
    assert find_row(scored[1], "last").labels(1).ids == find_row(scored[1], "then").labels().ids
    assert len(find_row(scored[1], "own").predictions().ids) == 3


def test_show_names_no_place_of_labels_that_are_none(scored):
    shown = {name: str(harness.load(scored[1]).show(name)) for name in ("own", "fill")}
    assert "/masks" in shown["own"]
    assert re.search("^  labels .*/masks$", shown["fill"], re.MULTILINE)
    assert not re.search("^  labels ", shown["own"], re.MULTILINE)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"rounds": [{"generator": "blank", "segmenter": "toy"}]}, "and segmenter 'toy' learns from labels alone"),
        (
            {"rounds": [{"generator": "blank", "segmenter": "own", "refiners": ["erase"]}]},
            "refiner 'erase' refines them",
        ),
        ({**OWN, "labels_only": True}, "and the row ends with them; leave labels_only out"),
    ],
)
def test_what_cannot_stand_behind_a_generator_without_labels_is_one_sentence_of_the_plan(write_config, row, sentence):
    with pytest.raises(ConfigError, match=rf"methods\.own: generator 'blank' makes no labels, .*{sentence}"):
        make_plan(write_config(methods=[{**row, "name": "own"}]))
