"""The paper: where it stands, what it reports and what it claims."""

from __future__ import annotations

from harness.contract import Card, Claim, Reported

_ABSTRACT = "abstract of arXiv 2108.12995"
_LIST = "gyguo/awesome-weakly-supervised-semantic-segmentation, and Table 3 of the MARS paper (arXiv 2304.09913)"
_ISSUE_7 = "author, github.com/Eli-YiLi/PMM issue 7"
_ISSUE_13 = "user quoting Table 2 of the paper, github.com/Eli-YiLi/PMM issue 13"
_CODE = "released configurations, github.com/Eli-YiLi/PMM and Eli-YiLi/WSSS_MMSeg"


def _final(value: float, dataset: str, split: str, source: str, backbone: str | None) -> Reported:
    return Reported(value, "val mIoU", dataset, split, source, backbone=backbone, init="ImageNet-1k")


def _cams(value: float, backbone: str) -> Reported:
    return Reported(value, "pseudo-label mIoU", "voc2012", "val (of CAMs)", _ISSUE_7, backbone=backbone, crf=False)


CARD = Card(
    "Pseudo-mask Matters in Weakly-supervised Semantic Segmentation",
    paper="Li, Liu, Liu, Chen, Zhang, ICCV 2021, arXiv 2108.12995",
    year=2021,
    reconstruction=True,
    licence="own code; the released one is MIT (PMM) and Apache-2.0 (WSSS_MMSeg)",
    reported=(
        _final(0.685, "voc2012", "val", _LIST, "WideResNet38"),
        _final(0.690, "voc2012", "test", _LIST, "WideResNet38"),
        _final(0.700, "voc2012", "val", _ABSTRACT, "Res2Net101"),
        _final(0.705, "voc2012", "test", _LIST, "Res2Net101"),
        _final(0.402, "coco2014", "val", _ABSTRACT, None),
        _final(0.367, "coco2014", "val", _LIST, "WideResNet38"),
        _cams(0.5393, "WideResNet38"),
        _cams(0.5490, "Res2Net101"),
        _cams(0.5781, "ScaleNet101"),
        Reported(0.6149, "pseudo-label mIoU", "voc2012", "val (of masks)", _ISSUE_13, backbone="ScaleNet101", crf=True),
    ),
    notes="Numbers of pseudo labels were measured on VOC val with its image tags, not on the training images. Final "
    "numbers: the released configurations test at several scales, flipped, with a dense CRF; which of it a printed "
    "number used is not confirmed. Components were not ablated in public. The follow-up URN by the same first "
    "author states that the treatment of noise does not help on COCO nor on refined masks. Reconstruction: pixel "
    "correlation comes from the shared classifier without SEAM's training (pcm: false leaves it out).",
    claims=(
        Claim(
            "cvs_pmg",
            "cam",
            _ISSUE_7 + "; " + _ISSUE_13,
            size=0.0368,
            metric="pseudo-label mIoU",
            setting="VOC val, ScaleNet101; perhaps not the same CAMs",
            text="CVS and PMG make better masks than the best threshold of the same CAMs (57.81 -> 61.49).",
        ),
        Claim("cvs_pmg", "cvs_crf", _CODE, metric="pseudo-label mIoU", text="PMG helps after CVS."),
        Claim("cvs_pmg", "pmg", _CODE, metric="pseudo-label mIoU", text="CVS helps before PMG."),
        Claim(
            "pcm_cvs_pmg_puf", "pcm_cvs_pmg", _CODE, setting="VOC", text="PUF trains a better segmenter on PMG masks."
        ),
        Claim("pseudo_mask_matters", "pcm_cvs_pmg_puf", _CODE, setting="VOC", text="One cycle of relabelling helps."),
    ),
)
