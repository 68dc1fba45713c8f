"""A kill loses at most the stage under way; two runs share one store; a hang is a row."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil

from tests.engine.toy import make_plan, records, run_toy, without_measurements

ROOT = Path(__file__).parents[2]


def start(config, runs, jobs=1, **environment):
    command = [sys.executable, "-m", "tests.engine.toy_run", str(config), str(runs), str(jobs)]
    return subprocess.Popen(command, env={**os.environ, **environment}, cwd=ROOT)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def test_killed_and_resumed_records_equal_undisturbed_ones(write_config, tmp_path):
    learned = {"name": "learned", "method": "fill", "refiners": ["learned"]}
    config = write_config(methods=["learnt_erase", "twice", learned])
    slow = {"TOY_SLEEP": "0.03", "TOY_STEPS": "8"}
    assert start(config, tmp_path / "undisturbed", **slow).wait(timeout=100) == 0
    moments = random.Random(0)
    for _ in range(2):
        shutil.rmtree(tmp_path / "killed" / "status", ignore_errors=True)
        process = start(config, tmp_path / "killed", **slow)
        wait_for(lambda: any((tmp_path / "killed" / "status").glob("*.json")))
        time.sleep(moments.uniform(0.3, 1.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start(config, tmp_path / "killed", **slow).wait(timeout=100) == 0
    killed, undisturbed = records(tmp_path / "killed"), records(tmp_path / "undisturbed")
    assert len(killed) == 3
    assert without_measurements(killed) == without_measurements(undisturbed)
    assert not list((tmp_path / "killed" / "store").glob("??/.*"))
    assert not list((tmp_path / "killed" / "work").iterdir())


def test_a_killed_training_goes_on_from_its_checkpoint(write_config, tmp_path):
    config = write_config(methods=["fill"])
    process = start(config, tmp_path / "runs", TOY_SLEEP="0.2", TOY_STEPS="40")
    wait_for(lambda: any((tmp_path / "runs" / "work").glob("*/step")))
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    psutil.wait_procs(workers, timeout=10)
    step = next((tmp_path / "runs" / "work").glob("*/step"))
    assert 1 <= int(step.read_text().split()[0]) < 40
    step.write_text("40 00000001resumed")
    assert start(config, tmp_path / "runs", TOY_STEPS="40").wait(timeout=60) == 0
    assert next(tmp_path.glob("runs/store/*/*/segmenter.pth")).read_text() == "00000001resumed"


def test_workers_end_with_a_killed_parent(write_config, tmp_path):
    process = start(write_config(methods=["fill"]), tmp_path / "runs", TOY_SLEEP="1", TOY_STEPS="60")
    wait_for((tmp_path / "runs" / "work").exists)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive


def test_two_runs_on_one_store_compute_each_stage_once(write_config, tmp_path):
    config = write_config(methods=["learnt", "learnt_erase", "fill", "twice"], seeds=[0, 1])
    shared = {"TOY_COUNTER": str(tmp_path / "counter"), "TOY_SLEEP": "0.02"}
    both = [start(config, tmp_path / "runs", **shared) for _ in range(2)]
    assert [process.wait(timeout=100) for process in both] == [0, 0]
    counted = Counter(line.split()[0] for line in (tmp_path / "counter").read_text().splitlines())
    plan, _ = make_plan(config)
    expected = Counter(spec.kind for spec in plan.stages.values())
    assert counted["learn"] == expected["shared"] == 2
    assert counted["refine"] == expected["refine"] == 2
    assert counted["train"] == expected["segmenter"]
    assert counted["predict"] == expected["predict"]
    assert len(records(tmp_path / "runs")) == 8


def test_a_hanging_and_a_dying_method_are_rows(write_config, tmp_path):
    rows = [
        {"name": "hangs", "method": "fill", "params": {"mode": "hang"}},
        {"name": "dies", "method": "fill", "params": {"mode": "die"}},
        "fill",
    ]
    plan, manager = make_plan(write_config(methods=rows), ["timeout=10"])
    outcome = run_toy(plan, manager, tmp_path / "runs", jobs=2)
    assert (outcome.ok, outcome.failed, outcome.exit_code) == (1, 2, 3)
    found = records(tmp_path / "runs")
    assert found["hangs--net--s0"]["status"] == "timeout"
    assert found["hangs--net--s0"]["error"]["message"] == "no result after 10 s"
    assert found["dies--net--s0"]["status"] == "failed"
    assert found["dies--net--s0"]["error"]["kind"] == "ChildProcessError"
    assert "SIGKILL, most likely for want of memory" in found["dies--net--s0"]["error"]["message"]
    assert found["fill--net--s0"]["status"] == "ok"


def test_the_status_file_tells_that_a_run_was_killed(write_config, tmp_path):
    from harness.engine.progress import read_status

    process = start(write_config(methods=["fill"]), tmp_path / "runs", TOY_SLEEP="1", TOY_STEPS="60")
    wait_for(lambda: any((tmp_path / "runs" / "status").glob("*.json")))
    (sweep,) = read_status(tmp_path / "runs")
    assert (sweep.alive, sweep.finished) == (True, False)
    process.kill()
    process.wait()
    (sweep,) = read_status(tmp_path / "runs")
    assert (sweep.alive, sweep.finished) == (False, False)
    assert sweep.pid == process.pid
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)
