"""The judge of the fuzzing test sees what it is there to see."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.forked import Ending
from tests.fuzz.verdicts import faults, leftovers, snapshot

SOUND = Ending(2, "", "error: a.txt: no such file\n")
FAULTS = {
    "hangs": Ending(None, "", ""),
    "ended by signal 11": Ending(-11, "", ""),
    "exit code 1": Ending(1, "", "error: x\n"),
    "left processes behind": Ending(0, "", "", orphans=True),
    "stderr shows 'Traceback (most recent call last)'": Ending(0, "", "Traceback (most recent call last)\n"),
    "stdout shows 'unexpected KeyError'": Ending(2, "unexpected KeyError: 'x'\n", "error: x\n"),
    "stdout holds control characters": Ending(0, "\x1b[2J\n", ""),
    "stderr shows 'UserWarning: '": Ending(0, "", "a.py:5: UserWarning: text\n"),
    "stderr says a cause twice": Ending(2, "", "error: line 1: x\nerror: line 2: x\n"),
    "stderr has 27 lines": Ending(2, "", "\n".join(f"error: {chr(97 + n % 26)}{'b' * n}" for n in range(27))),
    "stderr has a line without end": Ending(2, "", "error: " + "x" * 20_000),
    "exit code 2 without a word": Ending(2, "", ""),
    "stdout has 13 defects": Ending(2, "".join(f"defect: {'x' * n}\n" for n in range(1, 14)), ""),
}


def test_one_sentence_is_sound():
    assert list(faults(SOUND)) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_each_rule_sees_its_fault(fault):
    assert fault in list(faults(FAULTS[fault]))


def test_files_outside_and_half_written_ones_are_seen(tmp_path):
    (tmp_path / "case" / "runs").mkdir(parents=True)
    for name in ("input", "gone"):
        (tmp_path / "case" / name).write_text("x")
    before = snapshot(tmp_path)
    (tmp_path / "case" / "input").write_text("changed")
    (tmp_path / "case" / "gone").unlink()
    (tmp_path / "evil").touch()
    for name in ("a.json.tmp", "half.json", ".key-0123abcd", "fine.json"):
        (tmp_path / "case" / "runs" / name).write_text("{" if name == "half.json" else "{}")
    found = set(leftovers(before, snapshot(tmp_path), ("case/runs",), tmp_path))
    assert found == {
        "wrote evil", "wrote case/input", "took case/gone away", "left case/runs/a.json.tmp",
        "left case/runs/.key-#", "half-written case/runs/half.json",
    }  # fmt: skip


ROOT = Path(__file__).parents[2]
ENDS = {
    "segmentation fault": ("os.kill(os.getpid(), 11)", -11, False),
    "hang": ("time.sleep(60)", None, False),
    "orphan": ("subprocess.Popen(['sleep', '60'])", 0, True),
    "os._exit": ("os._exit(7)", 7, False),
    "end": ("raise SystemExit(3)", 3, False),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("end", ENDS)
def test_however_a_command_ends_it_is_seen(end, tmp_path, monkeypatch):
    act, code, orphans = ENDS[end]
    script = f"""
import json, os, subprocess, sys, time
from pathlib import Path
from tests.fuzz import forked
def act(*args, **options):
    {act}
forked.COMMAND, here = act, Path({str(tmp_path)!r})
found = forked.run(["x"], cwd=here, environment={{}}, log=here, before=lambda: None)
print(json.dumps([found.code, found.orphans]))
"""
    monkeypatch.setenv("WSSS_FUZZ_DEADLINE", "1")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert json.loads(said.stdout) == [code, orphans]
