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

CAM_CRF = Card(
    "CAM and a dense CRF",
    paper="Zhou et al., CVPR 2016; Kraehenbuehl and Koltun, Efficient Inference in Fully Connected CRFs, NeurIPS 2011",
    year=2016,
)

CAM_WALK = Card(
    "CAM and a random walk",
    paper="Zhou et al., CVPR 2016; Ahn and Kwak, Learning Pixel-level Semantic Affinity, CVPR 2018",
    year=2018,
    notes="The affinities are cosines of the shared classifier's features, nothing is trained for them.",
)

FILL = Card("Filled boxes", paper="the Bbox-Rect baseline of Papandreou et al., ICCV 2015", year=2015)

CARDS = {
    "cam": CAM,
    "cam_crf": CAM_CRF,
    "cam_walk": CAM_WALK,
    "box_fill": FILL,
    "box_grabcut": GRABCUT,
    "box_grabcut_pixels": GRABCUT,
}
"""By name of a generator or of a method."""
