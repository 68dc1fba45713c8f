"""The paper and what it claims; it reports no number that is public."""

from __future__ import annotations

from harness.contract import Card, Claim

_SOURCE = "abstract of arXiv 1810.07050: the step is part of the method; no size is stated"

CARD = Card(
    "Generating Self-Guided Dense Annotations for Weakly Supervised Semantic Segmentation",
    paper="Ke and Hsu, arXiv 1810.07050, 2018",
    year=2018,
    reconstruction=True,
    notes="Only the abstract is public: the steps are the paper's, every formula and constant is reconstructed, "
    "and the paper's numbers are not known.",
    claims=(
        Claim(
            "self_guided",
            "cam",
            source=_SOURCE,
            metric="pseudo-label mIoU",
            text="Refined maps are better labels than the localisation maps themselves.",
        ),
        Claim("self_guided", "cam", source=_SOURCE, text="A segmenter trained on the refined labels is better."),
        Claim(
            "self_guided",
            "self_guided_no_affinity",
            source=_SOURCE,
            metric="pseudo-label mIoU",
            text="The affinity-guided step improves the labels.",
        ),
        Claim(
            "self_guided",
            "self_guided_no_filter",
            source=_SOURCE,
            metric="pseudo-label mIoU",
            text="Self-guided refinement by the image improves the labels.",
        ),
        Claim(
            "self_guided",
            "self_guided_no_alternation",
            source=_SOURCE,
            metric="pseudo-label mIoU",
            text="Alternating feature update and map refinement improves the labels.",
        ),
        Claim(
            "self_guided",
            "self_guided_no_alternation",
            source=_SOURCE,
            text="Alternating feature update and map refinement improves the segmenter.",
        ),
    ),
)
