"""What the paper reports and claims."""

from __future__ import annotations

from harness.contract import Card, Claim, Reported

_SOURCE = "arXiv 2203.02664"
_SETTING = "voc2012, MiT-B1"
CARD = Card(
    "Learning Affinity from Attention: End-to-End Weakly-Supervised Semantic Segmentation with Transformers",
    paper="Ru et al., CVPR 2022, arXiv 2203.02664",
    year=2022,
    reported=(
        Reported(0.660, "val mIoU", "voc2012", "val", _SOURCE, backbone="MiT-B1", init="ImageNet-1k", crf=True),
        Reported(0.663, "test mIoU", "voc2012", "test", _SOURCE, backbone="MiT-B1", init="ImageNet-1k", crf=True),
        Reported(0.389, "val mIoU", "coco2014", "val", _SOURCE, backbone="MiT-B1", init="ImageNet-1k", crf=True),
    ),
    notes=(
        "The reported numbers are of several scales and a CRF at test time, and of a checkpoint chosen on the "
        "validation split (18,000 of 20,000 iterations). Without CRF and without the regularised loss, which the "
        "released script leaves out, the authors name 62.6 in their repository."
    ),
    claims=(
        Claim("afa", "cam", f"implied by {_SOURCE}", setting=_SETTING, text="One stage beats thresholded CAMs."),
        Claim(
            "afa",
            "afa_maps_alone",
            f"implied by {_SOURCE}",
            setting=_SETTING,
            text="Affinity and pixel-adaptive refinement make better labels than the network's own maps.",
        ),
        Claim(
            "afa",
            "afa_without_affinity",
            f"implied by {_SOURCE}",
            setting=_SETTING,
            text="Labels of the walk are better than those of the refined maps.",
        ),
        Claim(
            "afa",
            "afa_without_refinement",
            f"implied by {_SOURCE}",
            setting=_SETTING,
            text="Pixel-adaptive refinement makes the labels better.",
        ),
    ),
)
