"""The order of a mapping arrives: class indices mean the same in the planner, in every worker, and in every table."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from typer.testing import CliRunner

from harness.cli.main import app
from harness.contract import DataError
from harness.engine.executors.builtin import DaskParams, TorchrunParams
from harness.engine.executors.local import DaskExecutor
from harness.engine.executors.torchrun import TorchrunExecutor
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.layout import build_plan
from harness.engine.plan.rows import open_data
from harness.engine.progress import ProgressDisplay
from harness.engine.recorded_data import check_dataset
from harness.engine.scheduler import run_plan
from harness.leaderboard import load_runs
from harness.registry import PluginSpec, manager_from_spec
from harness.scoring.metrics import miou
from tests import commands
from tests.engine.ordered import CITYSCAPES, COCO_ORDER, HALF, PLACES, VOC, VOC_FILE, cityscapes, coco, voc, voc_params
from tests.engine.toy import BENCHMARK, Inline, records

LABELS = {"name": "box_fill", "method": "box_fill", "labels_only": True}
FIRSTS = """
from dataclasses import dataclass, field
import numpy as np
from harness.contract import Generator, GeneratorRecord, MethodRecord, PseudoLabel, Round, Use, hookimpl

@dataclass(frozen=True)
class Params:
    first: dict[str, int] = field(default_factory=dict)
    nested: list[dict[str, int]] = field(default_factory=list)
    size: int = 1

class Firsts(Generator):
    def __init__(self, params):
        firsts = [params.first, *params.nested]
        self.cls = sum(next(iter(mapping.values())) for mapping in firsts if mapping)

    def generate(self, view, ctx):
        for image_id in view.ids:
            yield PseudoLabel(image_id, np.full(view.size(image_id), self.cls, np.uint8))

@hookimpl
def wsss_generators():
    yield GeneratorRecord("firsts", Firsts, params=Params)

@hookimpl
def wsss_methods():
    rounds = lambda p: (Round(Use("firsts", {"size": p.size, "nested": p.nested, "first": p.first})),)
    yield MethodRecord("firsts", rounds, params=Params)
"""


@pytest.fixture
def wsss(monkeypatch, tmp_path):
    """Run a command in this process on the folder ``runs``; returns its output."""
    monkeypatch.setattr("harness.engine.code.roots.MODELLING", "tests.engine.colours")
    monkeypatch.setenv("WSSS_DATA", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*arguments, code=0):
        ending = commands.wsss(*arguments, "--runs", tmp_path / "runs")
        assert ending.code == code, ending.output
        return ending.output

    return invoke


@pytest.fixture
def write_benchmark(tmp_path):
    """Write a benchmark file; returns its path."""

    def write(dataset, methods=(LABELS,), name="order"):
        (tmp_path / "model.py").write_text("model = dict(type='EncoderDecoder')\n")
        path = tmp_path / f"{name}.yaml"
        fields = {"name": name, "dataset": dataset, "methods": list(methods), "backbones": ["tiny"]}
        path.write_text(yaml.safe_dump({**BENCHMARK, **fields}, sort_keys=False))
        return path

    return write


def plan_of(path, *plugins, overrides=()):
    manager = manager_from_spec(PluginSpec(files=tuple(map(str, plugins)), env=""))
    registered = {kind: manager.records(kind) for kind in ("method", "backbone")}
    return build_plan(load_benchmark(path, overrides, registered=registered), manager), manager


def compute(path, runs, *, executor=Inline, plugins=()):
    """Run a benchmark file; the pseudo labels' mIoU in percent by row, and how the run ended."""
    plan, manager = plan_of(path, *plugins)
    progress = ProgressDisplay(plan, runs)
    outcome = run_plan(plan, runs=runs, manager=manager, make_executor=executor, progress=progress, device="cpu")
    tables = {run.record.label: run.confusions("pseudo") for run in load_runs(runs) if run.record.status == "ok"}
    return {label: 100 * miou(table.dense().sum(0)) for label, table in tables.items()}, outcome.exit_code


def cloud(monkeypatch):
    """A Dask executor on a client whose workers are threads; every stage is a process of its own, as on a cluster."""
    pool = ThreadPoolExecutor(2)
    client = SimpleNamespace(get_executor=lambda **options: pool, nthreads=lambda: {"a": 1, "b": 2}, close=lambda: None)
    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=lambda *address: client))
    return DaskExecutor(DaskParams())


def dataset_of(kind, root):
    """Configuration of a small data set, and its classes by index."""
    if kind == "voc":
        voc(root)
        return {"name": "voc", "params": voc_params(root)}, list(VOC)
    if kind == "coco":
        return {"name": "coco", "params": coco(root) | {"classes": ["zebra", "ant", "mule"]}}, COCO_ORDER
    if kind == "cityscapes":
        return {"name": "cityscapes", "params": cityscapes(root)}, list(CITYSCAPES)
    return {"name": "synthetic", "params": {"val": 2, "train": 3, "size": 32, "classes": 2}}, None


