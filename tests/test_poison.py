"""Supervision is enforced: noise in every mask that a method did not declare changes no byte of what it makes.

Every registered method is held to it; a new one needs no line here.
"""

import json
from pathlib import Path

import pytest
import yaml

from harness.contract import Supervision
from harness.engine.executors.builtin import LocalParams
from harness.engine.executors.local import LocalExecutor
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.layout import build_plan
from harness.engine.plan.rows import resolve_rows
from harness.engine.plan.unfit import unfit
from harness.engine.progress import ProgressDisplay
from harness.engine.scheduler import run_plan
from harness.engine.store.store import Store
from harness.registry import PluginSpec, manager_from_spec
from harness.testing.method_params import required_params

ROOT = Path(__file__).parent.parent
MANAGER = manager_from_spec(PluginSpec(files=(str(Path(__file__).parent / "poison_plugin.py"),), env=""))
OPTIM = {"iterations": 3, "batch_size": 4, "lr": 0.01}
AUGMENT = {"crop": 64}
BACKBONES = ("tiny", "mit_narrow")
"""A method runs on the first of them that its segmenter can be trained on."""
SCORED = ("score", "predict")  # stages that may see hidden masks, or come after the method


def clean_masks(method):
    """What the method declared of masks, as (fraction, auxiliary) pairs."""
    needs = MANAGER.needs("method", method)
    return tuple((need.fraction, need.auxiliary) for need in needs if need.kind is Supervision.MASKS)


METHODS = sorted(name for name, record in MANAGER.records("method").items() if not required_params(record))
"""All but those of somebody's files, which have a test of their own beside their plugin."""

GROUPS = {clean: [m for m in METHODS if clean_masks(m) == clean] for clean in sorted({clean_masks(m) for m in METHODS})}


def sweep(plan, folder):
    """Run a plan; the contents of its records."""
    outcome = run_plan(
        plan,
        runs=folder,
        manager=MANAGER,
        make_executor=lambda: LocalExecutor(LocalParams(jobs=2, device="cpu")),
        progress=ProgressDisplay(plan, folder),
        device="cpu",
    )
    assert outcome.exit_code == 0, list(folder.glob("logs/*"))
    return [json.loads((outcome.records / f"{cell.stem}.json").read_text()) for cell in plan.cells]


def run(folder, methods, dataset):
    """Artifacts of every stage that makes labels or weights: (row, stage) -> file digests."""
    config = {
        "name": "poison",
        "dataset": {"name": "poison_test", "params": dataset},
        "backbones": list(BACKBONES),
        "methods": methods,
        "protocol": {
            "classifier": {"optim": OPTIM, "augment": AUGMENT},
            "cam": {"scales": [1.0]},
            "segmenter": {"config": str(ROOT / "configs/segmenters/fcn.py"), "optim": OPTIM, "augment": AUGMENT},
        },
    }
    folder.mkdir(parents=True)
    path = folder / "poison.yaml"
    path.write_text(yaml.safe_dump(config))
    registered = {kind: MANAGER.records(kind) for kind in ("method", "backbone")}
    rows = {row.label: row for row in resolve_rows(load_benchmark(path, registered=registered), MANAGER)}
    left, records = list(methods), []
    for backbone in BACKBONES:
        fitting = [method for method in left if not unfit(rows[method], backbone, MANAGER, frozen=False)]
        left = [method for method in left if method not in fitting]
        if fitting:
            chosen = load_benchmark(path, registered=registered, methods=fitting, backbones=[backbone])
            records += sweep(build_plan(chosen, MANAGER), folder)
    assert left == []
    store = Store(folder)
    found = {}
    for content in records:
        for stage in content["stages"]:
            if not any(word in stage["name"] for word in SCORED):
                files = store.find(stage["key"]).files
                found[content["label"], stage["name"]] = {name: entry["sha256"] for name, entry in files.items()}
    return found


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    """Stage artifacts on true masks, and on poisoned ones, of all methods."""
    folder = tmp_path_factory.mktemp("poison")
    true = run(folder / "true", METHODS, {"poisoned": False})
    poisoned = {}
    for number, (clean, methods) in enumerate(GROUPS.items()):
        dataset = {"poisoned": True, "clean": [list(pair) for pair in clean]}
        poisoned |= run(folder / f"poisoned{number}", methods, dataset)
    return true, poisoned


@pytest.mark.parametrize("method", METHODS)
def test_undeclared_masks_cannot_reach_a_method(artifacts, method):
    true, poisoned = artifacts
    stages = [key for key in true if key[0] == method]
    assert any("generate" in stage for _, stage in stages)
    assert any("segmenter" in stage for _, stage in stages)
    for key in stages:
        assert true[key] == poisoned[key], f"{key[1]} of {key[0]} depends on masks that were not declared"
