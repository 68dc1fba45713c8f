"""Runs one pickled call in an interpreter of its own: ``python -m harness.engine.isolated TASK RESULT``.

Of several processes that torchrun started the first leaves the result. Another that fails waits until it is there, so
that its end does not hide what the first has to say.
"""

from __future__ import annotations

import pickle
import sys
import time
import traceback
from pathlib import Path

WAIT = 10.0


def main(task: Path, result: Path) -> int:
    """Read the call from ``task``, make it, and leave ``(succeeded, value)`` in ``result``; returns the exit code."""
    with task.open("rb") as file:
        path, parent, threads = pickle.load(file)
        sys.path[:] = path
        from harness.engine import group
        from harness.engine.executors import start_worker

        start_worker(parent, threads)
        function, args = pickle.load(file)
    first = group.rank() == 0
    try:
        outcome = (True, function(*args))
    except Exception as error:
        if not first:
            traceback.print_exc()
            _wait_for(result)
            return 1
        outcome = (False, error)
    if first:
        temporary = result.with_suffix(".part")
        temporary.write_bytes(pickle.dumps(outcome))
        temporary.replace(result)
    return 0


def _wait_for(result: Path) -> None:
    end = time.monotonic() + WAIT
    while not result.exists() and time.monotonic() < end:
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
