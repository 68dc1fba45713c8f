"""Self-guided dense annotations: affinity walk and guided filter, image tags alone.

Hooks import the card, so that what the paper claims is no part of the code of a stage.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import TAGS, GeneratorRecord, MethodRecord, hookimpl
from wsss_self_guided.params import SelfGuidedParams, rounds, uses


@hookimpl
def wsss_generators() -> Iterator[GeneratorRecord]:
    """The generator: warm-up is the protocol's classifier, then it trains on its own refined maps."""
    from wsss_self_guided.card import CARD

    yield GeneratorRecord(
        "self_guided",
        "wsss_self_guided.generator:SelfGuided",
        params=SelfGuidedParams,
        needs=(TAGS,),
        uses=uses,
        reads=("backbone", "classifier", "cam"),
        fits=True,
        trains_backbone=lambda params: params.alternation,
        card=CARD,
        summary="class maps refined by affinity walk and guided filter, alternating with training",
    )


@hookimpl
def wsss_methods() -> Iterator[MethodRecord]:
    """One round: the generator's final labels train the protocol's segmenter."""
    from wsss_self_guided.card import CARD

    yield MethodRecord(
        "self_guided", rounds, params=SelfGuidedParams, card=CARD, summary="self-guided dense annotations"
    )
