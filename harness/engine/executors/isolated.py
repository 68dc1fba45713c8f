"""Makes one pickled call in a process of a group: ``python -m harness.engine.executors.isolated TASK RESULT``.

* The first process leaves the result. Another that fails waits until it is there, so that its end does not hide what
  the first has to say.
* The process that the launcher knows only waits for a fork of itself, which makes the call. In whatever way that one
  ends, how is written down, and the launcher ends the others rather than let them wait.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import sys
import time
from pathlib import Path

WAIT = 10.0
"""Seconds for which a process that failed waits for what the first one has to say."""


def main(task: Path, result: Path) -> int:
    """Make the call in a fork, made while this process has no thread and no library yet; returns the exit code."""
    left = result.with_name(f"left-{os.environ.get('RANK', '0')}")
    child = os.fork()
    if child:
        return _watch(child, left, result)
    try:
        code = _call(task, result)
        left.touch()
        os._exit(code)
    finally:
        os._exit(1)


def _watch(child: int, left: Path, result: Path) -> int:
    """Wait for the fork; 0 when its part is done."""
    from harness.engine.executors import group
    from harness.engine.executors.processes import Ending

    ending = Ending()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if not left.exists():
        name = f"{group.ENDED}{group.rank()}"
        result.with_name(name).write_text(f"process {group.rank()} of the group {ending.told(code)}", encoding="utf-8")
        return 1
    return code


def _call(task: Path, result: Path) -> int:
    """Read the call from ``task``, make it, and leave the answer in ``result``; returns the exit code."""
    faulthandler.enable(file=2)
    with task.open("rb") as file:
        sys.path[:], parent, threads = pickle.load(file)
        call = file.read()
    from harness.common.atomic import write_atomically
    from harness.engine.executors import group
    from harness.engine.executors.processes import prepare
    from harness.engine.executors.worker import answer

    prepare(parent, threads)
    first = group.rank() == 0
    given = answer(call)
    if first:
        write_atomically(result, given, durable=False)
        return 0
    succeeded, _, _ = pickle.loads(given)
    end = time.monotonic() + WAIT
    while not succeeded and not result.exists() and time.monotonic() < end:
        time.sleep(0.1)
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
