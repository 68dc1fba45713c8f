"""Moved to ``harness.api.runs``, ``harness.engine.recorded_data`` and ``harness.records.files``."""

from harness.api.runs import open_benchmark, planned
from harness.engine.recorded_data import open_recorded
from harness.records.files import runs_folder

__all__ = ["open_benchmark", "open_recorded", "planned", "runs_folder"]
