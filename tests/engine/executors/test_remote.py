"""A call that a batch system starts leaves an answer, however it ends."""

from __future__ import annotations

import math
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest


def begin(folder: Path, *call: Any) -> subprocess.Popen[bytes]:
    (folder / "call").write_bytes(pickle.dumps(sys.path) + pickle.dumps((call[0], call[1:])))
    command = [sys.executable, "-m", "harness.engine.executors.remote", folder / "call", folder / "answer"]
    return subprocess.Popen(command, cwd=Path(__file__).parents[3])


def answer(folder: Path, process: subprocess.Popen[bytes]) -> tuple[bool, Any]:
    assert process.wait(60) == 0
    outcome: tuple[bool, Any] = pickle.loads((folder / "answer").read_bytes())
    return outcome


@pytest.mark.parametrize(
    ("call", "outcome"),
    [
        ((math.hypot, 3, 4), (True, "5.0")),
        ((math.sqrt, -1), (False, "ValueError")),
        ((os._exit, 7), (False, "ended with exit code 7")),
    ],
    ids=["value", "error", "crash"],
)
def test_the_answer_is_what_the_call_returned_or_raised_or_how_its_process_ended(
    call: tuple[Any, ...], outcome: tuple[bool, str], tmp_path: Path
) -> None:
    succeeded, value = answer(tmp_path, begin(tmp_path, *call))
    assert succeeded == outcome[0]
    assert outcome[1] in repr(value)


def test_the_signal_by_which_a_batch_system_ends_a_command_ends_the_call(tmp_path: Path) -> None:
    process = begin(tmp_path, os.system, f"touch {tmp_path}/began; sleep 60")
    limit = time.monotonic() + 30
    while not (tmp_path / "began").exists():
        assert time.monotonic() < limit
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    succeeded, error = answer(tmp_path, process)
    assert not succeeded
    assert isinstance(error, CancelledError)
