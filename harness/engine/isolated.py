"""Runs one pickled call in an interpreter of its own: ``python -m harness.engine.isolated TASK RESULT``."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path


def main(task: Path, result: Path) -> None:
    """Read the call from ``task``, make it, and leave ``(succeeded, value)`` in ``result``."""
    with task.open("rb") as file:
        path, parent = pickle.load(file)
        sys.path[:] = path
        from harness.engine.executors import cores, start_worker

        start_worker(parent, cores())
        function, args = pickle.load(file)
    try:
        outcome = (True, function(*args))
    except Exception as error:
        outcome = (False, error)
    temporary = result.with_suffix(".part")
    temporary.write_bytes(pickle.dumps(outcome))
    temporary.replace(result)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
