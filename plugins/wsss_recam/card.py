"""The paper: what it reports and what it claims."""

from __future__ import annotations

from harness.contract import Card, Claim, Reported

_TABLE = "wizwand.com table of the paper's results"
_BACKBONE = "DeepLabV2-ResNet101"


def _final(value: float, dataset: str, split: str) -> Reported:
    return Reported(value, f"{split} mIoU", dataset, split, _TABLE, backbone=_BACKBONE, init="ImageNet-1k")


def _pseudo(right: str, text: str) -> Claim:
    return Claim("recam", right, "paper", metric="pseudo-label mIoU", setting="VOC 2012 train", text=text)


CARD = Card(
    "Class Re-Activation Maps for Weakly-Supervised Semantic Segmentation",
    paper="Chen, Wang, Wu, Hua, Zhang, Sun, CVPR 2022, arXiv 2203.00962",
    year=2022,
    licence="own code; the released one is MIT",
    reported=(_final(0.685, "voc2012", "val"), _final(0.684, "voc2012", "test"), _final(0.450, "coco2014", "val")),
    notes="Reported numbers are those of maps behind IRN, with an affinity network and a random walk. Without them "
    "the row is the maps alone. Loss, gradients and maps are checked against the released code (2bdbcd2).",
    claims=(
        _pseudo("cam", "re-activated maps are better labels than the CAMs they come from"),
        _pseudo("recam_first", "the product of both weights is better than the first classifier's alone"),
        _pseudo("recam_second", "the product of both weights is better than the second classifier's alone"),
        _pseudo("recam_no_softmax", "the softmax loss is better than the same classifier trained as much longer"),
    ),
)
