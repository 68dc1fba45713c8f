"""The paper: what it reports and what it claims."""

from __future__ import annotations

from harness.contract import Card, Claim, Reported

_LIST = "gyguo/awesome-weakly-supervised-semantic-segmentation"


def _final(value: float, split: str) -> Reported:
    return Reported(value, f"{split} mIoU", "voc2012", split, _LIST, backbone="ResNet38", init="ImageNet-1k")


def _pseudo(left: str, right: str, text: str) -> Claim:
    return Claim(left, right, "paper", metric="pseudo-label mIoU", setting="VOC 2012 train, ResNet38", text=text)


CARD = Card(
    "Self-Supervised Equivariant Attention Mechanism for Weakly Supervised Semantic Segmentation",
    paper="Wang, Zhang, Kan, Shan, Chen, CVPR 2020, arXiv 2004.04581",
    year=2020,
    licence="own code; the released one is MIT",
    reported=(_final(0.645, "val"), _final(0.657, "test")),
    notes="Reported numbers are those of maps behind AffinityNet and a random walk. Without them the row is the maps "
    "alone. Head, losses and gradients are checked against the released code (3212261).",
    claims=(
        _pseudo("seam", "cam", "equivariant maps are better labels than plain CAMs"),
        _pseudo("seam_no_pcm", "cam", "regularisation without pixel correlation is better than plain CAMs"),
        _pseudo("seam", "seam_no_pcm", "pixel correlation improves the maps"),
        _pseudo("seam", "seam_no_ecr", "cross regularisation improves the maps"),
    ),
)
