"""Runs a toy benchmark in a process of its own: ``python toy_run.py CONFIG RUNS JOBS [dask]``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))


def main() -> int:
    from toy import make_plan, run_toy

    from harness.engine.executors.builtin import DaskParams
    from harness.engine.executors.local import DaskExecutor

    config, runs, jobs = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    dask = (lambda: DaskExecutor(DaskParams(jobs=jobs))) if sys.argv[4:] == ["dask"] else None
    return run_toy(*make_plan(config), runs, jobs=jobs, executor=dask).exit_code


if __name__ == "__main__":
    sys.exit(main())
