"""What the rows of other people's files are."""

from __future__ import annotations

from harness.contract import Card

LABELS = Card(
    "Labels from elsewhere",
    notes="Supervision and annotation cost are stated by the author of the benchmark file, not metered.",
)

PREDICTIONS = Card(
    "Predictions from elsewhere",
    notes="Nothing is trained here. Supervision and annotation cost are stated, not metered.",
)
