"""Files and folders as parameters of a component: found beside the benchmark, told by their content."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.contract import ConfigError
from harness.data.digests import set_cache
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.layout import Plan, build_plan
from harness.registry import PluginManager, PluginSpec, describe_params, manager_from_spec
from tests.engine.toy import MODELLING, PLUGIN, records, run_toy

READER = """
from __future__ import annotations
from dataclasses import asdict, dataclass
import numpy as np
from harness.contract import (
    Generator, GeneratorRecord, InputFile, InputFolder, MethodRecord, PseudoLabel, Round, SharedStage, Use, hookimpl,
)

@dataclass(frozen=True)
class Params:
    folder: InputFolder
    weights: InputFile | None = None
    several: tuple[InputFile, ...] = ()
    named: dict[str, InputFile] | None = None
    note: str = ""

class Reads(Generator):
    def __init__(self, params):
        self.params = params

    def generate(self, view, ctx):
        value = int((self.params.folder / "value.txt").read_text())
        if self.params.note:
            (self.params.folder / "value.txt").write_text(self.params.note)
        for image_id in view.ids:
            yield PseudoLabel(image_id, np.full(view.size(image_id), value, np.uint8))

def copy(params, view, ctx):
    (ctx.out / "copy").write_bytes((params["folder"] / "value.txt").read_bytes())

def shared(params):
    return (SharedStage("copied", __name__ + ":copy", {"folder": params.folder}),)

@hookimpl
def wsss_generators():
    yield GeneratorRecord("reads", Reads, params=Params)
    yield GeneratorRecord("shares", Reads, params=Params, uses=shared)

@hookimpl
def wsss_methods():
    yield MethodRecord("reads", lambda p: (Round(Use("reads", asdict(p)), segmenter=Use("toy")),), params=Params)
