"""`wsss datasets` lists what there is and ends with 2 where a data set is defective."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from harness.cli.datasets import app
from harness.contract import ConfigError, PluginError, WsssError
from harness.data.configuration import expand_env, load_yaml, validate
from harness.data.params import SyntheticParams
from harness.registry import manager

CONFIGS = Path(__file__).parents[2] / "configs" / "datasets"


@pytest.fixture(autouse=True)
def _builtins_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WSSS_PLUGINS", "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harness.cli.datasets.CONFIGS", Path("configs/datasets"))


def run(*words: str) -> Any:
    result = CliRunner().invoke(app, list(words))
    if isinstance(result.exception, WsssError):
        raise result.exception
    return result


def write(voc: Any, **changes: Any) -> str:
    params = voc.params(**changes).model_dump(exclude_defaults=True)
    file = voc.root / "tiny.yaml"
    file.write_text(yaml.safe_dump({"name": "voc", "params": params}, sort_keys=False))
    return str(file)


def test_list_names_readers_and_configurations(tmp_path: Path) -> None:
    folder = tmp_path / "configs" / "datasets"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("name: synthetic\n")
    assert "mine" in run("list").stdout
    listed = json.loads(run("list", "--json").stdout)
    assert {reader["name"] for reader in listed["readers"]} >= {"voc", "synthetic"}
    assert listed["configs"] == [{"name": "mine", "reader": "synthetic", "file": "configs/datasets/mine.yaml"}]


def test_check_of_a_sound_data_set_ends_with_0(voc: Any) -> None:
    result = run("check", write(voc))
    assert result.exit_code == 0
    assert "no defects" in result.stdout


def test_one_defect_is_counted_in_the_singular(voc: Any) -> None:
    file = write(voc)
    (voc.root / "SegmentationClass" / "a.png").unlink()
    assert run("check", file).stdout.splitlines()[-1] == "1 defect"


def test_check_of_a_defective_data_set_ends_with_2_and_names_all(voc: Any) -> None:
    file = write(voc)
    for name in "ab":
        (voc.root / "SegmentationClass" / f"{name}.png").unlink()
    result = run("check", file)
    assert result.exit_code == 2
    assert "a.png: no such file" in result.stdout
    assert "2 defects" in result.stdout
    as_json = run("check", file, "--json")
    assert as_json.exit_code == 2
    assert len(json.loads(as_json.stdout)["defects"]) == 2


def test_a_reader_may_be_named_and_its_parameters_changed() -> None:
    report = json.loads(run("check", "synthetic", "-o", "train=3", "-o", "size=[32, 40]", "--json").stdout)
    assert [split["images"] for split in report["splits"]] == [3, 32]


def test_a_parameter_may_be_spelt_as_run_spells_it() -> None:
    report = json.loads(run("check", "synthetic", "-o", "dataset.params.train=3", "-o", "size=32", "--json").stdout)
    assert [split["images"] for split in report["splits"]] == [3, 32]


def test_a_cause_is_printed_once_with_a_count_and_some_names(voc: Any) -> None:
    file = write(voc)
    voc.list("train.txt", "".join(f"photo_{number}\n" for number in range(60)))
    voc.mask("d", np.full((5, 7), 3, dtype=np.uint8))
    result = run("check", file)
    assert result.exit_code == 2
    lines = [line for line in result.stdout.splitlines() if line.startswith("defect: ")]
    folder = f"{voc.root}/JPEGImages/photo_0.jpg: no such file (nor"
    assert len(lines) == 3
    assert lines[0].startswith(f"defect: train: {folder}")
    assert lines[0].endswith(" (60 like this: also photo_1, photo_2, photo_3 and 56 others)")
    assert lines[1].startswith(f"defect: train: {voc.root}/SegmentationClass/photo_0.png: no such file")
    assert lines[2].startswith(f"defect: val: {voc.root}/SegmentationClass/d.png: 7x5 pixels, but the image")
    assert result.stdout.splitlines()[-1] == "121 defects of 3 kinds"
    assert len(json.loads(run("check", file, "--json").stdout)["defects"]) == 121


def test_bad_input_is_one_sentence(voc: Any) -> None:
    with pytest.raises(ConfigError, match=r"tiny\.yaml: params: tran: unknown field, did you mean 'train'\?"):
        run("check", write(voc), "-o", "tran=x")
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file"):
        run("check", "none.yaml")
    with pytest.raises(PluginError, match="synthetc"):
        run("check", "synthetc")
    (voc.root / "odd.yaml").write_text("name: voc\nparam: {}\n")
    with pytest.raises(ConfigError, match=r"odd\.yaml: a data set has the fields name"):
        run("check", str(voc.root / "odd.yaml"))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_configuration_is_valid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_DATA", "/data")
    config = expand_env(load_yaml(path), where=str(path))
    params = validate(manager().get("dataset", config["name"]).params, config["params"], where=str(path))
    if not isinstance(params, SyntheticParams):
        assert params.name == path.stem
        assert params.root.startswith("/data/")