def test_voc_in_its_own_order_keeps_the_numbers_of_each_class_through_every_command(wsss, write_benchmark, tmp_path):
    voc(tmp_path / "VOC2012")
    config = write_benchmark(str(Path(VOC_FILE).resolve()), ["box_fill", "background"])
    wsss("run", config, "--device", "cpu", "--jobs", "2", "--no-table")
    board = json.loads(wsss("leaderboard", config, "--format", "json"))
    row = next(row for row in board["rows"] if row["method"] == "box_fill")
    assert board["dataset"]["classes"] == list(VOC)
    assert row["pseudo_miou"] == 1.0
    found = dict(zip(VOC, row["class_iou"], strict=True))
    assert [name for name, value in found.items() if value < 1] == ["background", HALF]
    assert found[HALF] == 0.5
    lines = wsss("leaderboard", config, "--format", "md").partition("IoU by class")[2].splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line]
    cells = {name: values for name, _, *values in rows}
    assert cells["method"] == list(VOC)
    shown = dict(zip(VOC, cells["box_fill (reference)"], strict=True))
    assert [name for name, value in shown.items() if value == "50.0"] == [HALF]
    assert list(shown.values()).count("100.0") == 19
    compared = (line.split() for line in wsss("compare", "background", "box_fill").splitlines())
    classes = {words[0]: words[1:3] for words in compared if words and words[0] in VOC}
    assert list(classes) == list(VOC)
    assert classes[HALF] == ["0.0", "50.0"]
    assert classes["aeroplane"] == classes["tvmonitor"] == ["0.0", "100.0"]
    records = next((tmp_path / "runs" / "records").iterdir())
    assert CliRunner().invoke(app, ["verify", str(records)]).output.count(": verified") == 2
    assert "deleted: 0" in wsss("store", "gc", "--keep", config)
    assert "stages: 0 to compute" in wsss("plan", config)


@pytest.mark.parametrize("kind", ["voc", "coco", "cityscapes", "synthetic"])
def test_perfect_labels_score_100_in_one_process_and_in_workers(wsss, write_benchmark, tmp_path, kind):
    dataset, classes = dataset_of(kind, tmp_path / "data")
    method = {"name": "row", "method": "full" if kind == "synthetic" else "box_fill", "labels_only": True}
    config = write_benchmark(dataset, [method])
    assert compute(config, tmp_path / "alone") == ({"row": 100.0}, 0)
    wsss("run", config, "--device", "cpu", "--jobs", "1", "--no-table")
    (one,), (two,) = (list(load_runs(tmp_path / folder)) for folder in ("alone", "runs"))
    assert one.confusions("pseudo").dense().tolist() == two.confusions("pseudo").dense().tolist()
    assert classes in (None, two.record.dataset.classes)
    assert [stage.key for stage in one.record.stages] == [stage.key for stage in two.record.stages]
    for folder in ("alone", "runs"):
        assert CliRunner().invoke(app, ["verify", str(tmp_path / folder)]).exit_code == 0


@pytest.mark.parametrize("kind", ["voc", "coco", "cityscapes"])
def test_perfect_labels_score_100_on_a_dask_cluster(write_benchmark, monkeypatch, tmp_path, kind):
    config = write_benchmark(dataset_of(kind, tmp_path / "data")[0])
    found = compute(config, tmp_path / "runs", executor=lambda: cloud(monkeypatch))
    assert found == ({"box_fill": 100.0}, 0)


def test_perfect_labels_score_100_in_the_groups_of_torchrun(write_benchmark, tmp_path):
    config = write_benchmark(dataset_of("voc", tmp_path / "data")[0])
    found = compute(config, tmp_path / "runs", executor=lambda: TorchrunExecutor(TorchrunParams(device="cpu")))
    assert found == ({"box_fill": 100.0}, 0)


