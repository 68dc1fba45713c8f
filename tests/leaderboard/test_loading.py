"""Promises of reading run records."""

import json
import re

import pytest

from harness.contract import ConfigError, DataError
from harness.leaderboard import build_board, load_runs
from harness.records.pairing import pair_by_name
from harness.records.reader import check_same_settings, differing_fields, once_a_cell
from tests.leaderboard.board_records import DATASET


def test_every_record_below_the_runs_folder_is_found(sweep):
    labels = sorted(run.record.label for run in load_runs(sweep.runs))
    assert labels == sorted(["full", "box_fill", "cam_new", "broken"] * 2)


def test_a_records_folder_and_a_list_of_files_are_read_alike(records):
    path = records.add("cam")
    assert load_runs(path.parent) == load_runs([path]) == load_runs(records.runs)


@pytest.mark.parametrize("made", [True, False])
def test_no_records_is_one_sentence_about_the_folder(tmp_path, made):
    folder = tmp_path / "empty"
    if made:
        folder.mkdir()
    with pytest.raises(ConfigError, match=r"empty: no "):
        load_runs(folder)


def test_the_notes_of_a_run_are_no_records(records):
    notes = records.runs / "datasets" / f"{'0' * 64}.json"
    notes.parent.mkdir(parents=True)
    notes.write_text('{"name": "synthetic", "params": {}}')
    with pytest.raises(ConfigError, match="no run records; make some"):
        load_runs(records.runs)
    path = records.add("cam")
    assert [run.path for run in load_runs(records.runs.parent)] == [path]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"seed": "x"}, "seed: Input should be a valid integer"),
        ({"extra": 1}, "extra: Extra inputs"),
        ({"schema_version": 99}, "schema_version: 99, this version reads 1"),
    ],
)
def test_a_record_that_is_wrong_is_named_with_its_field(records, change, sentence):
    path = records.add("cam")
    records.edit(path, **change)
    with pytest.raises(DataError, match=rf"cam--resnet18--s0\.json: {sentence}"):
        load_runs(records.runs)


def test_a_truncated_record_is_named(records):
    path = records.add("cam")
    path.write_text(path.read_text()[:50])
    with pytest.raises(DataError, match=r"s0\.json: no valid JSON"):
        load_runs(records.runs)


def test_the_same_cell_twice_is_refused(records):
    path = records.add("cam")
    (path.parent / "copy.json").write_text(path.read_text())
    with pytest.raises(DataError, match=r"copy\.json: the same cell .*cam--resnet18--s0\.json"):
        load_runs(records.runs)


def test_a_cell_that_two_benchmarks_share_counts_once(records):
    path = records.add("cam")
    records.add("cam", benchmark="ablation")
    runs = load_runs(records.runs)
    assert [run.record.benchmark for run in runs] == ["ablation", "demo"]
    assert once_a_cell(runs) == runs[:1]
    assert build_board(runs).rows == build_board(load_runs([path])).rows
    assert len(pair_by_name(runs, "cam", "cam").before) == 1


def test_a_cell_with_other_numbers_in_another_benchmark_is_refused(records):
    records.add("cam")
    records.add("cam", wrong=0.5, benchmark="ablation")
    runs = load_runs(records.runs)
    with pytest.raises(DataError, match=r"cam--resnet18--s0\.json: the same cell"):
        build_board(runs)


def test_a_changed_confusion_file_is_refused_by_name(records):
    path = records.add("cam")
    other = records.add("other", wrong=0.5)
    (path.parent / "cam--resnet18--s0.val.npz").write_bytes((other.parent / "other--resnet18--s0.val.npz").read_bytes())
    with pytest.raises(DataError, match=r"cam--resnet18--s0\.val\.npz: content hash"):
        load_runs([path])[0].confusions("val")


def test_confusions_of_other_images_or_classes_than_recorded_are_refused(records):
    path = records.add("cam")
    run = load_runs([path])[0]
    run.record.scores["val"].images = 99
    with pytest.raises(
        DataError, match=r"val\.npz: \(images, classes\) are \(12, 4\) but the run record names \(99, 4\)"
    ):
        run.confusions("val")


def test_a_record_cannot_point_outside_its_folder(records):
    path = records.add("cam")
    scores = json.loads(path.read_text())["scores"]
    scores["val"]["confusion"] = "../elsewhere.npz"
    records.edit(path, scores=scores)
    with pytest.raises(DataError, match=r"scores\.val\.confusion: '\.\./elsewhere\.npz' is not of the form"):
        load_runs([path])


def test_a_score_that_the_cell_lacks_is_none(records):
    assert load_runs([records.add("full", scores=("val",))])[0].confusions("pseudo") is None


def test_mixed_fingerprints_are_refused_with_their_folders_and_fields_that_differ(records):
    records.add("cam")
    protocol = {"scoring": {"bootstrap": 100}, "segmenter": {"optim": {"iterations": 80, "amp": True}}}
    records.add("cam", fingerprint="f" * 16, protocol=protocol)
    with pytest.raises(ConfigError, match="--allow-mixed") as caught:
        check_same_settings(load_runs(records.runs))
    folders = [str(records.runs / "records" / name) for name in ("demo-01234567", "demo-ffffffff")]
    assert str(caught.value) == (
        f"run records of different settings cannot share a table: {folders[0]} and {folders[1]} "
        "(protocol.segmenter.optim.amp is True, not absent, protocol.segmenter.optim.iterations is 80, not 40); "
        f"name one of these folders, for example `wsss leaderboard {folders[0]}`, or add --allow-mixed"
    )


def test_digests_of_two_data_sets_are_never_printed_in_full(records):
    for number, letter in enumerate("ab"):
        digests = {f"{split}/{kind}": letter * 64 for split in ("train", "val") for kind in ("ids", "images", "masks")}
        dataset = {**DATASET, "name": f"set{number}", "digests": digests}
        records.add("cam", benchmark=f"b{number}", fingerprint=f"{number}" * 16, dataset=dataset)
    with pytest.raises(ConfigError, match="and 4 more fields") as caught:
        check_same_settings(load_runs(records.runs))
    text = str(caught.value).replace(str(records.runs), "")
    assert len(text) < 500
    assert not re.search("[0-9a-f]{20}", text)
    assert list(differing_fields({"a": "a" * 64}, {"a": "b" * 64})) == [("a", "'aaaaaaaaaaaa...'", "'bbbbbbbbbbbb...'")]


def test_fingerprints_that_differ_without_a_recorded_field_are_still_refused(records):
    records.add("cam")
    records.add("cam", fingerprint="f" * 16)
    with pytest.raises(ConfigError, match="no recorded field"):
        check_same_settings(load_runs(records.runs))


def test_a_long_difference_is_cut_and_says_so(records):
    records.add("cam")
    records.add("cam", fingerprint="f" * 16, protocol={f"section{n}": {"field": n} for n in range(50)})
    with pytest.raises(ConfigError, match=r"and \d+ more fields"):
        check_same_settings(load_runs(records.runs))


def test_differing_fields_compares_whole_lists_and_tells_null_from_absent():
    found = list(differing_fields({"a": [1, 2], "b": None, "c": 1}, {"a": [1], "c": 1}))
    assert found == [("a", "[1, 2]", "[1]"), ("b", "None", "absent")]
