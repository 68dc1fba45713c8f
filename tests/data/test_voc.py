"""A VOC folder is read as it stands, and every defect is one sentence that names the file."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from harness.contract import Box, DataError
from harness.data.voc import VocDataset
from harness.engine.plan.keys import dataset_info


def fails(voc: Any, **changes: Any) -> str:
    with pytest.raises(DataError) as caught:
        VocDataset(voc.params(**changes))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_images_masks_sizes_and_ids(voc: Any) -> None:
    dataset = VocDataset(voc.params())
    assert dataset.ids("train") == ("a", "b", "c")
    assert dataset.ids("val") == ("d",)
    assert dataset.classes == ("background", "cat", "person")
    assert dataset.image("a").shape == (12, 16, 3)
    assert dataset.image("a").dtype == np.uint8
    assert dataset.size("a") == (12, 16)
    assert dataset.auxiliary is None
    assert not dataset.show_images
    mask = dataset.mask("b")
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, np.select([voc.plane(1) == k for k in (8, 15, 255)], [1, 2, 255], 0))


def test_tags_and_boxes_of_masks(voc: Any) -> None:
    dataset = VocDataset(voc.params())
    assert dataset.tags("a") == (1,)
    assert dataset.tags("b") == (1, 2)
    assert dataset.boxes("b") == (Box(1, 1, 1, 5, 4), Box(2, 2, 7, 5, 10))
    assert dataset.boxes("a") == (Box(1, 1, 1, 4, 4), Box(1, 2, 7, 5, 10))


def test_small_components_make_no_box_where_asked(voc: Any) -> None:
    plane = voc.plane(0)
    plane[11, 15] = 8
    voc.mask("a", plane)
    assert len(VocDataset(voc.params()).boxes("a")) == 3
    assert len(VocDataset(voc.params(min_box_pixels=2)).boxes("a")) == 2


def test_grey_and_sixteen_bit_masks_are_read_alike(voc: Any) -> None:
    expected = VocDataset(voc.params()).mask("a")
    path = voc.root / "SegmentationClass" / "a.png"
    for stored in (np.uint8, np.uint16):
        Image.fromarray(voc.plane(0).astype(stored)).save(path)
        np.testing.assert_array_equal(VocDataset(voc.params()).mask("a"), expected)


def test_classes_may_merge_ids_and_ignore_or_drop_the_rest(voc: Any) -> None:
    merged = VocDataset(voc.params(classes={"background": 0, "animal": [8, 15]}))
    assert set(np.unique(merged.mask("b"))) == {0, 1, 255}
    background = VocDataset(voc.params(classes={"background": 0, "cat": 8}, other="background"))
    assert set(np.unique(background.mask("b"))) == {0, 1, 255}
    ignore = VocDataset(voc.params(classes={"background": 0, "cat": 8}, other="ignore"))
    assert (ignore.mask("b")[voc.plane(1) == 15] == 255).all()


def test_an_unknown_mask_id_names_file_image_and_id(voc: Any) -> None:
    dataset = VocDataset(voc.params(classes={"background": 0, "cat": 8}))
    with pytest.raises(DataError, match=r"b\.png: image 'b': mask id 15 is in no class"):
        dataset.mask("b")


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"classes": {"background": 0, "cat": 8, "dog": [8]}}, "mask id 8 belongs to both classes.cat and classes.dog"),
        (
            {"classes": {"background": 0, "cat": 255}, "ignore_ids": [255]},
            "mask id 255 belongs to both ignore_ids and classes.cat",
        ),
        ({"classes": {"background": 0, "cat": 300}}, "mask id 300 of classes.cat lies outside 0..255"),
        ({"names": {"pussycat": "dog"}}, "names.pussycat must be one of the classes"),
    ],
)
def test_contradicting_classes_are_refused(voc: Any, changes: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError, match=part):
        voc.params(**changes)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a\nb\na\n", "train.txt: line 3: a is already on line 1"),
        ("a\n\nb\n", "train.txt: line 2: blank line"),
        ("a\nb\tc d\x01\n", "train.txt: line 2: an id holds no control characters"),
        ("a\n./b\n", "train.txt: line 2: an id has no needless '.' or '/', got './b'"),
        ("a\n../b\n", "train.txt: line 2: an id must stay inside the image folder"),
        ("", "train.txt: the list is empty"),
        ("a\nq\n", "JPEGImages/q.jpg: no such file (nor .jpeg, .png, .tif, .tiff, .bmp, .webp)"),
        ("a\nd\n", "val.txt: d is in the training list too"),
    ],
)
def test_a_bad_list_names_file_and_line(voc: Any, text: str, part: str) -> None:
    voc.list("train.txt", text)
    assert part in fails(voc)


def test_windows_line_ends_and_a_byte_order_mark_are_fine(voc: Any) -> None:
    (voc.root / "train.txt").write_bytes(b"\xef\xbb\xbfa\r\nb\r\n\r\n")
    assert VocDataset(voc.params()).ids("train") == ("a", "b")


def test_missing_files_are_named_when_the_data_set_is_made(voc: Any) -> None:
    assert "none.txt: no such file" in fails(voc, train="none.txt")
    assert "nowhere" in fails(voc, root="/nowhere")
    assert "saliency" in fails(voc, saliency="saliency")
    (voc.root / "SegmentationClass" / "b.png").unlink()
    assert "SegmentationClass/b.png: no such file" in fails(voc)


def test_two_images_of_one_id_are_ambiguous(voc: Any) -> None:
    Image.new("RGB", (16, 12)).save(voc.root / "JPEGImages" / "a.png")
    assert "ambiguous, there are a.jpg and a.png" in fails(voc)


def test_lenient_leaves_out_what_is_defective_and_keeps_the_reasons(voc: Any) -> None:
    (voc.root / "SegmentationClass" / "b.png").unlink()
    voc.list("train.txt", "a\nb\nc\na\n")
    dataset = VocDataset.lenient(voc.params())
    assert dataset.ids("train") == ("a", "c")
    assert [defect.kind for defect in dataset.defects] == ["list", "mask"]


@pytest.mark.parametrize("kept", [0, 20, 0.6])
def test_a_truncated_image_or_mask_is_named(voc: Any, kept: float) -> None:
    dataset = VocDataset(voc.params())
    for path, read in (
        (voc.root / "JPEGImages" / "a.jpg", dataset.image),
        (voc.root / "SegmentationClass" / "a.png", dataset.mask),
    ):
        data = path.read_bytes()
        path.write_bytes(data[: int(kept if kept > 1 else kept * len(data))])
        with pytest.raises(DataError, match=path.name):
            read("a")
        path.write_bytes(data)


def test_a_mask_of_another_size_names_both_files(voc: Any) -> None:
    voc.mask("a", np.zeros((5, 7), dtype=np.uint8))
    with pytest.raises(DataError, match=r"a\.png: 7x5 pixels, but the image .*a\.jpg has 16x12"):
        VocDataset(voc.params()).mask("a")


def test_a_colour_mask_is_refused(voc: Any) -> None:
    voc.mask("a", np.zeros((12, 16, 3), dtype=np.uint8))
    with pytest.raises(DataError, match=r"a\.png: a palette or grey image is needed, this one has mode RGB"):
        VocDataset(voc.params()).mask("a")


def test_grey_images_become_rgb(voc: Any) -> None:
    Image.new("L", (16, 12), 7).save(voc.root / "JPEGImages" / "a.jpg")
    assert VocDataset(voc.params()).image("a").shape == (12, 16, 3)


def test_ids_may_hold_folders(voc: Any) -> None:
    for kind, suffix in (("JPEGImages", "jpg"), ("SegmentationClass", "png")):
        (voc.root / kind / "town").mkdir()
        (voc.root / kind / f"a.{suffix}").rename(voc.root / kind / "town" / f"a.{suffix}")
    voc.list("train.txt", "town/a\nb\n")
    assert VocDataset(voc.params()).mask("town/a").shape == (12, 16)


def test_xml_boxes_are_one_based_inclusive(voc: Any, write_xml: Any) -> None:
    for image_id in "abcd":
        write_xml(image_id, ("cat", 2, 2, 4.5, 4))
    write_xml("b", ("person", 3, 8, 5, 10), ("cat", 0, 1, 16, 13))
    dataset = VocDataset(voc.params(boxes="xml", tags="xml"))
    assert dataset.boxes("a") == (Box(1, 1, 1, 5, 4),)
    assert dataset.boxes("b") == (Box(2, 2, 7, 5, 10), Box(1, 0, 0, 16, 12))
    assert dataset.tags("b") == (1, 2)


def test_xml_names_follow_names_and_other(voc: Any, write_xml: Any) -> None:
    for image_id in "abcd":
        write_xml(image_id, ("pussycat", 2, 2, 4, 4), ("sofa", 1, 1, 3, 3))
    with pytest.raises(DataError, match=r"a\.xml: 'sofa' is none of the classes"):
        VocDataset(voc.params(boxes="xml", names={"pussycat": "cat"})).boxes("a")
    dataset = VocDataset(voc.params(boxes="xml", tags="xml", names={"pussycat": "cat"}, other="background"))
    assert dataset.boxes("a") == (Box(1, 1, 1, 4, 4),)
    assert dataset.tags("a") == (1,)


def test_bad_xml_is_named(voc: Any, write_xml: Any) -> None:
    for image_id in "abc":
        write_xml(image_id, ("cat", 2, 2, 4, 4))
    assert "d.xml: no such file" in fails(voc, boxes="xml")
    for text, part in (
        ("<annotation>", "no valid XML"),
        ("<annotation><object><name>cat</name></object></annotation>", "bndbox needs"),
        ("<annotations/>", "the top element is 'annotations', VOC XML has 'annotation'"),
        ("<annotation><object/></annotation>", "object 1 has no name"),
    ):
        (voc.root / "Annotations" / "d.xml").write_text(text)
        with pytest.raises(DataError, match=part):
            VocDataset(voc.params(boxes="xml")).boxes("d")


def annotations(voc: Any, **boxes: list[list[Any]]) -> None:
    images = [
        {
            "id": image_id,
            "tags": ["person", "cat"],
            "boxes": [{"cls": box[0], "bbox_xyxy": box[1:]} for box in boxes.get(image_id, [])],
        }
        for image_id in "abcd"
    ]
    (voc.root / "annotations.json").write_text(json.dumps({"classes": [], "images": images}))


def test_json_boxes_grow_to_whole_pixels_and_end_at_the_border(voc: Any) -> None:
    annotations(voc, a=[["cat", 1.2, 2.9, 3.1, 5.0], ["person", -0.4, 0, 16.9, 3.5]])
    dataset = VocDataset(voc.params(boxes="annotations.json", tags="annotations.json"))
    assert dataset.boxes("a") == (Box(1, 1, 2, 4, 5), Box(2, 0, 0, 16, 4))
    assert dataset.boxes("b") == ()
    assert dataset.tags("a") == (1, 2)


def test_classes_without_any_box_take_them_from_masks(voc: Any) -> None:
    annotations(voc, a=[["cat", 1, 1, 3, 3]])
    dataset = VocDataset(voc.params(boxes="annotations.json", fallback_boxes="masks"))
    assert dataset.boxes("a") == (Box(1, 1, 1, 3, 3),)
    assert dataset.boxes("b") == (Box(2, 2, 7, 5, 10),)


def test_a_data_set_says_of_which_classes_nobody_drew_the_boxes(voc: Any) -> None:
    annotations(voc, a=[["cat", 1, 1, 3, 3]])
    classes = VocDataset(voc.params()).classes
    found = {
        (boxes, fallback): VocDataset(voc.params(boxes=boxes, fallback_boxes=fallback)).boxes_from_masks
        for boxes in ("masks", "annotations.json")
        for fallback in ("none", "masks")
    }
    assert found["masks", "none"] == found["masks", "masks"] == classes[1:]
    assert found["annotations.json", "none"] == ()
    assert found["annotations.json", "masks"] == tuple(name for name in classes[1:] if name != "cat")
    assert VocDataset(voc.params(boxes="annotations.json", boxes_from="masks")).boxes_from_masks == classes[1:]
    assert dataset_info(VocDataset(voc.params())).boxes_from_masks == list(classes[1:])


@pytest.mark.parametrize(
    ("box", "part"),
    [
        ([3, 1, 3, 3], "covers no pixel of the 16x12 image"),
        ([5, 1, 3, 3], "covers no pixel"),
        ([float("nan"), 1, 3, 3], "needs four finite numbers"),
        ([1, 1, float("inf"), 3], "needs four finite numbers"),
        ([20, 1, 30, 3], "reaches out of the 16x12 image"),
        ([1, 1, 18.5, 3], "reaches out of the 16x12 image"),
        ([-2, 1, 3, 3], "reaches out of the 16x12 image"),
    ],
)
def test_a_box_that_is_none_is_named(voc: Any, box: list[float], part: str) -> None:
    annotations(voc, a=[["cat", *box]])
    with pytest.raises(DataError, match=rf"annotations\.json: image 'a': box cat \[.* {part}"):
        VocDataset(voc.params(boxes="annotations.json")).boxes("a")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "no valid JSON"),
        ("{}", "the top level needs the key 'images'"),
        ('{"images": 3}', "images: a list is needed"),
        ('{"images": [{"id": "a", "boxes": [{"cls": "cat", "bbox_xyxy": [1]}]}]}', "images.0: wrong or missing field"),
        ('{"images": [{"id": "a"}]}', "no entry with id 'b'"),
        ('{"images": [{"id": "a"}, {"id": "a"}]}', "images.1: id 'a' is repeated"),
        ('{"images": [{"id": "a", "tags": "cat"}]}', "images.0: wrong or missing field: tags must be a list"),
        ('{"images": [3]}', "images.0: wrong or missing field: the entry must be a mapping"),
        ("[" * 3000, "nested more than 100 levels deep"),
    ],
)
def test_bad_json_annotations_are_named(voc: Any, text: str, part: str) -> None:
    (voc.root / "annotations.json").write_text(text)
    message = fails(voc, boxes="annotations.json")
    assert "annotations.json: " in message
    assert part in message


def test_saliency_maps_are_fractions(voc: Any) -> None:
    with pytest.raises(DataError, match="'tiny' has no saliency maps"):
        VocDataset(voc.params()).saliency("a")
    (voc.root / "saliency").mkdir()
    for image_id in "abcd":
        Image.new("L", (16, 12), 51).save(voc.root / "saliency" / f"{image_id}.png")
    saliency = VocDataset(voc.params(saliency="saliency")).saliency("a")
    assert saliency.dtype == np.float32
    np.testing.assert_allclose(saliency, 0.2)


@pytest.mark.parametrize("kind", ["no image", "in colour", "of another size"])
def test_a_saliency_map_that_its_header_shows_to_be_wrong_is_refused_at_plan(voc: Any, kind: str) -> None:
    (voc.root / "saliency").mkdir()
    for image_id in "abcd":
        Image.new("L", (16, 12), 51).save(voc.root / "saliency" / f"{image_id}.png")
    path = voc.root / "saliency" / "b.png"
    if kind == "no image":
        path.write_bytes(b"")
    else:
        Image.new("RGB", (16, 12)).save(path) if kind == "in colour" else Image.new("L", (3, 3)).save(path)
    dataset = VocDataset(voc.params(saliency="saliency"))
    with pytest.raises(DataError) as planned:
        dataset.digests("train")
    with pytest.raises(DataError) as read:
        dataset.saliency("b")
    assert str(planned.value) == str(read.value)
    assert str(path) in str(read.value)


def auxiliary_of(voc: Any, **changes: Any) -> dict[str, Any]:
    base = {"name": "aux", "root": str(voc.root), "train": "aux.txt", "classes": {"background": [0, 8], "horse": 15}}
    return base | changes


def test_the_auxiliary_data_set_has_other_classes(voc: Any) -> None:
    voc.list("aux.txt", "b\n")
    classes = {"background": [0, 15], "cat": 8}
    dataset = VocDataset(voc.params(classes=classes, auxiliary=auxiliary_of(voc)))
    assert dataset.auxiliary is not None
    assert dataset.auxiliary.ids("train") == ("b",)
    assert dataset.auxiliary.ids("val") == ()
    with pytest.raises(ValidationError, match=r"auxiliary\.classes must differ from classes, both hold Cat"):
        voc.params(classes=classes, auxiliary=auxiliary_of(voc, classes={"background": 0, "Cat": 15}))


def test_a_class_is_not_auxiliary_under_another_name(voc: Any) -> None:
    with pytest.raises(ValidationError, match="both hold mask id 15"):
        voc.params(auxiliary=auxiliary_of(voc))


def test_a_scored_image_cannot_be_auxiliary(voc: Any) -> None:
    voc.list("aux.txt", "a\nd\n")
    params = voc.params(classes={"background": [0, 15], "cat": 8}, auxiliary=auxiliary_of(voc))
    with pytest.raises(DataError, match="'d' is a validation image"):
        VocDataset(params)


def test_one_list_splits_by_tags_into_target_and_auxiliary(voc: Any) -> None:
    tags = {"a": ["cat"], "b": ["horse"], "c": ["cat", "horse"], "d": ["cat"]}
    entries = [{"id": image_id, "tags": names, "boxes": []} for image_id, names in tags.items()]
    (voc.root / "tags.json").write_text(json.dumps({"images": entries}))
    pure = {"select": "pure", "tags": "tags.json", "other": "background"}
    auxiliary = auxiliary_of(voc, train="train.txt", classes={"background": 0, "horse": 15}, **pure)
    dataset = VocDataset(voc.params(classes={"background": 0, "cat": 8}, auxiliary=auxiliary, **pure))
    assert dataset.ids("train") == ("a",)
    assert dataset.auxiliary is not None
    assert dataset.auxiliary.ids("train") == ("b",)
    assert set(np.unique(dataset.auxiliary.mask("b"))) == {0, 1, 255}  # pixels of other classes are background
    voc.list("val.txt", "c\n")
    voc.list("train.txt", "a\nb\n")
    with pytest.raises(DataError, match="no image is tagged with cat alone"):
        VocDataset(voc.params(classes={"background": 0, "cat": 8}, **pure))


def test_selection_needs_annotated_tags(voc: Any) -> None:
    with pytest.raises(ValidationError, match="select: 'pure' goes by annotated tags"):
        voc.params(select="pure")


def test_a_pickled_data_set_reads_the_same(voc: Any) -> None:
    annotations(voc, a=[["cat", 1, 1, 3, 3]])
    dataset = VocDataset(voc.params(boxes="annotations.json", fallback_boxes="masks"))
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.boxes("b") == dataset.boxes("b")
    assert copy.digests("train") == dataset.digests("train")


def test_the_working_folder_does_not_matter_later(voc: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(voc.root.parent)
    dataset = VocDataset(voc.params(root="voc"))
    monkeypatch.chdir("/")
    assert dataset.image("a").shape == (12, 16, 3)
