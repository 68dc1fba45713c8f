"""Promises of setting two rows side by side."""

import pytest

from harness.contract import ConfigError
from harness.leaderboard import load_runs
from harness.records.pairing import code_differences, pair_by_name, pair_folders, settings_differences
from tests.leaderboard.board_records import one_round

PLUGIN = {"name": "mine", "distribution": "mine", "version": "1.0", "source_sha256": "a" * 64}


def test_rows_are_found_by_name_with_all_their_seeds(sweep):
    pair = pair_by_name(load_runs(sweep.runs), "cam_new", "box_fill")
    assert pair.names == ("cam_new", "box_fill")
    assert [run.record.seed for run in pair.before] == [0, 1]
    before, after = pair.scores("val")
    assert list(before) == list(after) == [0, 1]


def test_an_unknown_row_names_the_known_ones(sweep):
    with pytest.raises(ConfigError, match="no row 'cam'; rows are: box_fill, broken, cam_new, full"):
        pair_by_name(load_runs(sweep.runs), "cam", "full")


def test_a_row_of_several_backbones_must_be_chosen(sweep):
    sweep.add("full", backbone="mit_b0")
    with pytest.raises(ConfigError, match=r"several times: \S*/records/demo-.*; add --backbone mit_b0 or --backbone "):
        pair_by_name(load_runs(sweep.runs), "full", "box_fill")
    assert pair_by_name(load_runs(sweep.runs), "full", "box_fill", backbone="resnet18").names[0] == "full"


def test_a_row_of_several_benchmarks_names_each_folder_and_what_to_type(records):
    records.add("full")
    folder = records.add("full", benchmark="other", fingerprint="f" * 16).parent
    with pytest.raises(
        ConfigError, match=rf"several times: \S*/demo-0.* \S*/other-f.*; add --runs .* or --runs {folder}"
    ):
        pair_by_name(load_runs(records.runs), "full", "full")


def test_folders_are_compared_by_their_common_rows(records, tmp_path):
    other = type(records)(tmp_path / "other")
    for made in (records, other):
        made.add("cam")
    records.add("only_here")
    other.add("only_there")
    (pair,) = pair_folders(load_runs(records.runs), load_runs(other.runs))
    assert pair.labels == ("cam", "cam")
    with pytest.raises(ConfigError, match="no row"):
        pair_folders(load_runs(records.runs), load_runs(other.runs), backbone="mit_b0")


def test_settings_that_differ_are_named_field_by_field(records):
    records.add("one", params={"iterations": 5}, rounds=one_round("a"))
    records.add("two", params={"iterations": 7}, rounds=one_round("b"), supervision="B")
    records.add("two", seed=1, params={"iterations": 7}, rounds=one_round("b"), supervision="B")
    assert settings_differences(pair_by_name(load_runs(records.runs), "one", "two")) == [
        ("method", "'one'", "'two'"),
        ("params.iterations", "5", "7"),
        ("rounds.round 1.generator.name", "'a'", "'b'"),
        ("supervision", "'I'", "'B'"),
        ("seeds", "0", "0 1"),
    ]


def test_code_that_differs_is_named_by_plugin_and_library(records):
    records.add("one", plugins=[PLUGIN], environment={"torch": "2.11"})
    records.add("two", plugins=[PLUGIN | {"source_sha256": "b" * 64}], environment={"torch": "2.15"})
    assert code_differences(pair_by_name(load_runs(records.runs), "one", "two")) == [
        ("environment.torch", "'2.11'", "'2.15'"),
        ("plugin.mine.source", "'aaaaaaaaaaaa'", "'bbbbbbbbbbbb'"),
    ]


def test_rows_of_other_masks_are_not_comparable_and_say_what_differs(records):
    records.add("one")
    dataset = {
        "name": "toy",
        "classes": ["background", "cat", "dog", "never"],
        "images": {},
        "digests": {"val/ids": "x"},
    }
    records.add("two", dataset=dataset)
    pair = pair_by_name(load_runs(records.runs), "one", "two")
    assert pair.different_images == "the data differ in val/ids"


def test_code_that_differs_in_a_later_seed_alone_is_named(records):
    plugin = {"name": "mine", "distribution": None, "version": None, "source_sha256": "a" * 64}
    for seed in (0, 1):
        changed = {**plugin, "source_sha256": "b" * 64} if seed else plugin
        records.add("one", seed=seed, plugins=[plugin], environment={"numpy": "2.4"})
        records.add("two", seed=seed, plugins=[changed], environment={"numpy": ["2.4", "2.5"]})
    assert code_differences(pair_by_name(load_runs(records.runs), "one", "two")) == [
        ("environment.numpy", "'2.4'", "['2.4', '2.5']"),
        ("plugin.mine.source", "'aaaaaaaaaaaa'", "['aaaaaaaaaaaa', 'bbbbbbbbbbbb']"),
    ]


def test_code_differences_name_the_files_that_both_rows_ran_in_another_state(records):
    records.add("one", code={"harness/maps/cam.py": "a" * 64, "same.py": "c" * 64, "only_one.py": "d" * 64})
    records.add("two", code={"harness/maps/cam.py": "b" * 64, "same.py": "c" * 64})
    found = code_differences(pair_by_name(load_runs(records.runs), "one", "two"))
    assert found == [("harness/maps/cam.py", "'aaaaaaaaaaaa'", "'bbbbbbbbbbbb'")]
