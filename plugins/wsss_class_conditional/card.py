"""What the paper is, what it reports and what it claims."""

from __future__ import annotations

from harness.contract import Card, Claim, Reported

_PAPER = (
    "Sun, Zhang, Barnes, Inferring the Class Conditional Response Map for Weakly Supervised Semantic Segmentation, "
    "WACV 2022, arXiv 2110.14309"
)

_TABLE = "Papers with Code entry of the paper"


def _reported(value: float, split: str) -> Reported:
    return Reported(value, f"{split} mIoU", "voc2012", split, _TABLE, backbone="DeepLabV2-ResNet101")


def _pseudo(left: str, right: str, text: str) -> Claim:
    return Claim(left, right, "paper; released code", metric="pseudo-label mIoU", setting="VOC 2012 train", text=text)


def _refinement(left: str, right: str, text: str) -> Claim:
    return Claim(left, right, "abstract of the paper; the loss is a reconstruction", text=text)


_CLAIMS = (
    _pseudo("class_conditional_amr_off", "cam", "the response map gives better labels than the CAM it comes from"),
    _pseudo("class_conditional_no_iterate", "cam", "looking separately alone is better than the plain CAM"),
    _pseudo("class_conditional_no_split", "cam", "looking iteratively alone is better than the plain CAM"),
    _pseudo("class_conditional_amr_off", "class_conditional_no_iterate", "both are better than separately alone"),
    _pseudo("class_conditional_amr_off", "class_conditional_no_split", "both are better than iteratively alone"),
    _refinement("class_conditional", "class_conditional_amr_off", "the refinement loss helps the segmenter"),
    _refinement("class_conditional", "class_conditional_plain_saliency", "completed saliency beats saliency alone"),
)

INFERENCE = Card(
    "Class-conditional response maps",
    paper=_PAPER,
    year=2022,
    notes="A wrapper of any CAM classifier; trains nothing. Checked against the released code (InferCam, 96ba7d8).",
)

REFINEMENT = Card(
    "Activation aware mask refinement (AMR) loss",
    paper=_PAPER,
    year=2022,
    reconstruction=True,
    notes="AMR (reconstruction): code of the loss is not public, the form follows the authors' next paper, GETAM, "
    "arXiv 2112.02841. saliency=dataset uses the data set's maps (S); saliency=minimum_barrier computes them from the "
    "image alone (Zhang et al., Minimum Barrier Salient Object Detection at 80 FPS, ICCV 2015), which learns nothing.",
)

METHOD = Card(
    "Inferring the Class Conditional Response Map",
    paper=_PAPER,
    year=2022,
    reconstruction=True,
    reported=(_reported(0.708, "val"), _reported(0.718, "test")),
    notes="Inference is checked against the released code; the loss of the segmenter is a reconstruction: "
    + REFINEMENT.notes
    + " With amr=off the supervision is I alone.",
    claims=_CLAIMS,
)
BACKBONE = Card("Wider or Deeper: Revisiting the ResNet Model", paper="arXiv 1611.10080", year=2016)
