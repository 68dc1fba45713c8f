"""Every benchmark at paper scale is valid, can be planned, and runs from end to end on six images of its layout."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness.cli.main import app
from harness.contract import ConfigError
from harness.contract.interfaces import Executor
from harness.engine.estimate import estimate
from harness.engine.plan.config import Benchmark, load_benchmark
from harness.engine.plan.layout import build_plan
from harness.engine.plan.rows import resolve_backbones, resolve_rows
from harness.engine.progress import ProgressDisplay
from harness.engine.record_writer import Records
from harness.engine.scheduler import run_plan
from harness.engine.store.store import Store
from harness.modelling.backbones import use_records
from harness.modelling.cost import classifier_flops, segmenter_flops
from harness.registry import manager
from tests.configs import published_trees
from wsss_clip_es.tests import clip_toy

FOLDER = Path(__file__).parents[2] / "configs" / "benchmarks"
TAGS = ["full", "cam", "class_conditional", "self_guided", "pseudo_mask_matters", "background"]
BOXES = ["full", "label_uncertainty", "pixel_subset", "box_grabcut", "box_fill", "background"]
ROWS = {
    "voc2012_tags": TAGS,
    "voc2012_boxes": [*BOXES, "bilevel_box"],
    "coco2014_tags": TAGS,
    "cityscapes_boxes18": BOXES,
}
PAPERS = sorted(f"papers/{path.stem}" for path in (FOLDER / "papers").glob("*.yaml"))
ALL = [*ROWS, *PAPERS]
CLASSES = {"VOC2012": 21, "coco2014": 81, "cityscapes": 9}

SMALL = (
    "cam.scales=[1.0]",
    "test.scales=[1.0]",
    "test.base=96",
    *(
        f"{section}.{change}"
        for section in ("classifier", "segmenter")
        for change in ("optim.batch_size=2", "augment.crop=65", "augment.base=96", "optim.iterations=2")
    ),
)
"""Two iterations of two crops of 65 pixels."""
_TWO_ROUNDS = {
    "canvas": 128,
    "iterations": 2,
    "auxiliary_iterations": 2,
    "batch_size": 2,
    "network": "small",
    "rounds": 2,
}
ROW_CHANGES = {"bilevel_box": _TWO_ROUNDS}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of data and of weights, that the environment names."""
    root = tmp_path_factory.mktemp("world")
    published_trees.build(root / "data")
    (root / "weights").mkdir()
    with zipfile.ZipFile(root / "weights" / "ilsvrc-cls_rna-a1_cls1000_ep-0001.pth", "w") as archive:
        archive.writestr("weights/data.pkl", b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WSSS_DATA", str(root / "data"))
        patch.setenv("WSSS_WEIGHTS", str(root / "weights"))
        patch.setenv("WSSS_CLIP", str(clip_toy.write_files(root / "clip")))
        patch.setenv("WSSS_PLUGINS", "")
        yield root


@pytest.fixture
def load(world: Path) -> Callable[..., Benchmark]:
    def read(name: str, *overrides: str, **selection: Any) -> Benchmark:
        registered = {kind: manager().records(kind) for kind in ("method", "backbone")}
        return load_benchmark(FOLDER / f"{name}.yaml", overrides, registered=registered, **selection)

    return read


@pytest.mark.parametrize("name", ALL)
def test_a_benchmark_opens_with_what_it_is_and_what_it_needs(name: str) -> None:
    lines = (FOLDER / f"{name}.yaml").read_text().splitlines()
    head = " ".join(line[2:] for line in lines[: next(i for i, line in enumerate(lines) if line[0] != "#")])
    assert 2 <= len(lines) - len([line for line in lines if line[0] != "#"]) <= 5
    assert "WSSS_DATA" in head
    assert ("Reported" in head and "arXiv" in head) == name.startswith("papers/")


@pytest.mark.parametrize("name", ALL)
def test_every_row_of_a_benchmark_is_valid(load: Callable[..., Benchmark], name: str) -> None:
    benchmark = load(name)
    assert benchmark.name == name.replace("papers/", "paper_")
    rows = {row.label: row for row in resolve_rows(benchmark, manager())}
    assert set(ROWS.get(name, ["full"])) <= rows.keys()


def test_every_paper_has_a_benchmark_whose_row_carries_its_reported_numbers() -> None:
    methods = {name.removeprefix("papers/") for name in PAPERS}
    records = {name: record for name, record in manager().records("method").items() if not record.reference}
    elsewhere = {"labels_from", "predictions_from"}  # somebody's files, which no paper describes
    assert {name for name, record in records.items() if not (record.card and record.card.paper)} == elsewhere
    assert records.keys() - elsewhere <= methods


@pytest.mark.parametrize("name", ALL)
def test_the_networks_of_a_benchmark_fit_together(load: Callable[..., Benchmark], name: str) -> None:
    benchmark = load(name)
    use_records(manager().records("backbone").values())
    classes = next(count for folder, count in CLASSES.items() if folder in benchmark.dataset.params["root"])
    for backbone in benchmark.backbones:
        settings: Any = backbone
        assert segmenter_flops(benchmark.protocol.segmenter, settings, classes, 65) > 1e8
        if benchmark.protocol.classifier.optim.iterations:
            assert classifier_flops(benchmark.protocol.classifier, settings, classes, 65) > 1e8


@pytest.mark.parametrize("name", ALL)
def test_a_benchmark_is_planned_with_all_classes_of_its_data(load: Callable[..., Benchmark], name: str) -> None:
    plan = build_plan(load(name), manager())
    benchmark = plan.benchmark
    assert len(plan.cells) == len(benchmark.methods) * len(benchmark.seeds) * len(benchmark.backbones)
    assert len(plan.dataset.classes) in CLASSES.values()
    assert {split: plan.dataset.images[split] for split in ("train", "val")} == {"train": 4, "val": 2}


@pytest.mark.parametrize("name", [name for name in ALL if "WSSS_WEIGHTS" not in (FOLDER / f"{name}.yaml").read_text()])
def test_a_benchmark_that_names_no_file_of_weights_is_planned_without_any(
    load: Callable[..., Benchmark], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("WSSS_WEIGHTS")
    for cell in build_plan(load(name), manager()).cells:
        assert str(cell.backbone.weights).startswith("https://")
        assert len(str(cell.backbone.weights_sha256)) >= 8


def test_a_plan_prints_stages_disk_and_gpu_hours(world: Path, tmp_path: Path) -> None:
    config = str(FOLDER / "voc2012_tags.yaml")
    arguments = ["plan", config, "--runs", str(tmp_path), "--methods", "full,cam,class_conditional", "--seeds", "0"]
    result = CliRunner().invoke(app, [*arguments, "--tflops", "100"])
    text = " ".join(result.output.split())
    assert result.exit_code == 0, result.output
    assert "cells: 3, finished: 0" in text
    assert "segmenter plain" in text
    found = re.search(r"GPU: about ([\d.]+) hours at 100 TFLOP/s \(estimate; not counted: (.*?)\) disk: ", text)
    assert found
    assert 0.5 < float(found[1]) < 10
    assert "generate class_conditional" in found[2]


def test_the_estimate_is_three_passes_a_training_image_and_one_a_view(load: Callable[..., Benchmark]) -> None:
    plan = build_plan(load("papers/self_guided", methods=["full"]), manager())
    found = estimate(plan, set(plan.stages), manager(), 10.0)
    assert found is not None
    settings: Any = plan.benchmark.backbones[0]
    passed = segmenter_flops(plan.benchmark.protocol.segmenter, settings, 21, 321)
    views = 2 * 500 * 375 / 321**2
    assert found.hours == pytest.approx((3 * 20000 * 16 + views) * passed / 1e13 / 3600)
    assert found.uncounted == ()


def test_nothing_is_counted_for_what_is_there_or_runs_on_any_machine(load: Callable[..., Benchmark]) -> None:
    plan = build_plan(load("papers/self_guided", methods=["full"]), manager())
    assert estimate(plan, (), manager(), 10.0) is None
    plan = build_plan(load("papers/self_guided", "protocol.segmenter.optim.iterations=2", methods=["full"]), manager())
    assert estimate(plan, set(plan.stages), manager(), 10.0) is None


class Inline(Executor):
    """Stages in this process, one after another."""

    slots = 1

    def submit(self, function: Callable[..., Any], /, *args: Any, timeout: float | None = None) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*args))
        return future

    def shutdown(self, *, cancel: bool = False) -> None:
        pass


