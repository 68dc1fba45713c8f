"""The built-in refiners, registered like those of any other plugin."""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import Card, RefinerRecord, hookimpl
from harness.maps.params import DenseCrfParams
from harness.maps.refiners_guided import GUIDED_FILTER


@hookimpl
def wsss_refiners() -> Iterator[RefinerRecord]:
    """Dense CRF and guided filter."""
    yield RefinerRecord(
        "dense_crf",
        factory="harness.maps.refiners:DenseCrfRefiner",
        params=DenseCrfParams,
        card=Card(
            "Fully connected CRF",
            paper="Kraehenbuehl and Koltun, Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials, "
            "NeurIPS 2011",
            year=2011,
        ),
        summary="snaps labels to the image's edges; works on soft scores, else on the labels",
    )
    yield GUIDED_FILTER
