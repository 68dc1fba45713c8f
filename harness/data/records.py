"""The built-in data sets, registered like those of any other plugin."""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import Card, DatasetRecord, hookimpl
from harness.data.params import SyntheticParams, VocParams


@hookimpl
def wsss_datasets() -> Iterator[DatasetRecord]:
    """VOC layout and generated images."""
    yield DatasetRecord(
        "voc",
        factory="harness.data.voc:VocDataset",
        params=VocParams,
        card=Card(
            "PASCAL VOC layout",
            paper="Everingham et al., The PASCAL Visual Object Classes Challenge: A Retrospective, IJCV 2015",
            year=2015,
        ),
        summary="images, palette masks, id lists; boxes and tags from masks, VOC XML or JSON",
    )
    yield DatasetRecord(
        "synthetic",
        factory="harness.data.synthetic:SyntheticDataset",
        params=SyntheticParams,
        summary="generated images with exact masks; no download",
        show_images=True,
    )