"""


@pytest.fixture
def manager(tmp_path: Path) -> PluginManager:
    (tmp_path / "reader.py").write_text(READER)
    files = (str(PLUGIN), str(tmp_path / "reader.py"))
    return manager_from_spec(PluginSpec(files=files, env="", builtins=("harness.engine.executors.builtin",)))


@pytest.fixture
def plan(write_config: Any, manager: PluginManager, tmp_path: Path) -> Any:
    """Plan a row with the given parameters; beside the benchmark lies ``labels/value.txt`` with 1, and ``w.pth``."""
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "value.txt").write_text("1")
    (tmp_path / "w.pth").write_text("weights")

    def make(generator: str = "reads", **params: Any) -> Plan:
        rounds = [{"generator": {"name": generator, "params": params}, "segmenter": "toy"}]
        row = {"name": "row", "method": "reads", "params": params}
        config = write_config(methods=[row if generator == "reads" else {"name": "row", "rounds": rounds}])
        return build_plan(load_benchmark(config), manager, modelling=MODELLING)

    return make


def key(plan: Plan, name: str = "generate") -> str:
    """Key of the one stage whose name begins so."""
    (found,) = (spec.key for spec in plan.stages.values() if spec.name.startswith(name))
    return found


def test_a_folder_is_found_beside_the_benchmark_and_not_where_the_command_runs(plan, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert key(plan(folder="labels")) == key(plan(folder=str(tmp_path / "labels")))


def test_a_folder_is_found_below_an_environment_variable(plan, tmp_path, monkeypatch):
    monkeypatch.setenv("OTHERS", str(tmp_path))
    assert key(plan(folder="${OTHERS}/labels")) == key(plan(folder="labels"))


def test_the_content_enters_the_key_and_the_path_does_not(plan, tmp_path):
    before = key(plan(folder="labels", weights="w.pth"))
    shutil.copytree(tmp_path / "labels", tmp_path / "moved")
    shutil.copy(tmp_path / "w.pth", tmp_path / "other.bin")
    assert key(plan(folder="moved", weights="other.bin")) == before
    (tmp_path / "w.pth").write_text("Weights")
    assert key(plan(folder="labels", weights="w.pth")) != before
    (tmp_path / "moved" / "value.txt").write_text("2")
    assert key(plan(folder="moved", weights="other.bin")) != before


@pytest.mark.parametrize("params", [{"several": ["w.pth"]}, {"named": {"one": "w.pth"}}])
def test_files_in_lists_and_mappings_enter_the_key_alike(plan, tmp_path, params):
    before = key(plan(folder="labels", **params))
    (tmp_path / "w.pth").write_text("others")
    assert key(plan(folder="labels", **params)) != before


@pytest.mark.parametrize("change", ["add", "rename", "below"])
def test_names_and_folders_inside_a_folder_are_part_of_its_content(plan, tmp_path, change):
    before, folder = key(plan(folder="labels")), tmp_path / "labels"
    if change == "rename":
        (folder / "value.txt").rename(folder / "values.txt")
    else:
        below = folder / ("more" if change == "below" else "")
        below.mkdir(exist_ok=True)
        (below / "b.txt").write_text("")
    assert key(plan(folder="labels")) != before


def test_hidden_files_are_no_part_of_a_folder(plan, tmp_path):
    before = key(plan(folder="labels"))
    (tmp_path / "labels" / ".DS_Store").write_text("a file manager was here")
    (tmp_path / "labels" / ".git").mkdir()
    (tmp_path / "labels" / ".git" / "HEAD").write_text("")
    assert key(plan(folder="labels")) == before


def test_a_folder_of_a_shared_stage_is_told_by_its_content_too(plan, tmp_path):
    before = key(plan("shares", folder="labels"), "copied")
    shutil.copytree(tmp_path / "labels", tmp_path / "moved")
    assert key(plan("shares", folder="moved"), "copied") == before
    (tmp_path / "labels" / "value.txt").write_text("2")
    assert key(plan("shares", folder="labels"), "copied") != before


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"folder": "absent"}, r"absent: no such folder, got 'absent'$"),
        ({"folder": "w.pth"}, r"w\.pth: is no folder"),
        ({"folder": "labels", "weights": "labels"}, r"labels: is a folder, a file is needed"),
        ({"folder": "labels", "weights": "gone.pth"}, r"parameter 'weights': .*gone\.pth: no such file"),
        ({"folder": "labels", "several": ["w.pth", "x"]}, r"parameter 'several\.1': .*x: no such file"),
        ({"folder": "labels", "weights": "pipe"}, r"pipe: is a pipe, a file is needed"),
        ({"folder": "empty"}, r"empty: holds no file"),
        ({"folder": "linked"}, r"linked/labels: is a link to a folder; name that folder itself"),
        ({"folder": "${UNSET_HERE}/labels"}, r"UNSET_HERE"),
        ({"folder": 3}, r"parameter 'folder'"),
        ({}, r"parameter 'folder': field required"),
    ],
)
def test_a_missing_file_or_folder_is_one_sentence_of_the_plan(plan, tmp_path, params, sentence):
    (tmp_path / "empty").mkdir()
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "labels").symlink_to(tmp_path / "labels")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match=sentence) as caught:
        plan(**params)
    assert str(caught.value).startswith(f"{tmp_path}/toy.yaml: methods")
    assert caught.value.exit_code == 2


def test_a_record_names_content_and_file_but_no_folder_of_this_machine(plan, manager, tmp_path):
    planned = plan(folder="labels", weights="w.pth")
    run_toy(planned, manager, tmp_path / "runs")
    (record,) = records(tmp_path / "runs").values()
    assert record["status"] == "ok"
    for params in (record["params"], record["rounds"][0]["generator"]["params"]):
        assert params["folder"].keys() == {"name", "sha256"}
        assert (params["folder"]["name"], params["weights"]["name"]) == ("labels", "w.pth")
    assert str(tmp_path) not in json.dumps({**record, "environment": {}})


def test_labels_of_a_folder_that_changes_after_the_plan_are_not_kept(plan, manager, tmp_path):
    run_toy(plan(folder="labels", note="2"), manager, tmp_path / "runs")
    (record,) = records(tmp_path / "runs").values()
    assert record["status"] == "failed"
    assert "labels was changed after the run had been planned; start it again" in record["error"]["message"]


def test_digests_of_files_are_remembered_and_read_once(plan, tmp_path, monkeypatch):
    for file in (tmp_path / "labels" / "value.txt", tmp_path / "w.pth"):
        os.utime(file, (1, 1))
    set_cache(tmp_path / "digests.json")
    try:
        before = key(plan(folder="labels", weights="w.pth"))
        monkeypatch.setattr("harness.data.digests.file_sha256", lambda *_, **__: pytest.fail("read again"))
        assert key(plan(folder="labels", weights="w.pth")) == before
    finally:
        set_cache(None)


def test_parameters_that_are_files_are_described_as_such(manager):
    types = {info.name: info.type for info in describe_params(manager.get("generator", "reads").params)}
    assert types["folder"] == "InputFolder"
    assert types["weights"] == "InputFile | None"
