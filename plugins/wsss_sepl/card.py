"""The paper and what it claims; no number of it was confirmed from a public source."""

from __future__ import annotations

from harness.contract import Card, Claim

CARD = Card(
    "Segment Anything Model (SAM) Enhances Pseudo Labels for Weakly Supervised Semantic Segmentation (SEPL)",
    paper="Chen, Mai, Li, Chao, NeurIPS 2023 Workshops, arXiv 2305.05803",
    year=2023,
    notes="The masks come from files; whatever made them (SAM saw a billion masks) is part of what the row was given.",
    claims=(
        Claim(
            "cam_sepl",
            "cam",
            "abstract",
            metric="pseudo-label mIoU",
            setting="VOC 2012 and COCO 2014",
            text="Pseudo labels merged with class-agnostic masks are better than those they came from.",
        ),
    ),
)
