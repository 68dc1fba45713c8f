"""What the paper reports and claims."""

from __future__ import annotations

from harness.contract import Card, Claim, Reported

_SOURCE = "arXiv 2110.05926, abstract"
CARD = Card(
    "Weakly-Supervised Semantic Segmentation by Learning Label Uncertainty",
    paper="Neven et al., ICCV 2021 Workshops (ILDAV), arXiv 2110.05926",
    year=2021,
    reconstruction=True,
    reported=(
        Reported(
            0.775, "val mIoU", "cityscapes vehicles and persons", "not confirmed", f"{_SOURCE}; 18 % masks, 82 % boxes"
        ),
        Reported(
            0.798, "val mIoU", "cityscapes vehicles and persons", "not confirmed", f"{_SOURCE}; baseline, all masks"
        ),
    ),
    notes=(
        "Reconstruction: the abstract and one line of third-party code that names section 3.2.1 are all that is known. "
        "Rank it by boxes with 18 % masks, never with methods that use boxes only."
    ),
    claims=(
        Claim(
            "label_uncertainty",
            "full",
            _SOURCE,
            size=0.9833,
            direction=">=",
            relative=True,
            setting="binary tasks (names not confirmed), 18 % masks and 82 % boxes",
            text="On binary tasks 18 % of the masks and boxes reach about 98.33 % of the object's IoU of all masks.",
        ),
        Claim(
            "label_uncertainty",
            "full",
            _SOURCE,
            size=0.9712,
            direction=">=",
            relative=True,
            setting="Cityscapes vehicles and persons, 18 % masks and 82 % boxes",
            text="On a multi-class task they reach 97.12 % of the mIoU of all masks (77.5 against 79.8).",
        ),
        Claim(
            "label_uncertainty",
            "label_uncertainty_no_bootstrap",
            _SOURCE,
            text="Turning boxes into masks while training is what makes the boxes useful.",
        ),
        Claim(
            "label_uncertainty",
            "pixel_subset",
            "implied by " + _SOURCE,
            text="Boxes add to the pixel masks of the subset.",
        ),
        Claim("label_uncertainty", "box_fill", "implied by " + _SOURCE, text="Boxes are not used as masks."),
    ),
)
