"""The paper, what its authors report, and what it claims."""

from __future__ import annotations

from harness.contract import Card, Claim, Reported

_README = "README of linyq2117/CLIP-ES"
_SETTING = "VOC 2012, CLIP ViT-B/16"


def _val(value: float, split: str, init: str) -> Reported:
    return Reported(value, "val mIoU", "voc2012", split, _README, backbone="DeepLab v2, ResNet-101", init=init)


CARD = Card(
    "CLIP is Also an Efficient Segmenter: A Text-Driven Approach for Weakly Supervised Semantic Segmentation (CLIP-ES)",
    paper="Lin, Chen, Wang, Wu, Li, Lin, Liu, He, CVPR 2023, arXiv 2212.09506",
    year=2023,
    licence="the authors' code is MIT",
    reported=(
        Reported(0.708, "pseudo-label mIoU", "voc2012", "train", _README, backbone="CLIP ViT-B/16", crf=False),
        Reported(0.750, "pseudo-label mIoU", "voc2012", "train", _README, backbone="CLIP ViT-B/16", crf=True),
        _val(0.711, "val", "ImageNet"),
        _val(0.714, "test", "ImageNet"),
        _val(0.738, "val", "COCO"),
        _val(0.739, "test", "COCO"),
        Reported(0.454, "val mIoU", "coco2014", "val", _README),
    ),
    notes=(
        "CLIP saw 400 million images with texts, images and names like those of VOC and COCO among them. One user got "
        "71.1 in place of 75.0 for the labels until the CRF was installed anew (issue 9 of the repository)."
    ),
    claims=(
        Claim(
            "clip_es",
            "clip_es_logits",
            "section 3.2",
            metric="pseudo-label mIoU",
            setting=_SETTING,
            text="The gradient of a softmax over classes and background beats that of the logits.",
        ),
        Claim(
            "clip_es",
            "clip_es_no_attention",
            "section 3.4; 49.1 against 70.7 by a user in issue 9",
            metric="pseudo-label mIoU",
            setting=_SETTING,
            text="Class-aware attention affinity improves the maps.",
        ),
        Claim(
            "clip_es",
            "clip_es_all_pixels",
            "section 3.5",
            setting=_SETTING,
            text="Ignoring pixels of small confidence gives a better segmenter.",
        ),
    ),
)