def test_classes_against_the_alphabet_keep_their_names(write_benchmark, tmp_path):
    voc(tmp_path / "data")
    classes = {"zoo": 0, "yak": [20, 3], "mule": 13, "ant": list({*range(1, 20)} - {3, 13})}
    names = dict.fromkeys(VOC[1:], "ant") | {"tvmonitor": "yak", "bird": "yak", "horse": "mule"}
    params = voc_params(tmp_path / "data", classes=classes, names=names)
    config = write_benchmark({"name": "voc", "params": params})
    assert compute(config, tmp_path / "runs") == ({"box_fill": 100.0}, 0)
    (run,) = load_runs(tmp_path / "runs")
    assert run.record.dataset.classes == ["zoo", "yak", "mule", "ant"]
    counted = run.confusions("pseudo").dense().sum((0, 2)).tolist()
    pixels = dict(zip(run.record.dataset.classes, counted, strict=True))
    first, second = ((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in PLACES)
    assert (pixels["yak"], pixels["mule"], pixels["ant"]) == (first + second, first, 8 * first + 9 * second)


def test_files_that_differ_in_order_alone_are_equal_data_if_their_class_indices_are_equal(write_benchmark, tmp_path):
    voc(tmp_path / "data")
    classes = {"background": 0, "odd": list(range(1, 21, 2)), "even": list(range(2, 21, 2))}
    names = {name: ("even", "odd")[number % 2] for number, name in enumerate(VOC) if number}
    params = voc_params(tmp_path / "data", classes=classes, names=names, ignore_ids=[255, 254])
    turned = dict(reversed(params.items())) | {
        "classes": {name: ids[::-1] if isinstance(ids, list) else ids for name, ids in classes.items()},
        "names": dict(reversed(names.items())),
        "ignore_ids": [254, 255],
    }
    other = params | {"classes": {name: classes[name] for name in ("background", "even", "odd")}}
    plans = [plan_of(write_benchmark({"params": each, "name": "voc"}))[0] for each in (params, turned, other)]
    assert plans[0].fingerprint == plans[1].fingerprint != plans[2].fingerprint
    assert plans[0].stages.keys() == plans[1].stages.keys()
    assert not plans[0].stages.keys() & plans[2].stages.keys()


def test_an_override_keeps_the_place_of_a_class_and_puts_a_new_one_last(write_benchmark, tmp_path):
    config = write_benchmark({"name": "voc", "params": voc_params(tmp_path, other="ignore")})
    changed = load_benchmark(config, ["dataset.params.classes.bird=[3, 40]", "dataset.params.classes.aardvark=41"])
    assert list(changed.dataset.params["classes"]) == [*VOC, "aardvark"]
    whole = load_benchmark(config, ["dataset.params.classes={ground: 0, zebra: 1, ant: 2}"])
    assert list(whole.dataset.params["classes"]) == ["ground", "zebra", "ant"]


class Sorting(Inline):
    """An executor that loses the order of the classes, as a faulty transport would."""

    def submit(self, function, /, job, **more):
        name, params = job.dataset
        sorted_params = {**params, "classes": dict(sorted(params["classes"].items()))}
        return super().submit(function, replace(job, dataset=(name, sorted_params)), **more)


def test_a_worker_whose_classes_are_not_those_of_the_plan_refuses_the_stage(write_benchmark, tmp_path):
    config = write_benchmark(dataset_of("voc", tmp_path / "data")[0])
    assert compute(config, tmp_path / "runs", executor=Sorting) == ({}, 3)
    (record,) = records(tmp_path / "runs").values()
    assert record["error"]["kind"] == "DataError"
    assert record["error"]["message"] == "data set 'voc': class 0 is 'aeroplane', in the plan it is 'background'"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": 4}, "5 classes were found, the plan has 4"),
        ({"auxiliary_classes": 0}, "its auxiliary data set has not the classes"),
        ({"val": 3}, "3 val images were found, the plan has 2"),
        ({"auxiliary_train": 7}, "7 auxiliary images were found, the plan has 6"),
    ],
)
def test_another_data_set_than_the_planned_one_is_one_sentence(change, words):
    from harness.engine.plan.keys import dataset_info

    manager = manager_from_spec(PluginSpec(env=""))
    params = {"train": 2, "val": 2, "classes": 3, "auxiliary_classes": 2, "auxiliary_train": 6}
    planned = dataset_info(open_data(manager, "synthetic", params, where="here"))
    found = open_data(manager, "synthetic", params | change, where="here")
    with pytest.raises(DataError, match=f"^here: {words}"):
        check_dataset(found, planned, where="here", other="the plan")


def test_the_order_inside_a_parameter_is_part_of_the_key_and_that_of_the_fields_is_not(write_benchmark, tmp_path, wsss):
    plugin = tmp_path / "firsts.py"
    plugin.write_text(FIRSTS)
    rows = {
        "one": {"first": {"zebra": 1, "ant": 2}, "nested": [{"b": 0, "a": 1}]},
        "same": {"nested": [{"b": 0, "a": 1}], "size": 1, "first": {"zebra": 1, "ant": 2}},
        "outer": {"first": {"ant": 2, "zebra": 1}, "nested": [{"b": 0, "a": 1}]},
        "inner": {"first": {"zebra": 1, "ant": 2}, "nested": [{"a": 1, "b": 0}]},
    }
    methods = [{"name": n, "method": "firsts", "labels_only": True, "params": p} for n, p in rows.items()]
    config = write_benchmark({"name": "synthetic", "params": {"train": 2, "val": 1, "classes": 2}}, methods)
    plan, _ = plan_of(config, plugin)
    keys = {cell.row.label: cell.pseudo for cell in plan.cells}
    assert keys["one"] == keys["same"]
    assert len(set(keys.values())) == 3
    runs = tmp_path / "runs"
    wsss("run", config, "--plugin", plugin, "--device", "cpu", "--jobs", "1", "--no-table")
    painted = {run.record.label: run.confusions("pseudo").dense().sum((0, 1)).argmax() for run in load_runs(runs)}
    assert painted == {"one": 1, "same": 1, "outer": 2, "inner": 2}
    assert "params.first (order)" in wsss("compare", "one", "outer", "--score", "pseudo")
    assert "(order)" not in wsss("compare", "one", "same", "--score", "pseudo")
