"""``kill -9`` at ten random moments of the demo, resumed each time, ends with the records of an undisturbed run."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WSSS = "from harness.cli.main import main; main()"
KILLS = 10


def start(runs):
    """The demo in a process group of its own."""
    command = [sys.executable, "-c", WSSS, "run", "configs/benchmarks/demo.yaml", "--runs", str(runs), "--no-table"]
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL)


def records(runs):
    """Records without timings, confusion files by content."""
    found = {}
    for path in sorted(runs.glob("records/*/*")):
        if path.suffix != ".json":
            found[path.name] = path.read_bytes()
            continue
        content = json.loads(path.read_text())
        for stage in content["stages"]:
            stage["seconds"] = stage["peak_mib"] = None
        found[path.name] = content
    return found


@pytest.mark.slow
def test_ten_kills_change_nothing_but_timings(tmp_path):
    begun = time.monotonic()
    assert start(tmp_path / "calm").wait() == 0
    whole = time.monotonic() - begun
    moments = random.Random(0)
    for _ in range(KILLS):
        process = start(tmp_path / "killed")
        try:
            process.wait(timeout=moments.uniform(2.0, 2.0 + whole / KILLS * 2))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert start(tmp_path / "killed").wait() == 0
    calm, killed = records(tmp_path / "calm"), records(tmp_path / "killed")
    assert calm
    assert calm.keys() == killed.keys()
    for name, content in calm.items():
        assert content == killed[name], name
