"""SEAM (Wang et al., CVPR 2020): a classifier whose maps must agree with those of the image at another scale.

Hooks import the card, so that what the paper reports is no part of the code of a stage.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import TAGS, GeneratorRecord, MethodRecord, hookimpl
from wsss_seam.params import SeamParams, rounds, uses


@hookimpl
def wsss_generators() -> Iterator[GeneratorRecord]:
    """The generator: two views of each image, one network, and pixel correlation behind its maps."""
    from wsss_seam.card import CARD

    yield GeneratorRecord(
        "seam",
        "wsss_seam.generator:Seam",
        params=SeamParams,
        needs=(TAGS,),
        uses=uses,
        reads=("backbone", "classifier", "cam"),
        fits=True,
        card=CARD,
        summary="CAMs that agree between two scales, spread over cells that look alike",
    )


@hookimpl
def wsss_methods() -> Iterator[MethodRecord]:
    """One round without a refiner; the paper puts AffinityNet behind it."""
    from wsss_seam.card import CARD

    summary = "self-supervised equivariant attention"
    yield MethodRecord("seam", rounds, params=SeamParams, card=CARD, summary=summary)