def small(benchmark: Benchmark) -> list[str]:
    """Overrides that make a benchmark a matter of seconds; sections and rows that it lacks are left alone."""
    protocol = benchmark.protocol
    sections = [s for s in SMALL if protocol.classifier.optim.iterations or not s.startswith("classifier.optim.it")]
    changes = [f"protocol.{change}" for change in sections]
    if protocol.cam.tiles:
        changes += ["protocol.cam.tiles.crop=64", "protocol.cam.tiles.stride=48"]
    for row in benchmark.methods:
        changes += [f"methods.{row.name}.{key}={value}" for key, value in ROW_CHANGES.get(row.name, {}).items()]
    return changes


QUICK = "voc2012_tags"
"""The one that runs in every suite; together the others take ten minutes."""


@pytest.mark.parametrize(
    "name", [QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in ALL if name != QUICK)]
)
def test_every_row_of_a_benchmark_runs_to_its_numbers(
    load: Callable[..., Benchmark], tmp_path: Path, name: str
) -> None:
    benchmark = load(name, *small(load(name)), backbones=["tiny"], seeds=[0])
    plan = build_plan(benchmark, manager())
    outcome = run_plan(
        plan,
        runs=tmp_path,
        manager=manager(),
        make_executor=Inline,
        progress=ProgressDisplay(plan, tmp_path),
        device="cpu",
    )
    assert outcome.exit_code == 0, [path.read_text()[-2000:] for path in tmp_path.rglob("*.log")]
    records = Records(plan, Store(tmp_path), manager())
    assert all(records.current(cell) for cell in plan.cells)


