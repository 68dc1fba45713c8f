"""``harness.run``: a benchmark computed from a program, in silence, like ``wsss run``."""

import re

import numpy as np
import pytest

import harness
from harness.contract.errors import ConfigError
from tests.commands import wsss
from tests.engine.toy import PLUGIN, records, without_measurements

pytestmark = pytest.mark.usefixtures("toys")


def test_a_program_computes_what_the_command_computes_and_prints_nothing(tmp_path, write_config, capfd):
    config = write_config(methods=["fill", "learnt"])
    runs = harness.run(
        config, methods="fi*", seeds=[0, 1], plugins=[PLUGIN], runs=tmp_path / "runs", jobs=1, device="cpu"
    )
    assert capfd.readouterr() == ("", "")
    assert runs.rows == ("fill",)
    assert runs.frame.seed.tolist() == [0, 1]
    options = ("--methods", "fi*", "--seeds", "0,1", "--plugin", PLUGIN, "--jobs", "1", "--device", "cpu")
    assert wsss("run", config, *options, "--runs", tmp_path / "typed").code == 0
    program, command = (without_measurements(records(tmp_path / name)) for name in ("runs", "typed"))
    assert program == command
    again = harness.run(config, methods=["fill"], seeds=[0], plugins=[PLUGIN], runs=tmp_path / "runs")
    assert again.frame.equals(runs.frame)


def test_labels_of_a_row_are_arrays_by_image(tmp_path, write_config):
    options = {"methods": ["fill"], "plugins": [PLUGIN], "jobs": 1, "device": "cpu"}
    runs = harness.run(write_config(), runs=tmp_path / "runs", **options)
    labels = runs.labels("fill")
    assert list(labels) == ["train0", "train1", "train2", "train3"]
    assert {image_id: mask.shape for image_id, mask in labels.items()} == dict.fromkeys(labels, (8, 8))
    assert labels["train0"].dtype == np.uint8
    assert labels.scores("train0").classes == (1, 2)
    assert list(runs.predictions("fill")) == ["val0", "val1", "val2"]
    assert "train9" not in labels
    with pytest.raises(KeyError):
        labels["train9"]


def test_overrides_are_texts_or_a_mapping(tmp_path, write_config):
    options = {"methods": ["fill"], "plugins": [PLUGIN], "jobs": 1, "device": "cpu", "runs": tmp_path / "runs"}
    config = write_config()
    texts = harness.run(config, overrides=["dataset.params.train=2", "seeds=[3]"], **options)
    mapped = harness.run(config, overrides={"dataset.params.train": 2, "seeds": [3]}, **options)
    assert texts.folder == mapped.folder
    assert len(mapped.labels("fill")) == 2


def test_a_row_that_fails_is_a_row_of_the_result(tmp_path, write_config):
    methods = ["fill", {"name": "wrong", "method": "fill", "params": {"mode": "raise"}}]
    config = write_config(methods=methods)
    runs = harness.run(config, plugins=[PLUGIN], runs=tmp_path / "runs", jobs=1, device="cpu")
    assert dict(zip(runs.frame.method, runs.frame.status, strict=True)) == {"fill": "ok", "wrong": "failed"}
    assert re.search(r"2 cells of fill, wrong, 1 without numbers \(wrong: .+\)\)$", repr(runs))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"device": "gpu"}, "--device: 'gpu' is none of auto, cpu, cuda"),
        ({"jobs": 0}, "--jobs: 0 is neither auto nor a number of at least 1"),
        ({"seeds": ["one"]}, "--seeds: 'one' is no number; write them like 0,1,2"),
        ({"overrides": {"dataset.params.train": object()}}, "-o: a value cannot be written as YAML"),
        ({"methods": ["nothing"]}, "methods: 'nothing'"),
    ],
)
def test_a_wrong_argument_is_the_sentence_of_the_command(tmp_path, write_config, arguments, sentence):
    with pytest.raises(ConfigError) as error:
        harness.run(write_config(), plugins=[PLUGIN], runs=tmp_path / "runs", **arguments)
    assert sentence in str(error.value)
    assert not (tmp_path / "runs" / "records").exists()


def test_a_shipped_benchmark_is_known_by_its_name():
    with pytest.raises(ConfigError, match="neither a file nor a shipped configuration; did you mean 'demo'"):
        harness.run("dmo")
