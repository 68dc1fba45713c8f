"""The built-in data sets, registered like those of any other plugin."""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import Card, DatasetRecord, hookimpl
from harness.data.folder_params import FolderParams
from harness.data.params import CityscapesParams, CocoParams, SyntheticParams, VocParams


@hookimpl
def wsss_datasets() -> Iterator[DatasetRecord]:
    """VOC and COCO layout, Cityscapes, generated images."""
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
        "folder",
        factory="harness.data.folder:FolderDataset",
        params=FolderParams,
        summary="folders of images; labels as tools write them: CSV, JSON, VOC, YOLO, COCO, labelme, CVAT, PNG",
    )
    yield DatasetRecord(
        "coco",
        factory="harness.data.coco:CocoDataset",
        params=CocoParams,
        card=Card("COCO layout", paper="Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014", year=2014),
        summary="folders of images, one instances file per split; needs the extra coco (pycocotools)",
    )
    yield DatasetRecord(
        "cityscapes",
        factory="harness.data.cityscapes:CityscapesDataset",
        params=CityscapesParams,
        card=Card(
            "Cityscapes",
            paper="Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding, CVPR 2016",
            year=2016,
        ),
        summary="gtFine as distributed; all 19 classes, or vehicles and persons; boxes from instances",
    )
    yield DatasetRecord(
        "synthetic",
        factory="harness.data.synthetic:SyntheticDataset",
        params=SyntheticParams,
        summary="generated images with exact masks; no download",
        show_images=True,
    )
