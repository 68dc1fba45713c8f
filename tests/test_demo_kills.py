"""``kill -9`` at random moments of a small demo, resumed each time, ends with the records of an undisturbed run.

``WSSS_KILLS`` says how many kills, by default a hundred. One in five strikes a process that computes a stage rather
than the command, which must then notice it. What the killed command had started must be gone soon after.
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

from harness.engine.processes import MARK

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
METHODS = {"local": "cam,box_fill,self_guided,class_conditional,label_uncertainty", "dask": "cam,box_fill"}


def start(runs, executor):
    """The command, as a user would start it."""
    options = ["--methods", METHODS[executor], "--executor", executor, "--jobs", "2"]
    for name, value in SMALL.items():
        options += ["-o", f"{name}={value}"]
    command = [sys.executable, "-c", WSSS, "run", "configs/benchmarks/demo.yaml", "--runs", str(runs), "--no-table"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*command, *options], cwd=ROOT, **quiet)


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
    "executor", [pytest.param("local", marks=pytest.mark.slow), pytest.param("dask", marks=pytest.mark.dask)]
)
def test_kills_at_random_moments_change_nothing_but_times(tmp_path, executor, capsys):
    begun = time.monotonic()
    assert start(tmp_path / "calm", executor).wait() == 0
    whole = time.monotonic() - begun
    calm = records(tmp_path / "calm")
    assert len(calm) == 3 * len(METHODS[executor].split(",")), "a record and two files of confusions each"
    moments, kills, rounds = random.Random(0), {"command": 0, "worker": 0}, 0
    while sum(kills.values()) < KILLS:
        rounds += 1
        runs = tmp_path / f"killed{rounds}"
        while True:
            process = start(runs, executor)
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
        sys.stdout.write(f"\n{executor}: kills {kills}, runs {rounds}, {minutes:.0f} min: records are equal\n")
