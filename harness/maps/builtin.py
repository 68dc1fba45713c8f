"""The records of the built-in refiners. Importing this module loads neither numpy nor torch."""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import Card, RefinerRecord, hookimpl
from harness.maps.params import DenseCrfParams, GuidedFilterParams


@hookimpl
def wsss_refiners() -> Iterator[RefinerRecord]:
    """Dense CRF and guided filter."""
    yield RefinerRecord(
        "dense_crf",
        factory="harness.maps.refiners:DenseCrfRefiner",
        params=DenseCrfParams,
        reads=("cam",),
        card=Card(
            "Fully connected CRF",
            paper="Kraehenbuehl and Koltun, Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials, "
            "NeurIPS 2011",
            year=2011,
        ),
        summary="snaps labels to the image's edges; works on soft scores, else on the labels",
    )
    yield RefinerRecord(
        "guided_filter",
        factory="harness.maps.refiners:GuidedFilterRefiner",
        params=GuidedFilterParams,
        reads=("cam",),
        card=Card("Guided image filtering", paper="He, Sun and Tang, Guided Image Filtering, ECCV 2010", year=2010),
        summary="gives labels the structure of the image; works on soft scores, else on the labels",
    )
