"""The paper and what it claims; no number of it is publicly confirmed."""

from __future__ import annotations

from harness.contract import Card, Claim

_PAPER = "Xie, Ren, Wang, Zuo, Learning Class-Agnostic Pseudo Mask Generation, arXiv 2103.05463"
CARD = Card(
    "Class-agnostic pseudo-mask generator learned on other classes (LPG)",
    paper=_PAPER,
    year=2021,
    licence="the authors' code is MIT",
    reconstruction=True,
    notes=(
        "Training of the first generator and of the auxiliary segmenters is not in the released code and follows the "
        "same loop here; the overlap rule is our own. No number of the paper is publicly confirmed."
    ),
    claims=(
        Claim(
            "bilevel_box",
            "box_fill",
            "abstract, figure 2; section 11 claim 1",
            metric="pseudo-label mIoU",
            setting="VOC 2012 train",
            text="Labels of the learned generator are better than filled boxes.",
        ),
        Claim(
            "bilevel_box",
            "box_grabcut",
            "abstract; section 11 claim 1",
            metric="pseudo-label mIoU",
            setting="VOC 2012 train",
            text="A learned generator beats generic proposals.",
        ),
        Claim(
            "bilevel_box",
            "bilevel_box_one_round",
            "figure 2; section 11 claim 2",
            setting="VOC 2012 val",
            text="Three rounds give a better segmenter than one.",
        ),
        Claim(
            "bilevel_box",
            "bilevel_box_no_probability",
            "figure 2; section 11 claim 3",
            metric="pseudo-label mIoU",
            setting="VOC 2012 train",
            text="The segmenter's probability helps the generator.",
        ),
        Claim(
            "bilevel_box_unrolled",
            "bilevel_box",
            "section 11 claim 6",
            direction="=",
            metric="pseudo-label mIoU",
            setting="VOC 2012 train",
            text="The alternation needs no hypergradient.",
        ),
    ),
)
