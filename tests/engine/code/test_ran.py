"""The closure holds all code that a stage really ran: every kind of stage, every plugin, each in a fresh process."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.engine.code.roots import WORK
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.layout import build_plan
from harness.engine.stage.worker import Job
from harness.registry import BUILTINS, manager

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
TOPS = (ROOT / "harness", ROOT / "plugins")
OPTIM = {"iterations": 2, "batch_size": 2}
NOT_OF_A_STAGE = {
    "harness/engine/stage/meter.py": "notes which images were read; gives nothing back to the stage",
    "harness/registry/host.py": "looks up the component's record, of which factory and parameters are in the key",
}
"""What runs beside a stage in a worker, and why it cannot reach the result."""


def benchmark(folder):
    """The demo's rows on few images and steps, and rows for what they leave out: refiners, the CRF of the test."""
    content = yaml.safe_load((ROOT / "configs/benchmarks/demo.yaml").read_text())
    images = {"train": 3, "val": 2, "size": 64, "classes": 3, "auxiliary_classes": 2, "auxiliary_train": 3}
    content["dataset"] = {"name": "synthetic", "params": images}
    content["backbones"][0]["weights"] = str(ROOT / "configs/weights/creatures.pth")
    content["methods"][2]["params"] |= {"iterations": 1, "auxiliary_iterations": 1, "canvas": 64}
    for section in ("classifier", "segmenter"):
        content["protocol"][section]["optim"] |= OPTIM
        content["protocol"][section]["augment"]["crop"] = 65  # one mapping in the file, so that of the frozen views too
    content["protocol"]["segmenter"]["config"] = str(ROOT / "configs/segmenters/mlp_demo.py")
    content["protocol"]["test"] = {"crf": True}
    for name in ("dense_crf", "guided_filter", "pcm", "cvs", "pmg"):
        content["methods"].append({"name": f"cam_{name}", "method": "cam", "refiners": [name], "labels_only": True})
    content["name"], content["seeds"] = "ran", [0]
    path = folder / "ran.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.slow
def test_the_closure_of_every_stage_holds_all_code_that_the_stage_ran(tmp_path):
    found = manager()
    registered = {kind: found.records(kind) for kind in ("method", "backbone")}
    chosen = load_benchmark(benchmark(tmp_path), registered=registered)
    plan = build_plan(chosen, found)
    dataset = chosen.dataset.name, chosen.dataset.params
    specs = one_of_each(plan)
    jobs = [pickle.dumps(Job(spec, tmp_path / "runs", found.spec, dataset, plan.dataset, "cpu")) for spec in specs]
    (tmp_path / "jobs").write_bytes(pickle.dumps(jobs))
    path = os.pathsep.join([str(ROOT), str(ROOT / "plugins")])
    subprocess.run(
        [sys.executable, str(HERE / "ran.py"), str(tmp_path / "jobs"), str(tmp_path / "ran")],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        check=True,
    )
    kinds, plugins = set(), set()
    for spec, ran in zip(specs, json.loads((tmp_path / "ran").read_text()), strict=True):
        assert ran["status"] == "done", (spec.name, ran["status"], ran["error"])
        used = {label for file in (*ran["imported"], *ran["called"]) if (label := label_of(file))}
        missing = used - set(spec.key_inputs["code"]) - set(NOT_OF_A_STAGE)
        assert not missing, spec.name
        kinds.add(spec.kind)
        plugins |= {label.partition("/")[0] for label in used}
    assert kinds == set(WORK)
    assert plugins >= {"harness", *(name for name in BUILTINS if name.startswith("wsss_"))}


def one_of_each(plan):
    """The first stage of each kind and component, and what these are computed from, inputs first."""
    first = {}
    for spec in plan.stages.values():
        first.setdefault((spec.kind, spec.part.name if spec.part else spec.run), spec.key)
    wanted, pending = set(), list(first.values())
    while pending:
        key = pending.pop()
        wanted.add(key)
        pending.extend(plan.stages[key].inputs.values())
    return [spec for key, spec in plan.stages.items() if key in wanted]


def label_of(file):
    """The file as keys name it, ``None`` for one of a library."""
    path = Path(file)
    for top in TOPS:
        if path.is_relative_to(top):
            return path.relative_to(top.parent if top.name == "harness" else top).as_posix()
    return None