def test_a_benchmark_of_a_foreign_network_is_refused_in_one_sentence_without_its_files(
    world: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = FOLDER / "papers" / "clip_es.yaml"
    for folder, said in ((None, "environment variable WSSS_CLIP is not set"), (tmp_path, "ViT-B-16.pt: no such file")):
        monkeypatch.delenv("WSSS_CLIP", raising=False)
        if folder is not None:
            monkeypatch.setenv("WSSS_CLIP", str(folder))
        result = CliRunner().invoke(app, ["plan", str(config), "--runs", str(tmp_path / "runs")])
        assert result.exit_code == 2
        assert said in " ".join(result.output.split())
        assert "Traceback" not in result.output


PRIVATE = [path for path in sorted(FOLDER.rglob("*.yaml")) if "${WSSS_WEIGHTS}" in path.read_text()]


@pytest.mark.parametrize("path", PRIVATE, ids=lambda path: path.stem)
def test_a_benchmark_without_its_weights_names_file_and_command_and_a_way_without(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WSSS_DATA", str(tmp_path))
    monkeypatch.delenv("WSSS_WEIGHTS", raising=False)
    with pytest.raises(ConfigError, match="WSSS_WEIGHTS is not set: it names the folder of ") as unset:
        load_benchmark(path)
    monkeypatch.setenv("WSSS_WEIGHTS", str(tmp_path))
    with pytest.raises(ConfigError, match="no such file") as absent:
        resolve_backbones(load_benchmark(path), manager())
    for text in (str(unset.value), str(absent.value)):
        assert path.name in text
        (shown,) = re.findall(r"`wsss weights show (\S+)`", text)
        (instead,) = re.findall(r"-o '(backbones=\[\S+\])'", text)
    result = CliRunner().invoke(app, ["weights", "show", shown])
    assert result.exit_code == 0
    assert "licence" in result.output
    monkeypatch.delenv("WSSS_WEIGHTS")
    (found,) = resolve_backbones(load_benchmark(path, [instead]), manager())
    assert str(found.weights).startswith("https://")
