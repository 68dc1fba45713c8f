"""Class-conditional inference and the activation-aware mask refinement loss: image tags and saliency.

Hooks import the cards, so that what a paper reports is no part of the code of a stage.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import CLASSIFIER, TAGS, BackboneRecord, GeneratorRecord, MethodRecord, SegmenterRecord, hookimpl
from wsss_class_conditional.params import InferenceParams, MethodParams, RefinementParams, needs, rounds, uses


@hookimpl
def wsss_generators() -> Iterator[GeneratorRecord]:
    """The response maps."""
    from wsss_class_conditional.card import INFERENCE

    yield GeneratorRecord(
        "class_conditional",
        "wsss_class_conditional.generator:ClassConditional",
        params=InferenceParams,
        needs=(TAGS,),
        uses=(CLASSIFIER,),
        reads=("cam",),
        card=INFERENCE,
        summary="CAMs of overlapping patches, again after erasing what was found",
    )


@hookimpl
def wsss_segmenters() -> Iterator[SegmenterRecord]:
    """The protocol's segmenter with the AMR loss."""
    from wsss_class_conditional.card import REFINEMENT

    yield SegmenterRecord(
        "activation_aware",
        "wsss_class_conditional.segmenter:ActivationAware",
        params=RefinementParams,
        needs=needs,
        uses=uses,
        card=REFINEMENT,
        summary="adds a loss on saliency completed by strong activations (reconstruction)",
    )


@hookimpl
def wsss_methods() -> Iterator[MethodRecord]:
    """One round: class_conditional, then activation_aware."""
    from wsss_class_conditional.card import METHOD

    yield MethodRecord(
        "class_conditional",
        rounds,
        params=MethodParams,
        card=METHOD,
        summary="class-conditional response maps, segmenter with the AMR loss (reconstruction)",
    )


@hookimpl
def wsss_backbones() -> Iterator[BackboneRecord]:
    """The classifier network of the paper."""
    from wsss_class_conditional.card import BACKBONE

    yield BackboneRecord(
        "resnet38",
        factory="wsss_class_conditional.resnet38:resnet38",
        summary="WideResNet-38 as in PSA and InferCam, 105 M parameters",
        card=BACKBONE,
        channels=(128, 256, 512, 1024, 2048, 4096),
        output_strides=(8,),
    )
