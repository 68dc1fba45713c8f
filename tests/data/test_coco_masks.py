"""COCO files of boxes alone, and masks from a folder of PNG."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.contract import ConfigError
from harness.data.checking import check
from harness.data.coco import CocoDataset
from harness.data.files import NoMask
from tests.data.coco_folder import CATEGORIES, CocoFolder, H, W, checked, planned, rectangle

A, B, C = (CocoFolder.image_id("train", number) for number in (9, 25, 30))


@pytest.fixture
def coco(tmp_path: Path) -> CocoFolder:
    return CocoFolder(tmp_path / "coco")


def boxes_alone(coco: CocoFolder, *splits: str) -> None:
    for split in splits:
        for entries in coco.annotations[split].values():
            for number, entry in enumerate(entries):
                entry["segmentation"] = [] if number else None


def test_boxes_alone_give_tags_and_boxes_and_no_mask(coco: CocoFolder) -> None:
    whole = CocoDataset(coco.params())
    expected = whole.tags(A), whole.boxes(A)
    boxes_alone(coco, "train")
    coco.write("train")
    dataset = CocoDataset(coco.params())
    assert (dataset.tags(A), dataset.boxes(A)) == expected
    with pytest.raises(NoMask, match=f"image '{A}' has a box without segmentation, thus no mask"):
        dataset.mask(A)
    assert set(dataset.digests("train")) == {"ids", "images", "tags", "boxes"}
    assert {k: v for k, v in whole.digests("train").items() if k != "masks"} == dataset.digests("train")
    assert set(dataset.digests("val")) == {"ids", "images", "tags", "boxes", "masks"}


def test_what_needs_masks_of_boxes_alone_is_told_which_field_gives_them(coco: CocoFolder) -> None:
    boxes_alone(coco, "train")
    coco.annotations["train"][9][0]["segmentation"] = [[0, 0, 3, 0, 3, 3]]
    sentence = planned(coco)
    assert sentence == (
        f"data set 'coco' has no masks for its train images; in {coco.root}/annotations/instances_train2014.json 3 "
        f"of 3 images have a box without segmentation, for example '{A}'; set the field train_masks to their "
        "folder, or to none"
    )
    report = check(CocoDataset(coco.params()))
    assert [(defect.kind, defect.message) for defect in report.defects] == [("mask", sentence)]


def test_validation_images_without_masks_are_a_defect(coco: CocoFolder) -> None:
    boxes_alone(coco, "val")
    [message] = checked(coco)
    assert "has no masks for its val images" in message


@pytest.mark.parametrize("other", ["background", "ignore"])
def test_boxes_of_other_categories_leave_the_mask_whole_where_they_are_background(coco: CocoFolder, other: str) -> None:
    coco.annotations["train"][30] = [rectangle(1, 1, 1, 9, 9), rectangle(3, 2, 2, 5, 5, segmentation=[])]
    dataset = CocoDataset(coco.params(classes=["person"], other=other, unlabelled="keep"))
    assert ("masks" in dataset.digests("train")) == (other == "background")


def write_masks(coco: CocoFolder) -> dict[str, np.ndarray]:
    planes = {}
    for number, image_id in enumerate((A, B, C)):
        plane = np.zeros((H, W), np.uint8)
        plane[1:4, 1 : 4 + number] = 17
        plane[5:8, 2:5] = 90
        plane[0] = 255
        planes[image_id] = plane
        (coco.root / "png").mkdir(exist_ok=True)
        Image.fromarray(plane).save(coco.root / "png" / f"{image_id}.png")
    return planes


def test_masks_from_a_folder_stand_for_the_outlines(coco: CocoFolder) -> None:
    boxes_alone(coco, "train")
    planes = write_masks(coco)
    dataset = pickle.loads(pickle.dumps(CocoDataset(coco.params(train_masks="png"))))
    assert check(dataset).clean
    expected = np.select([planes[A] == 17, planes[A] == 90, planes[A] == 255], [4, 6, 255], 0)
    np.testing.assert_array_equal(dataset.mask(A), expected)
    assert dataset.boxes(A) == CocoDataset(coco.params()).boxes(A)
    some = CocoDataset(coco.params(train_masks="png", classes=["cat", "person"], other="ignore"))
    np.testing.assert_array_equal(some.mask(A), np.select([planes[A] == 17, planes[A] > 17], [2, 255], 0))
    before = dataset.digests("train")
    Image.fromarray(planes[B]).save(coco.root / "png" / f"{A}.png")
    after = CocoDataset(coco.params(train_masks="png")).digests("train")
    assert {kind for kind in before if before[kind] != after[kind]} == {"masks"}


def test_faulty_masks_of_a_folder_are_named(coco: CocoFolder) -> None:
    write_masks(coco)
    folder = coco.root / "png"
    Image.fromarray(np.full((H, W), 2, np.uint8)).save(folder / f"{A}.png")
    Image.fromarray(np.zeros((H, W - 1), np.uint8)).save(folder / f"{B}.png")
    (folder / f"{C}.png").unlink()
    assert sorted(checked(coco, train_masks="png")) == [
        f"{folder}/{A}.png: image '{A}': mask id 2 is no category of the instances file",
        f"{folder}/{B}.png: 15x12 pixels, but the image {coco.root}/train2014/{B}.jpg has 16x12",
        f"{folder}/{C}.png: no such file",
    ]
    for split in ("train", "val"):
        coco.write(
            split, categories=[{"id": 0, "name": "thing"}, *({"id": n, "name": v} for n, v in CATEGORIES.items())]
        )
    with pytest.raises(ConfigError, match=r"category id 0 \('thing'\) cannot be read from PNG masks"):
        CocoDataset(coco.params(train_masks="png"))
