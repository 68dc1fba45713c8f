"""A benchmark of toys: no torch, no images on disk, every stage in milliseconds."""

import json
import os
from concurrent.futures import Future
from pathlib import Path

from harness.contract.interfaces import Executor
from harness.engine.executors.builtin import LocalParams
from harness.engine.executors.local import LocalExecutor
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.layout import build_plan
from harness.engine.progress import ProgressDisplay
from harness.engine.scheduler import run_plan
from harness.engine.stage.worker import store_of
from harness.registry import PluginSpec, manager_from_spec

PLUGIN = Path(__file__).parent / "toy_plugin.py"
MODELLING = "tests.engine.toy_modelling"

OPTIM = {"iterations": 3, "batch_size": 2}
BENCHMARK = {
    "name": "toy",
    "dataset": {"name": "toy", "params": {}},
    "backbones": ["net"],
    "protocol": {
        "classifier": {"optim": OPTIM, "augment": {"crop": 16}},
        "segmenter": {"config": "model.py", "optim": OPTIM, "augment": {"crop": 16}},
    },
    "methods": ["fill", "learnt", "learnt_erase"],
}


class Inline(Executor):
    """Runs in this process, at once."""

    slots = 2

    def submit(self, function, /, *args, timeout=None):
        future = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, *, cancel=False):
        store_of.cache_clear()  # a worker's memory ends with it


def toy_manager():
    return manager_from_spec(PluginSpec(files=(str(PLUGIN),), env="", builtins=("harness.engine.executors.builtin",)))


def make_plan(config, overrides=(), **selection):
    """Plan a benchmark with the toys' own training."""
    manager = toy_manager()
    registered = {kind: manager.records(kind) for kind in ("method", "backbone")}
    benchmark = load_benchmark(config, overrides, registered=registered, **selection)
    return build_plan(benchmark, manager, modelling=MODELLING), manager


def run_toy(plan, manager, runs, *, jobs=1, executor=None):
    return run_plan(
        plan,
        runs=Path(runs),
        manager=manager,
        make_executor=executor or (lambda: LocalExecutor(LocalParams(jobs=jobs, device="cpu"))),
        progress=ProgressDisplay(plan, Path(runs)),
        device="cpu",
    )


def records(runs):
    """Every record below a runs folder by file stem."""
    return {path.stem: json.loads(path.read_text()) for path in Path(runs).glob("records/*/*.json")}


def without_measurements(found):
    """Records without what may differ between two computations, and without the commit of a tree under work."""
    for record in found.values():
        record["environment"].pop("commit", None)
        for stage in record["stages"]:
            stage["seconds"] = stage["peak_mib"] = stage["peak_gpu_mib"] = None
    return found


def flip_byte(path):
    """Change one byte, and neither size nor modification time."""
    state = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
