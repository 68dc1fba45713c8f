"""Counts beside the confusions, from the benchmark file to the table and the check, on a run of toys."""

import json
import shutil

import numpy as np
import pytest
import yaml

from harness.leaderboard import load_runs
from harness.records.marks import is_marked
from harness.scoring.image_counts import ImageCounts
from tests.commands import wsss
from tests.engine.toy import BENCHMARK, MODELLING, PLUGIN

COUNTS = ("-o", "protocol.scoring.counts=[size,boundary]")


def run_toys(folder, *more):
    arguments = ("--plugin", PLUGIN, "--runs", folder / "runs", "--jobs", 1, "--device", "cpu", "--no-table")
    return wsss("run", folder / "toy.yaml", *arguments, *more)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a benchmark file and the runs folder of a row, first without counts and then with them."""
    folder = tmp_path_factory.mktemp("counted")
    (folder / "model.py").write_text("model = dict(type='EncoderDecoder')\n")
    (folder / "toy.yaml").write_text(yaml.safe_dump({**BENCHMARK, "methods": ["fill"]}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.engine.code.roots.MODELLING", MODELLING)
        for more in ((), COUNTS):
            code, output = run_toys(folder, *more)
            assert code == 0, output
    return folder


@pytest.fixture
def folder(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("WSSS_PLUGINS", "")
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path


def record_of(folder, *, counted):
    paths = folder.glob("runs/records/*/*.json")
    return next(path for path in paths if bool(json.loads(path.read_text())["scores"]["val"].get("counts")) == counted)


def test_who_asks_for_nothing_has_no_word_of_counts_in_the_record(folder):
    record = json.loads(record_of(folder, counted=False).read_text())
    assert "counts" not in record["protocol"]["scoring"]
    assert all("counts" not in score for score in record["scores"].values())


def test_asking_for_counts_computes_the_scores_again_and_nothing_else(folder):
    plain, counted = (json.loads(record_of(folder, counted=asked).read_text()) for asked in (False, True))
    keys = [{stage["name"]: stage["key"] for stage in record["stages"]} for record in (plain, counted)]
    assert keys[0].keys() == keys[1].keys()
    differing = {name for name, key in keys[0].items() if keys[1][name] != key}
    assert differing == {"r1/score labels", "score predictions"}
    for name, score in plain["scores"].items():
        assert counted["scores"][name]["sha256"] == score["sha256"], "the confusions are the same"


def test_the_counts_lie_beside_the_record_and_are_of_its_images(folder):
    run = next(run for run in load_runs(folder / "runs") if run.record.scores["val"].counts)
    for name in ("val", "pseudo"):
        confusions = run.confusions(name)
        for kind in ("boundary", "size"):
            counts = run.counts(name, kind)
            assert counts.ids == confusions.ids
        sizes = run.counts(name, "size").dense().sum(1)
        np.testing.assert_array_equal(sizes[..., 1:], confusions.areas()[..., 1:])


def test_verify_counts_them_again(folder):
    code, output = wsss("verify", folder / "runs", "--plugin", PLUGIN)
    assert code == 0, output
    assert output.count(": verified") == 2


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda file: file.unlink(), "is missing or was changed"),
        (lambda file: file.write_bytes(b"other"), "is missing or was changed"),
    ],
)
def test_verify_finds_a_file_of_counts_that_is_gone_or_changed(folder, spoil, words):
    record = record_of(folder, counted=True)
    spoil(record.parent / json.loads(record.read_text())["scores"]["val"]["counts"]["boundary"]["file"])
    code, output = wsss("verify", folder / "runs", "--plugin", PLUGIN)
    assert code == 3
    assert "scores.val.counts.boundary" in output
    assert words in " ".join(output.split())
    assert not is_marked(record)


def test_verify_finds_counts_that_the_label_maps_do_not_give(folder):
    record = record_of(folder, counted=True)
    content = json.loads(record.read_text())
    named = content["scores"]["val"]["counts"]["size"]
    old = ImageCounts.load(record.parent / named["file"], "size")
    forged = ImageCounts("size", old.ids, old.num_classes, old.index, old.cells, old.count + 1)
    named["sha256"] = forged.save(record.parent / named["file"])
    record.write_text(json.dumps(content))
    code, output = wsss("verify", folder / "runs", "--plugin", PLUGIN)
    assert code == 3
    assert "scores.val.counts.size: the label maps give other counts" in " ".join(output.split())


def test_a_record_that_says_nothing_of_the_counts_its_protocol_calls_for_is_not_verified(folder):
    record = record_of(folder, counted=True)
    content = json.loads(record.read_text())
    del content["scores"]["val"]["counts"]
    record.write_text(json.dumps(content))
    code, output = wsss("verify", folder / "runs", "--plugin", PLUGIN)
    assert code == 3
    assert "the record has [], its protocol calls for ['boundary', 'size']" in " ".join(output.split())


def test_a_table_has_boundary_and_sizes_as_columns(folder, tmp_path):
    names = ["val_boundary_iou", "pseudo_boundary_iou", "val_small_iou", "val_medium_iou", "val_large_iou"]
    records = record_of(folder, counted=True).parent
    columns = ",".join(["method", *names])
    code, output = wsss("leaderboard", records, "--columns", columns, "--format", "json", "--out", tmp_path / "tables")
    assert code == 0, output
    (row,) = json.loads((tmp_path / "tables/toy.json").read_text())["rows"]
    assert {"val_boundary_iou", "pseudo_boundary_iou"} <= row["metrics"].keys() <= set(names)
    for estimate in row["metrics"].values():
        assert 0 <= estimate["low"] <= estimate["value"] <= estimate["high"] <= 1


def test_a_table_without_the_counts_is_one_sentence_that_says_how_to_get_them(folder):
    records = record_of(folder, counted=False).parent
    code, output = wsss("leaderboard", records, "--columns", "method,val_boundary_iou")
    assert code == 2
    assert "protocol.scoring.counts=[boundary]" in output


def test_of_mixed_settings_the_rows_with_the_counts_have_the_number(folder):
    arguments = ("--allow-mixed", "--columns", "method,val_boundary_iou", "--format", "csv")
    code, output = wsss("leaderboard", folder / "runs", *arguments)
    assert code == 0, output
    cells = [line.split(",")[1] for line in output.splitlines()[1:]]
    assert sorted(bool(cell) for cell in cells) == [False, True]


def test_a_file_of_counts_that_is_gone_is_one_sentence(folder):
    record = record_of(folder, counted=True)
    file = record.parent / json.loads(record.read_text())["scores"]["val"]["counts"]["boundary"]["file"]
    file.unlink()
    code, output = wsss("leaderboard", record.parent, "--columns", "method,val_boundary_iou")
    assert code == 2
    assert file.name in output.replace("\n", "")
    assert wsss("leaderboard", record.parent, "--columns", "method,val_miou").code == 0, "nobody asks for them"


def test_the_next_run_writes_a_record_again_whose_counts_are_gone(folder, monkeypatch):
    monkeypatch.setattr("harness.engine.code.roots.MODELLING", MODELLING)
    record = record_of(folder, counted=True)
    file = record.parent / json.loads(record.read_text())["scores"]["val"]["counts"]["boundary"]["file"]
    before = file.read_bytes()
    file.unlink()
    code, output = run_toys(folder, *COUNTS)
    assert code == 0, output
    assert file.read_bytes() == before


def test_an_unknown_kind_is_refused_with_the_known_ones(folder):
    code, output = run_toys(folder, "-o", "protocol.scoring.counts=[edges]")
    assert code == 2
    assert "boundary" in output
    assert "size" in output
