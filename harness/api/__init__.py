"""What commands and Python programs do alike: plan and compute a benchmark, open its results, ask one row.

``harness`` offers the names of a user's program; the commands of ``harness.cli`` call the same functions and print.
Nothing here prints. Importing the package loads nothing; each public name is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.common.lazy import lazy_face

if TYPE_CHECKING:
    from harness.api.results import Runs, load
    from harness.api.running import run

__all__ = ["Runs", "load", "run"]

__getattr__, __dir__ = lazy_face(__name__)
