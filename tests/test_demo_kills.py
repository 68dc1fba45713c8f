"""``kill -9`` at random moments of a small demo, resumed each time, ends with the records of an undisturbed run.

The same over a Dask cluster, where the engine's toys stand for the demo: a stage there is an interpreter of its own, so
most of a hundred runs would be imports. ``WSSS_KILLS`` says how many kills, by default a hundred. One in five strikes a
process that computes a stage rather than the command, which must then notice it. What the killed command had started
must be gone soon after.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from harness.engine.executors.processes import MARK
from tests.engine.toy import BENCHMARK

ROOT = Path(__file__).parent.parent
WSSS = "from harness.cli.main import main; main()"
KILLS = int(os.environ.get("WSSS_KILLS", "100"))
SMALL = {
    "dataset.params.train": 8,
    "dataset.params.val": 4,
    **{
        f"protocol.{section}.optim.{field}": value
        for section in ("classifier", "segmenter")
        for field, value in (("iterations", 6), ("warmup", 2), ("batch_size", 4))
    },
}
METHODS = "cam,box_fill,self_guided,recam,seam,class_conditional,label_uncertainty"


def demo(runs):
    """The command, as a user would start it."""
    options = ["--methods", METHODS, "--jobs", "2", "--no-table"]
    for name, value in SMALL.items():
        options += ["-o", f"{name}={value}"]
    return ["-c", WSSS, "run", "configs/benchmarks/demo.yaml", "--runs", str(runs), *options]


def toys(runs):
    """The engine's toys on a Dask cluster that the command starts."""
    config = runs.parent / "toy.yaml"
    (runs.parent / "model.py").write_text("model = dict(type='EncoderDecoder')\n")
    config.write_text(yaml.safe_dump({**BENCHMARK, "methods": ["fill", "learnt_erase", "twice"]}))
    return ["-m", "tests.engine.toy_run", str(config), str(runs), "2", "dask"]


def start(runs, command):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "TOY_SLEEP": "0.03", "TOY_STEPS": "10"}
    return subprocess.Popen([sys.executable, *command(runs)], cwd=ROOT, env=environment, **quiet)


def records(runs):
    """Bytes of every file of the records, but for times and peaks."""
    found = {}
    for path in sorted(runs.glob("records/*/*")):
        found[path.name] = path.read_bytes()
        if path.suffix == ".json":
            content = json.loads(found[path.name])
            for stage in content["stages"]:
                stage["seconds"] = stage["peak_mib"] = stage["peak_gpu_mib"] = None
            found[path.name] = json.dumps(content).encode()
    return found


def family(process):
    """The processes that the command has started."""
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def computing(process):
    """Those of them that compute stages."""
    found = []
    for each in family(process):
        try:
            if MARK in each.environ():
                found.append(each)
        except psutil.Error:
            continue
    return found


def strike(process, moments):
    """Kill the command, or one time in five a process that computes; returns what was killed."""
    workers = computing(process) if moments.random() < 0.2 else []
    if workers:
        moments.choice(workers).kill()
        return "worker"
    started = family(process)
    process.kill()
    process.wait()
    assert not psutil.wait_procs(started, timeout=60)[1], "what the command had started lives on"
    return "command"


@pytest.mark.parametrize(
    "command", [pytest.param(demo, marks=pytest.mark.slow), pytest.param(toys, marks=pytest.mark.dask)]
)
def test_kills_at_random_moments_change_nothing_but_times(tmp_path, command, capsys):
    begun = time.monotonic()
    assert start(tmp_path / "calm", command).wait() == 0
    whole = time.monotonic() - begun
    calm = records(tmp_path / "calm")
    assert len(calm) >= 9, "a record and two files of confusions for each of three rows at least"
    moments, kills, rounds = random.Random(0), {"command": 0, "worker": 0}, 0
    while sum(kills.values()) < KILLS:
        rounds += 1
        runs = tmp_path / f"killed{rounds}"
        while True:
            process = start(runs, command)
            while process.poll() is None:
                try:
                    process.wait(timeout=moments.uniform(0.05, 0.6) * whole)
                except subprocess.TimeoutExpired:
                    if sum(kills.values()) < KILLS:
                        kills[strike(process, moments)] += 1
            if process.returncode == 0:
                break
            assert process.returncode in (-9, 3), "killed, or a row failed because its worker was killed"
        assert records(runs) == calm
        shutil.rmtree(runs)
    minutes = (time.monotonic() - begun) / 60
    with capsys.disabled():
        sys.stdout.write(f"\n{command.__name__}: kills {kills}, runs {rounds}, {minutes:.0f} min: records are equal\n")
