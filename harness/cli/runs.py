"""Moved to ``harness.api.runs``."""

from harness.api.runs import open_benchmark, open_recorded, planned, runs_folder

__all__ = ["open_benchmark", "open_recorded", "planned", "runs_folder"]
