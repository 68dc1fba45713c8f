"""Annotation files of other tools are one sentence, once, that names the reader or the form that fits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.contract import DataError
from harness.data.checking import check
from harness.data.voc import VocDataset

FORM = 'the form {"images": [{"id"'
LABELME = json.dumps({"version": "5", "shapes": [], "imagePath": "a.jpg"})


def only_defect(voc: Any, **changes: Any) -> str:
    report = check(VocDataset.lenient(voc.params(**changes)))
    (defect,) = report.defects
    assert "\n" not in defect.message
    with pytest.raises(DataError):
        VocDataset(voc.params(**changes))
    return defect.message


@pytest.mark.parametrize("field", ["boxes", "tags"])
@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("x.json", json.dumps({"images": [], "annotations": [], "categories": []}), "which `name: coco` reads"),
        ("x.json", LABELME, f"is a labelme file of one image; write one file for all images, in {FORM}"),
        ("x.csv", "image,tags\na,cat\n", f"is a table; write its rows in {FORM}"),
        ("x.txt", "0 0.5 0.5 0.1 0.1\n", f"is no JSON; a file of annotations has {FORM}"),
        (
            "x.xml",
            "<annotation/>",
            "is XML; boxes and tags may say 'xml', with the folder of such files in the field annotations",
        ),
        ("x.json", "[]", "the top level needs the key 'images'"),
        ("x.json", "", "no valid JSON"),
    ],
)
def test_a_file_of_another_tool_is_named(voc: Any, field: str, name: str, text: str, part: str) -> None:
    (voc.root / name).write_text(text)
    message = only_defect(voc, **{field: name})
    assert message.startswith(f"{voc.root / name}: ")
    assert part in message


@pytest.mark.parametrize(("suffix", "part"), [(".json", "labelme writes those"), (".txt", "YOLO has those")])
def test_a_folder_of_another_tool_is_named(voc: Any, suffix: str, part: str) -> None:
    for image_id in "abcd":
        (voc.root / "Annotations" / f"{image_id}{suffix}").write_text("{}")
    for changes in ({"boxes": "xml", "tags": "xml"}, {"boxes": "Annotations"}):
        message = only_defect(voc, **changes)
        assert message.startswith(f"{voc.root}/Annotations: holds {suffix} files ({part}), but no VOC .xml; ")
        assert FORM in message
        assert message.partition(" (field")[0].endswith("or say `name: folder`, which reads them as they are")


def test_a_folder_of_xml_in_place_of_the_word_xml_is_named(voc: Any, write_xml: Any) -> None:
    write_xml("a", ("cat", 1, 1, 4, 4))
    message = only_defect(voc, boxes="Annotations")
    assert "is a folder of VOC .xml files; say 'xml', and annotations: Annotations" in message


def test_a_broken_file_is_told_once_though_tags_and_boxes_come_from_it(voc: Any) -> None:
    (voc.root / "x.json").write_text("{")
    assert "no valid JSON" in only_defect(voc, boxes="x.json", tags="x.json")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "no valid XML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', "declares entities, which are not read"),
        ("<annotation>" + "<object>" * 100_000, "no valid XML"),
    ],
)
def test_xml_that_anyone_may_have_written_is_one_sentence(voc: Any, write_xml: Any, text: str, part: str) -> None:
    for image_id in "abcd":
        write_xml(image_id, ("cat", 1, 1, 4, 4))
    (voc.root / "Annotations" / "a.xml").write_text(text)
    messages = {defect.message for defect in check(VocDataset.lenient(voc.params(boxes="xml"))).defects}
    assert len(messages) == 1
    assert part in messages.pop()


def test_damaged_xml_is_a_defect_also_where_tags_select_images(voc: Any, write_xml: Any) -> None:
    for image_id in "abcd":
        write_xml(image_id, ("cat", 1, 1, 4, 4))
    (voc.root / "Annotations" / "b.xml").write_text("<annotation>")
    dataset = VocDataset.lenient(voc.params(tags="xml", select="pure"))
    assert dataset.ids("train") == ("a", "c")
    assert [defect.image_id for defect in dataset.defects] == ["b"]


def test_two_equal_boxes_are_a_notice(voc: Any, write_xml: Any) -> None:
    for image_id in "abcd":
        write_xml(image_id, *[("cat", 1, 1, 4, 4)] * (2 if image_id == "a" else 1))
    report = check(VocDataset(voc.params(boxes="xml")))
    assert report.clean
    assert [notice.message for notice in report.notices] == ["image 'a': two boxes are equal"]
