"""The check reports every defect at once, and what is odd but no defect as a notice."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from harness.contract import Box
from harness.data.check_report import SizeCount, causes
from harness.data.checking import check
from harness.data.params import SyntheticParams
from harness.data.synthetic import SyntheticDataset
from harness.data.voc import VocDataset


def test_a_sound_data_set_is_clean_and_counted(voc: Any) -> None:
    report = check(VocDataset(voc.params()))
    assert report.clean
    train = report.splits[0]
    cat = train.classes[1]
    assert (train.split, train.images, train.ignored_pixels) == ("train", 3, 3 * 16)
    assert (cat.name, cat.images, cat.tagged, cat.boxes) == ("cat", 3, 3, 5)
    pixels = sum(count.pixels for count in train.classes) + train.ignored_pixels
    assert pixels == 3 * 12 * 16
    assert [(notice.split, notice.message) for notice in report.notices] == []


def test_every_defect_is_found_in_one_go(voc: Any) -> None:
    voc.list("train.txt", "a\nb\nc\nq\na\n")
    voc.mask("a", np.full((12, 16), 77, dtype=np.uint8))
    voc.mask("b", np.zeros((3, 3), dtype=np.uint8))
    image = voc.root / "JPEGImages" / "c.jpg"
    image.write_bytes(image.read_bytes()[:200])
    (voc.root / "SegmentationClass" / "d.png").unlink()
    report = check(VocDataset.lenient(voc.params()))
    found = {(defect.split, defect.kind, defect.image_id) for defect in report.defects}
    assert found == {
        ("train", "list", "a"),
        ("train", "image", "q"),
        ("train", "mask", "q"),
        ("train", "mask", "a"),
        ("train", "mask", "b"),
        ("train", "image", "c"),
        ("val", "mask", "d"),
    }
    assert all(str(voc.root) in defect.message for defect in report.defects)
    assert json.loads(json.dumps(report.as_dict()))["clean"] is False


def test_tags_that_the_mask_contradicts_and_absent_classes_are_notices(voc: Any) -> None:
    images = [{"id": image_id, "tags": ["person"] if image_id == "a" else ["cat"]} for image_id in "abcd"]
    (voc.root / "tags.json").write_text(json.dumps({"images": images}))
    voc.mask("d", np.zeros((12, 16), dtype=np.uint8))
    report = check(VocDataset(voc.params(tags="tags.json")))
    assert report.clean
    messages = [notice.message for notice in report.notices]
    assert "image 'a': tagged person, but the mask shows none" in messages
    assert "image 'a': cat not tagged" in messages
    assert "no mask of val shows cat, person" in messages


def test_masks_of_0_and_255_alone_are_told_how_they_are_read(voc: Any) -> None:
    for image_id in "abcd":
        plane = np.zeros((12, 16), dtype=np.uint8)
        plane[2:6, 3:9] = 255
        voc.mask(image_id, plane)
    images = [{"id": image_id, "tags": ["person", "cat"]} for image_id in "abcd"]
    (voc.root / "tags.json").write_text(json.dumps({"images": images}))
    messages = [notice.message for notice in check(VocDataset(voc.params(tags="tags.json"))).notices]
    hint = ", and 255 is ignored; the reader 'folder' takes masks of 0 and 255, as 'format: binary'"
    assert f"no mask of val shows cat, person{hint}" in messages


def test_an_empty_list_is_a_defect(voc: Any) -> None:
    voc.list("val.txt", "")
    report = check(VocDataset.lenient(voc.params()))
    assert [defect.message.split(": ")[1] for defect in report.defects] == ["the list is empty"]


def test_the_auxiliary_data_set_is_checked_too(voc: Any) -> None:
    voc.list("aux.txt", "b\nq\n")
    auxiliary = {"name": "x", "root": str(voc.root), "train": "aux.txt", "classes": {"background": [0, 8], "bear": 15}}
    report = check(VocDataset.lenient(voc.params(classes={"background": [0, 15], "cat": 8}, auxiliary=auxiliary)))
    assert report.splits[-1].split == "auxiliary train"
    assert {defect.split for defect in report.defects} == {"auxiliary train"}


class Wrong(SyntheticDataset):
    """A reader with mistakes of its own."""

    def boxes(self, image_id: str) -> tuple[Box, ...]:
        return (Box(1, 0, 0, 99, 5),)

    def mask(self, image_id: str) -> np.ndarray:
        return np.full((32, 32), 9, dtype=np.uint8)

    def tags(self, image_id: str) -> tuple[int, ...]:
        return (0,)

    def saliency(self, image_id: str) -> np.ndarray:
        return np.zeros((3, 3), dtype=np.float32)


def test_a_reader_that_breaks_the_contract_is_caught() -> None:
    report = check(Wrong(SyntheticParams(train=1, val=1, size=32)))
    assert {defect.kind for defect in report.defects} == {"boxes", "mask", "tags", "saliency"}


def test_progress_counts_every_image(voc: Any) -> None:
    steps: list[tuple[int, int]] = []
    check(VocDataset(voc.params()), progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("kinds", [1, 20])
def test_the_synthetic_data_set_is_clean(kinds: int) -> None:
    assert check(SyntheticDataset(SyntheticParams(train=4, val=2, size=48, classes=kinds, auxiliary_classes=2))).clean


def test_images_with_short_names_have_the_same_cause(voc: Any) -> None:
    voc.mask("a", np.full((12, 16), 77, dtype=np.uint8))
    voc.mask("b", np.full((12, 16), 78, dtype=np.uint8))
    voc.mask("d", np.full((12, 16), 77, dtype=np.uint8))
    found = causes(check(VocDataset(voc.params())).defects)
    assert [[defect.image_id for defect in alike] for alike in found] == [["a", "b"], ["d"]]


def test_sizes_and_an_image_of_each_class_are_in_the_report(voc: Any) -> None:
    voc.image("b", size=(20, 30))
    voc.mask("b", np.full((20, 30), 15, dtype=np.uint8))
    train = check(VocDataset(voc.params())).splits[0]
    assert train.sizes == (SizeCount(12, 16, 2), SizeCount(20, 30, 1))
    assert "b" in train.examples  # the one image of a person
