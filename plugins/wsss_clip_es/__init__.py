"""CLIP-ES (Lin et al., CVPR 2023): activation maps of a frozen CLIP whose weights the user brings; no training.

Hooks import the card, so that what the paper reports is no part of the code of a stage.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import TAGS, GeneratorRecord, MethodRecord, hookimpl
from wsss_clip_es import params


@hookimpl
def wsss_generators() -> Iterator[GeneratorRecord]:
    """Labels from tags, names and CLIP."""
    from wsss_clip_es.card import CARD

    yield GeneratorRecord(
        "clip_es",
        "wsss_clip_es.generator:ClipEs",
        params=params.ClipEsParams,
        needs=(TAGS,),
        reads=("cam",),
        check="wsss_clip_es.generator:check",
        pretrained=params.PRETRAINED,
        card=CARD,
        summary="Grad-CAM of a frozen CLIP against the names of classes, refined by its own attention",
    )


@hookimpl
def wsss_methods() -> Iterator[MethodRecord]:
    """The paper."""
    from wsss_clip_es.card import CARD

    summary = "activation maps of a frozen CLIP; its weights are files of the user"
    yield MethodRecord("clip_es", params.rounds, params=params.ClipEsParams, card=CARD, summary=summary)
