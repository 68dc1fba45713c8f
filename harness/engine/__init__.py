"""The engine: configuration, plan, store, execution and run records of a benchmark.

Importing the package loads nothing; each public name is imported from its module when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.common.lazy import lazy_face

if TYPE_CHECKING:
    from harness.engine.plan.config import Benchmark, load_benchmark
    from harness.engine.plan.keys import fingerprint, stage_key
    from harness.engine.plan.layout import Plan, build_plan
    from harness.engine.scheduler import Outcome, run_plan
    from harness.engine.store.store import Artifact, Store


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

__getattr__, __dir__ = lazy_face(__name__)
