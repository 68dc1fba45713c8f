"""``wsss leaderboard FILE`` shows the records of the settings of FILE, whatever was run last."""

from pathlib import Path

import pytest
import yaml

from harness.api.runs import open_benchmark
from harness.leaderboard import load_runs
from harness.registry import manager
from tests.commands import wsss

ROOT = Path(__file__).parents[2]
LR = "protocol.segmenter.optim.lr"
FILE = """
name: mine
dataset: {{name: synthetic, params: {{train: 3, val: 2, size: 32}}}}
backbones: [tiny]
methods: [{{name: box_fill}}, {{name: cam}}]
protocol:
  classifier: {{optim: {{iterations: 1, batch_size: 1}}, augment: {{crop: 32}}}}
  segmenter:
    config: {root}/configs/segmenters/mlp_stride8.py
    optim: {{iterations: 1, batch_size: 1, lr: 0.01}}
    augment: {{crop: 32}}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(FILE.format(root=ROOT))
    return path


@pytest.fixture
def add(records, config):
    """Write a record without scores as ``wsss run FILE -o ...`` would; returns its fingerprint."""

    def write(label, *overrides, **fields):
        settings = open_benchmark(config, records.runs, manager(), overrides).settings
        made = {**settings.rows[label], **fields}
        path = records.add(
            label,
            benchmark="mine",
            backbone="tiny",
            fingerprint=settings.fingerprint,
            protocol=settings.protocol,
            dataset=settings.dataset,
            scores=(),
            **made,
        )
        return path.parent, settings.fingerprint[:8]

    return write


def leaderboard(*arguments):
    """Exit code and both streams."""
    ending = wsss("leaderboard", *arguments)
    return ending.code, ending.stdout, ending.stderr


def methods(text):
    return [line.split(",")[1] for line in text.splitlines()[1:]]


def test_the_settings_of_the_file_are_shown_not_those_of_the_last_run(records, config, add):
    _, of_file = add("box_fill")
    folder, of_run = add("cam", f"{LR}=0.02")
    code, out, err = leaderboard(config, "--runs", records.runs, "--format", "csv")
    assert (code, methods(out)) == (0, ["box_fill"])
    assert f"shown: records of {config}, fingerprint {of_file}" in err
    assert f"{of_run} ({LR} is 0.02, not 0.01; show them with -o {LR}=0.02 or `wsss leaderboard {folder}`)" in err


def test_overrides_choose_the_settings_as_they_do_for_a_run(records, config, add):
    add("box_fill")
    add("cam", f"{LR}=0.02")
    code, out, err = leaderboard(config, "-o", f"{LR}=0.02", "--runs", records.runs, "--format", "csv")
    assert (code, methods(out)) == (0, ["cam"])
    assert f"shown: records of {config} -o {LR}=0.02, fingerprint" in err
    assert f"{LR} is 0.01, not 0.02; show them with -o {LR}=0.01 or" in err


def test_the_way_that_is_named_shows_the_other_records(records, config, add):
    add("box_fill")
    folder, _ = add("cam", "dataset.params.train=2")
    _, _, err = leaderboard(config, "--runs", records.runs)
    assert "(dataset.images.train is 2, not 3, dataset.digests.train/boxes differs" in err
    assert f"show them with `wsss leaderboard {folder}`" in err
    assert methods(leaderboard(folder, "--format", "csv")[1]) == ["cam"]


def test_one_settings_alone_is_shown_without_a_word(records, config, add):
    add("box_fill")
    records.add("other", benchmark="voc", fingerprint="c" * 16)
    code, out, err = leaderboard(config, "--runs", records.runs, "--format", "csv")
    assert (code, methods(out), err) == (0, ["box_fill"], "")


def test_records_of_other_settings_alone_are_refused_with_the_difference(records, config, add, tmp_path):
    _, other = add("cam", f"{LR}=0.02")
    code, out, err = leaderboard(config, "--runs", records.runs, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    sentence = " ".join(err.split())
    assert (
        f"there are records of other settings: {other} ({LR} is 0.02, not 0.01; show them with -o {LR}=0.02" in sentence
    )
    assert not (tmp_path / "out").exists()


def test_a_benchmark_without_records_names_those_that_have_some(records, config):
    records.add("cam")
    code, _, err = leaderboard(config, "--runs", records.runs)
    assert code == 2
    assert "no run records of benchmark 'mine'; there are records of: demo" in " ".join(err.split())


def test_a_row_whose_parameters_are_no_longer_those_of_the_file_is_named(records, config, add):
    add("box_fill", params={"order": "as it was"})
    code, _, err = leaderboard(config, "--runs", records.runs, "--format", "csv")
    assert code == 0
    assert "row box_fill: its records are of params.order 'as it was'" in err


def test_overrides_without_a_file_are_refused(records):
    records.add("cam")
    code, _, err = leaderboard(records.runs, "-o", f"{LR}=0.02")
    assert code == 2
    assert "name the file before them" in " ".join(err.split())


def test_a_file_that_is_missing_is_one_sentence(records, tmp_path):
    records.add("cam")
    code, _, err = leaderboard(tmp_path / "no.yaml", "--runs", records.runs)
    assert code == 2
    assert "no.yaml: no such file" in err


def test_strict_writes_nothing_and_ends_with_code_2(records, tmp_path):
    for label, source in (("one", "a" * 64), ("two", "b" * 64)):
        plugin = {"name": "wsss_mine", "distribution": None, "version": None, "source_sha256": source}
        records.add(label, plugins=[plugin])
    code, out, err = leaderboard(records.runs, "--strict", "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "--strict: Mixed code" in err
    assert not (tmp_path / "out").exists()
    assert len(load_runs(records.runs)) == 2


def test_without_its_data_set_a_file_names_the_way_that_needs_none(records, config, tmp_path):
    records.add("cam")
    params = {"name": "mine", "root": str(tmp_path / "gone"), "train": "train.txt", "val": "val.txt"}
    dataset = {"name": "voc", "params": {**params, "classes": {"background": 0, "cat": 1}}}
    content = yaml.safe_load(config.read_text()) | {"dataset": dataset}
    config.write_text(yaml.safe_dump(content))
    code, _, err = leaderboard(config, "--runs", records.runs)
    assert code == 2
    assert "gone" in err
    assert "`wsss leaderboard RECORDS`" in " ".join(err.split())
