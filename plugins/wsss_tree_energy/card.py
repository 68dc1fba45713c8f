"""The papers: where they stand, what they report and what they claim."""

from __future__ import annotations

from harness.contract import Card, Claim, Reported

_README = "README of github.com/megvii-research/TreeEnergyLoss"
_LIST = "gyguo/awesome-weakly-supervised-semantic-segmentation"
_PAPER = "arXiv 2203.10739"


def _tree(value: float, backbone: str, labels: str) -> Reported:
    source = f"{_README}; {labels}, several scales at test time, checkpoint chosen on val"
    return Reported(value, "val mIoU", "voc2012", "val", source, backbone=backbone, init="ImageNet-1k", crf=False)


TREE_ENERGY = Card(
    "Tree Energy Loss: Towards Sparsely Annotated Semantic Segmentation",
    paper="Liang, Wang, Zhang, Sun, Shen, CVPR 2022, arXiv 2203.10739",
    year=2022,
    licence="own code; the released one is Apache-2.0",
    reported=(
        _tree(0.776, "DeepLabV3+ ResNet101", "scribbles"),
        _tree(0.774, "LTF ResNet101", "scribbles"),
        _tree(0.654, "DeepLabV3+ ResNet101", "points"),
        _tree(0.680, "LTF ResNet101", "points"),
    ),
    notes="The reported numbers are those of the checkpoint that is best on the validation images; ours are those of "
    "the last one. The released code takes the tree's colours from the image before its colour jitter, ours are those "
    "of the training view. Padding has no part in the trees; preset 'official' lets them run through it.",
    claims=(
        Claim("tree_energy", "partial_ce", _PAPER, text="The loss helps on scribbles."),
        Claim("tree_energy_points", "partial_ce_points", _PAPER, text="The loss helps on points."),
        Claim("tree_energy", "tree_energy_points", _PAPER, text="Scribbles teach more than points."),
        Claim("tree_energy", "tree_energy_low", _PAPER, text="The tree of features helps behind that of colours."),
        Claim("tree_energy", "tree_energy_high_low", _PAPER, text="Colours first, then features, is the better order."),
    ),
)

WHATS_THE_POINT = Card(
    "What's the Point: Semantic Segmentation with Point Supervision",
    paper="Bearman, Russakovsky, Ferrari, Fei-Fei, ECCV 2016, arXiv 1506.02106",
    year=2016,
    reconstruction=True,
    licence="own code, from the formulas; no released code was read",
    reported=(Reported(0.461, "val mIoU", "voc2012", "val", f"{_LIST}; with objectness", backbone="FCN-VGG16"),),
    notes="Background points take the place of the objectness prior, which without them is all that says what is "
    "background. 'objectness' adds a prior from saliency, not from the paper's detector.",
    claims=(
        Claim("whats_the_point", "partial_ce_points", "arXiv 1506.02106", text="Image-level terms help on points."),
    ),
)

PARTIAL = Card("Cross entropy on the labelled pixels alone", notes="The reference row of points and of scribbles.")
