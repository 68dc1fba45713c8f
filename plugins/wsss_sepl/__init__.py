"""SEPL (Chen et al., 2023): pseudo labels take the outlines of class-agnostic masks, SAM's for example, given as files.

Hooks import the card, so that what the paper claims is no part of the code of a stage.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import RefinerRecord, hookimpl
from wsss_sepl import params


@hookimpl
def wsss_refiners() -> Iterator[RefinerRecord]:
    """The merging rule, behind any generator."""
    from wsss_sepl.card import CARD

    yield RefinerRecord(
        "sepl",
        "wsss_sepl.refiner:Sepl",
        params=params.SeplParams,
        check="wsss_sepl.refiner:check",
        pretrained=params.pretrained,
        card=CARD,
        summary="labels take the outlines of class-agnostic masks (SAM's, for example) that lie in files",
    )
