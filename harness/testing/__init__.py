"""What authors of plugins test with: the conformance kit, data and contexts in memory, a data set of noise masks.

Importing the package loads nothing; each public name is imported from its module when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.common.lazy import lazy_face

if TYPE_CHECKING:
    from harness.testing.checks import Finding
    from harness.testing.conformance import check_plugin, check_row
    from harness.testing.fakes import FakeContext, MemoryDataset, fake_context, fake_view
    from harness.testing.poison import PoisonedDataset

__all__ = [
    "FakeContext",
    "Finding",
    "MemoryDataset",
    "PoisonedDataset",
    "check_plugin",
    "check_row",
    "fake_context",
    "fake_view",
]

__getattr__, __dir__ = lazy_face(__name__)
