"""The engine: configuration, plan, store, execution and run records of a benchmark.

Importing the package loads nothing; each public name is imported from its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.engine.config import Benchmark, load_benchmark
    from harness.engine.keys import fingerprint, stage_key
    from harness.engine.plan import Plan, build_plan
    from harness.engine.runner import Outcome, run_plan
    from harness.engine.store import Artifact, Store

_HOMES = {
    "Benchmark": "config",
    "load_benchmark": "config",
    "fingerprint": "keys",
    "stage_key": "keys",
    "Plan": "plan",
    "build_plan": "plan",
    "Outcome": "runner",
    "run_plan": "runner",
    "Artifact": "store",
    "Store": "store",
}

__all__ = [
    "Artifact",
    "Benchmark",
    "Outcome",
    "Plan",
    "Store",
    "build_plan",
    "fingerprint",
    "load_benchmark",
    "run_plan",
    "stage_key",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
