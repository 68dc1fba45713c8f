"""Class-conditional inference and the activation-aware mask refinement loss: image tags and saliency."""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import (
    CLASSIFIER,
    TAGS,
    BackboneRecord,
    Card,
    Claim,
    GeneratorRecord,
    MethodRecord,
    Need,
    Reported,
    Round,
    SegmenterRecord,
    SharedStage,
    Supervision,
    Use,
    hookimpl,
)
from wsss_class_conditional.params import InferenceParams, MethodParams, RefinementParams

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

_INFERENCE = Card(
    "Class-conditional response maps",
    paper=_PAPER,
    year=2022,
    notes="A wrapper of any CAM classifier; trains nothing. Checked against the released code (InferCam, 96ba7d8).",
)
_REFINEMENT = Card(
    "Activation aware mask refinement (AMR) loss",
    paper=_PAPER,
    year=2022,
    reconstruction=True,
    notes="AMR (reconstruction): code of the loss is not public, the form follows the authors' next paper, GETAM, "
    "arXiv 2112.02841. saliency=dataset uses the data set's maps (S); saliency=minimum_barrier computes them from the "
    "image alone (Zhang et al., Minimum Barrier Salient Object Detection at 80 FPS, ICCV 2015), which learns nothing.",
)
_METHOD = Card(
    "Inferring the Class Conditional Response Map",
    paper=_PAPER,
    year=2022,
    reconstruction=True,
    reported=(_reported(0.708, "val"), _reported(0.718, "test")),
    notes="Inference is checked against the released code; the loss of the segmenter is a reconstruction: "
    + _REFINEMENT.notes
    + " With amr=off the supervision is I alone.",
    claims=_CLAIMS,
)

BUILT_IN_SALIENCY = SharedStage(
    name="saliency_minimum_barrier",
    run="wsss_class_conditional.saliency:write_saliency",
)
"""Saliency from the image alone; it sees no supervision."""


_SALIENCY = Need(
    Supervision.SALIENCY,
    instead="set its parameter `amr: 'off'`, or `saliency: minimum_barrier` for maps made from the image",
)


def _needs(params: RefinementParams) -> tuple[Need, ...]:
    return (_SALIENCY,) if params.amr != "off" and params.saliency == "dataset" else ()


def _uses(params: RefinementParams) -> tuple[SharedStage, ...]:
    return (BUILT_IN_SALIENCY,) if params.amr != "off" and params.saliency == "minimum_barrier" else ()


def _rounds(params: MethodParams) -> tuple[Round, ...]:
    generator = Use("class_conditional", params.generator())
    return (Round(generator, segmenter=Use("activation_aware", params.segmenter())),)


@hookimpl
def wsss_generators() -> Iterator[GeneratorRecord]:
    """The response maps."""
    yield GeneratorRecord(
        "class_conditional",
        "wsss_class_conditional.generator:ClassConditional",
        params=InferenceParams,
        needs=(TAGS,),
        uses=(CLASSIFIER,),
        reads=("cam",),
        card=_INFERENCE,
        summary="CAMs of overlapping patches, again after erasing what was found",
    )


@hookimpl
def wsss_segmenters() -> Iterator[SegmenterRecord]:
    """The protocol's segmenter with the AMR loss."""
    yield SegmenterRecord(
        "activation_aware",
        "wsss_class_conditional.refinement:ActivationAware",
        params=RefinementParams,
        needs=_needs,
        uses=_uses,
        card=_REFINEMENT,
        summary="adds a loss on saliency completed by strong activations (reconstruction)",
    )


@hookimpl
def wsss_methods() -> Iterator[MethodRecord]:
    """One round: class_conditional, then activation_aware."""
    yield MethodRecord(
        "class_conditional",
        _rounds,
        params=MethodParams,
        card=_METHOD,
        summary="class-conditional response maps, segmenter with the AMR loss (reconstruction)",
    )


@hookimpl
def wsss_backbones() -> Iterator[BackboneRecord]:
    """The classifier network of the paper."""
    yield BackboneRecord(
        "resnet38",
        factory="wsss_class_conditional.resnet38:resnet38",
        summary="WideResNet-38 as in PSA and InferCam, 105 M parameters",
        card=Card("Wider or Deeper: Revisiting the ResNet Model", paper="arXiv 1611.10080", year=2016),
        channels=(128, 256, 512, 1024, 2048, 4096),
        output_strides=(8,),
    )
