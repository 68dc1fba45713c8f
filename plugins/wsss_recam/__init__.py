"""ReCAM (Chen et al., CVPR 2022): a classifier trained further with softmax cross-entropy makes the class maps.

Hooks import the card, so that what the paper reports is no part of the code of a stage.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import CLASSIFIER, TAGS, GeneratorRecord, MethodRecord, hookimpl
from wsss_recam.params import RecamParams, rounds


@hookimpl
def wsss_generators() -> Iterator[GeneratorRecord]:
    """The generator: the protocol's classifier, trained further together with a second one."""
    from wsss_recam.card import CARD

    yield GeneratorRecord(
        "recam",
        "wsss_recam.generator:Recam",
        params=RecamParams,
        needs=(TAGS,),
        uses=(CLASSIFIER,),
        reads=("backbone", "classifier", "cam"),
        fits=True,
        card=CARD,
        summary="CAMs re-activated by a second classifier, which tells tagged classes apart by softmax",
    )


@hookimpl
def wsss_methods() -> Iterator[MethodRecord]:
    """One round without a refiner; the paper puts IRN behind it."""
    from wsss_recam.card import CARD

    yield MethodRecord("recam", rounds, params=RecamParams, card=CARD, summary="class re-activation maps")
