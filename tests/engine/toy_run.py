"""Runs a toy benchmark in a process of its own: ``python -m tests.engine.toy_run CONFIG RUNS JOBS [dask]``."""

import sys
from pathlib import Path

from harness.engine.executors.builtin import DaskParams
from harness.engine.executors.local import DaskExecutor
from tests.engine.toy import make_plan, run_toy


def main() -> int:
    config, runs, jobs = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    dask = (lambda: DaskExecutor(DaskParams(jobs=jobs))) if sys.argv[4:] == ["dask"] else None
    return run_toy(*make_plan(config), runs, jobs=jobs, executor=dask).exit_code


if __name__ == "__main__":
    sys.exit(main())
