"""Splits without masks: how a file says so, what is read of them, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from typer.testing import CliRunner

from harness.cli.main import app
from harness.contract import Box, DataError, NoSupervision
from harness.data.checking import check, refuse_blank
from harness.data.coco import CocoDataset
from harness.data.params import SyntheticParams
from harness.data.synthetic import SyntheticDataset
from harness.data.voc import VocDataset
from tests.data.coco_folder import CocoFolder

KINDS = {"ids", "images", "tags", "boxes", "masks"}
FILES = {"tags": "labels.json", "boxes": "labels.json"}


@pytest.fixture
def annotated(voc: Any) -> Any:
    """The folder with tags and boxes in a JSON file."""
    box = {"cls": "cat", "bbox_xyxy": [1, 1, 5, 4]}
    images = [{"id": image_id, "tags": ["cat"], "boxes": [box]} for image_id in "abcd"]
    (voc.root / "labels.json").write_text(json.dumps({"images": images}))
    return voc


@pytest.mark.parametrize("masks", ["none", None])
def test_a_folder_without_any_masks_gives_images_tags_and_boxes(annotated: Any, masks: str | None) -> None:
    shutil.rmtree(annotated.root / "SegmentationClass")
    dataset = VocDataset(annotated.params(masks=masks, **FILES))
    assert dataset.unmasked == ("train", "val")
    assert [set(dataset.digests(split)) for split in ("train", "val")] == [KINDS - {"masks"}] * 2
    assert (dataset.tags("a"), dataset.boxes("a")) == ((1,), (Box(1, 1, 1, 5, 4),))
    with pytest.raises(NoSupervision, match="data set 'tiny' has no masks for its train images; its file says so"):
        dataset.mask("a")
    refuse_blank(dataset)


def test_the_digests_of_what_is_there_are_those_of_the_data_set_with_masks(annotated: Any) -> None:
    masked, unmasked = (VocDataset(annotated.params(train_masks=masks, **FILES)) for masks in (None, "none"))
    assert unmasked.digests("val") == masked.digests("val")
    before = masked.digests("train")
    assert unmasked.digests("train") == {kind: before[kind] for kind in KINDS - {"masks"}}


def test_a_split_can_have_a_folder_of_masks_of_its_own(annotated: Any) -> None:
    (annotated.root / "ValMasks").mkdir()
    shutil.move(annotated.root / "SegmentationClass" / "d.png", annotated.root / "ValMasks" / "d.png")
    dataset = VocDataset(annotated.params(val_masks="ValMasks", **FILES))
    assert (dataset.unmasked, set(np.unique(dataset.mask("d")))) == ((), {0, 1, 2, 255})


def test_masks_that_are_missing_by_mistake_are_refused_and_the_sentence_says_how_to_mean_it(annotated: Any) -> None:
    shutil.rmtree(annotated.root / "SegmentationClass")
    with pytest.raises(DataError, match=r"SegmentationClass: no such folder \(field masks; 'none' says that there are"):
        VocDataset(annotated.params(**FILES))


def test_some_missing_masks_of_a_split_are_refused(annotated: Any) -> None:
    (annotated.root / "SegmentationClass" / "b.png").unlink()
    with pytest.raises(DataError, match=r"SegmentationClass/b\.png: no such file"):
        VocDataset(annotated.params(**FILES))


def test_tags_and_boxes_that_would_come_from_masks_are_not_there(voc: Any) -> None:
    dataset = VocDataset(voc.params(train_masks="none"))
    assert [set(dataset.digests(split)) for split in ("train", "val")] == [{"ids", "images"}, KINDS]
    with pytest.raises(NoSupervision, match="data set 'tiny': train tags and boxes would come from masks"):
        dataset.boxes("a")
    assert dataset.lacking("train", "boxes").endswith("set the field boxes to 'xml' or to a JSON file")
    report = check(dataset)
    assert report.clean
    assert any("has no tags for its train images; without masks they" in notice.message for notice in report.notices)


def test_boxes_cannot_fall_back_on_masks_that_are_not_there(voc: Any) -> None:
    with pytest.raises(ValidationError, match="fallback_boxes: the val images have no masks"):
        voc.params(boxes="xml", fallback_boxes="masks", val_masks="none")


def test_a_turned_photograph_without_masks_must_say_how_its_boxes_were_drawn(annotated: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (16, 12)).save(annotated.root / "JPEGImages" / "a.jpg", exif=exif)
    with pytest.raises(DataError, match=r"a\.jpg: its EXIF orientation 6 .*, or say exif: stored"):
        VocDataset(annotated.params(train_masks="none", **FILES)).digests("train")
    VocDataset(annotated.params(train_masks="none", exif="stored", **FILES)).digests("train")


@pytest.mark.parametrize("outlined", [True, False])
def test_a_coco_file_says_it_with_or_without_outlines(tmp_path: Path, outlined: bool) -> None:
    coco = CocoFolder(tmp_path / "coco")
    for entries in coco.annotations["train"].values():
        for entry in entries:
            entry["segmentation"] = entry["segmentation"] if outlined else []
    dataset = CocoDataset(coco.params(train_masks="none"))
    assert dataset.unmasked == ("train",)
    assert [set(dataset.digests(split)) for split in ("train", "val")] == [KINDS - {"masks"}, KINDS]
    with pytest.raises(NoSupervision, match="has no masks for its train images; its file says so"):
        dataset.mask(dataset.ids("train")[0])
    assert dataset.mask(dataset.ids("val")[0]).any()
    assert check(dataset).clean


def test_generated_images_can_be_described_as_unmasked_too() -> None:
    masked, unmasked = (
        SyntheticDataset(SyntheticParams(train=2, val=1, size=32, train_masks=masks)) for masks in ("exact", "none")
    )
    image_id = unmasked.ids("train")[0]
    assert (unmasked.tags(image_id), unmasked.boxes(image_id)) == (masked.tags(image_id), masked.boxes(image_id))
    with pytest.raises(NoSupervision, match="'synthetic' has no masks for its train images"):
        unmasked.mask(image_id)
    assert masked.digests("train").keys() - unmasked.digests("train").keys() == {"masks"}


def test_check_shows_dashes_and_says_that_nothing_is_measured(annotated: Any, tmp_path: Path) -> None:
    shutil.rmtree(annotated.root / "SegmentationClass")
    config = tmp_path / "mine.json.yaml"
    params = annotated.params(masks="none", **FILES).model_dump(mode="json", exclude_defaults=True)
    config.write_text(json.dumps({"name": "voc", "params": params}))
    result = CliRunner().invoke(app, ["datasets", "check", str(config)])
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    assert "tiny train: 3 images, no masks" in text
    assert "has no masks for its val images, as it says: nothing is measured on them" in text
    report = json.loads(CliRunner().invoke(app, ["datasets", "check", str(config), "--json"]).stdout)
    cat = report["splits"][0]["classes"][1]
    assert (cat["images"], cat["pixels"], cat["tagged"], cat["boxes"]) == (None, None, 3, 3)
    assert report["splits"][0]["ignored_pixels"] is None
