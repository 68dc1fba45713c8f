"""What authors of plugins test with: the conformance kit, and a data set whose hidden masks are noise.

Importing the package loads nothing; each public name is imported from its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.testing.checks import Finding
    from harness.testing.conformance import check_plugin, check_row
    from harness.testing.poison import PoisonedDataset

__all__ = ["Finding", "PoisonedDataset", "check_plugin", "check_row"]

_HOMES = {
    "Finding": "checks",
    "PoisonedDataset": "poison",
    "check_plugin": "conformance",
    "check_row": "conformance",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
