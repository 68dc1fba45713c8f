"""A plugin-based benchmarking harness for weakly-supervised semantic segmentation (WSSS).

The names that a Python program or a notebook uses: ``harness.run`` computes a benchmark, ``harness.load`` opens a
folder of runs, ``harness.WsssError`` is what every mistake of a user raises. Importing the package loads nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.common.lazy import lazy_face

if TYPE_CHECKING:
    from harness.api.results import Runs, load
    from harness.api.running import run
    from harness.contract.errors import WsssError

__version__ = "0.1.0"

__all__ = ["Runs", "WsssError", "load", "run"]

__getattr__, __dir__ = lazy_face(__name__)
