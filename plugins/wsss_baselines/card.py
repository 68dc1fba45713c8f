"""The papers behind the reference methods."""

from __future__ import annotations

from harness.contract import Card

CAM = Card(
    "Class activation maps",
    paper="Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016",
    year=2016,
)

GRABCUT = Card(
    "GrabCut inside each box",
    paper="Rother et al., GrabCut, SIGGRAPH 2004; as a box baseline: Khoreva et al., CVPR 2017",
    year=2004,
)

FILL = Card("Filled boxes", paper="the Bbox-Rect baseline of Papandreou et al., ICCV 2015", year=2015)
