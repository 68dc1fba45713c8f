"""IRN (Ahn, Cho and Kwak, CVPR 2019): learned boundaries between pixels, and the walk inside them, behind any scores.

Hooks import the card, so that what the paper reports is no part of the code of a stage.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import MethodRecord, RefinerRecord, hookimpl
from wsss_irn import params


@hookimpl
def wsss_refiners() -> Iterator[RefinerRecord]:
    """The refiner."""
    from wsss_irn.card import CARD

    yield RefinerRecord(
        "irn",
        "wsss_irn.refiner:Irn",
        params=params.IrnParams,
        uses=params.uses,
        reads=("backbone", "classifier", "cam"),
        fits=True,
        card=CARD,
        summary="learns boundaries from confident pixels of any soft scores, then spreads the scores inside them",
    )


@hookimpl
def wsss_methods() -> Iterator[MethodRecord]:
    """The refiner behind plain class activation maps."""
    from wsss_irn.card import CARD

    summary = "class activation maps, spread by a random walk inside learned boundaries"
    yield MethodRecord("irn", params.rounds, params=params.IrnParams, card=CARD, summary=summary)
