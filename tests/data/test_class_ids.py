"""A data set says which id its own masks have for each class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.data.cityscapes import CityscapesDataset
from harness.data.coco import CocoDataset
from harness.data.configuration import build_dataset
from harness.data.images import read_plane
from harness.data.voc import VocDataset
from harness.data.wrapped import WrappedDataset
from tests.data.coco_folder import CATEGORIES, CocoFolder
from tests.data.test_cityscapes import EVALUATED, A, CityscapesFolder


def test_of_several_mask_ids_of_a_class_the_first_stands_for_it(voc: Any) -> None:
    dataset = VocDataset(voc.params(classes={"background": 0, "both": [15, 8]}))
    assert dataset.class_ids == (0, 15)
    assert WrappedDataset(dataset).class_ids == (0, 15)


def test_classes_of_a_coco_file_have_their_categories(tmp_path: Path) -> None:
    dataset = CocoDataset(CocoFolder(tmp_path / "coco").params())
    assert dataset.class_ids == (0, *CATEGORIES)


@pytest.mark.parametrize("kind", ["labelIds", "labelTrainIds"])
def test_classes_of_cityscapes_have_the_ids_of_the_label_images_that_are_read(tmp_path: Path, kind: str) -> None:
    town = CityscapesFolder(tmp_path / "cityscapes")
    dataset = CityscapesDataset(town.params(label_ids=kind))
    assert dataset.class_ids == (tuple(EVALUATED.values()) if kind == "labelIds" else tuple(range(19)))
    table = np.full(256, 255, np.uint8)
    table[:19] = dataset.class_ids
    written, mask = read_plane(town.path("gtFine", "train", A, f"gtFine_{kind}")), dataset.mask(A)
    np.testing.assert_array_equal(table[mask][mask != 255], written[mask != 255])


def test_without_ids_of_its_own_a_data_set_has_class_indices() -> None:
    assert build_dataset("synthetic", {"classes": 2}, where="test").class_ids == (0, 1, 2)
