"""The paper: where it stands, what it reports and what it claims."""

from __future__ import annotations

from harness.contract import Card, Claim, Reported

_LIST = "gyguo/awesome-weakly-supervised-semantic-segmentation"
_PAPER = "the paper's table of pseudo labels, quoted from memory"
_ISSUE = "a user, github.com/jiwoon-ahn/irn issue 26"


def _final(value: float, split: str) -> Reported:
    return Reported(value, f"{split} mIoU", "voc2012", split, _LIST, backbone="DeepLabV2-ResNet50", init="ImageNet-1k")


def _labels(value: float, source: str) -> Reported:
    return Reported(value, "pseudo-label mIoU", "voc2012", "train", source, backbone="ResNet50", init="ImageNet-1k")


def _claim(left: str, right: str, text: str) -> Claim:
    return Claim(left, right, "paper", metric="pseudo-label mIoU", setting="VOC 2012 train, ResNet-50", text=text)


CARD = Card(
    "Weakly Supervised Learning of Instance Segmentation with Inter-pixel Relations",
    paper="Ahn, Cho, Kwak, CVPR 2019, arXiv 1904.05044",
    year=2019,
    licence="own code; the released one is MIT",
    reported=(_final(0.635, "val"), _final(0.648, "test"), _labels(0.665, _PAPER), _labels(0.660, _ISSUE)),
    notes="The semantic branch alone, behind any generator of soft scores. Checked against the released code "
    "(a2ece00): pairs, losses with gradients, walk, seeds. Levels of the protocol's backbone stand for the taps of "
    "ResNet-50, whose stem is not offered. Reported labels were made with thresholds that were chosen by pixel labels "
    "of the training images.",
    claims=(
        _claim("irn", "cam", "The walk inside learned boundaries gives better labels than the maps it starts from."),
        _claim("irn", "cam_walk", "Learned boundaries guide the walk better than features do."),
        _claim("irn", "irn_no_walk", "The walk is what helps."),
        _claim("irn", "irn_no_crf", "Seeds behind a dense CRF teach better boundaries than thresholded ones."),
    ),
)
