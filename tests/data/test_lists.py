"""A list holds ids of any script; a list of another kind is one sentence, once."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from harness.contract import DataError
from harness.data.checking import check
from harness.data.files import read_ids
from harness.data.voc import VocDataset


def rename(voc: Any, old: str, new: str) -> None:
    for folder, suffix in (("JPEGImages", ".jpg"), ("SegmentationClass", ".png")):
        (voc.root / folder / f"{old}{suffix}").rename(voc.root / folder / f"{new}{suffix}")


@pytest.mark.parametrize(
    "name", ["my photo 1", "Kühe auf der Weide", "猫 の 写真", ".hidden", "#1", "a.b.c", "[x]", "-", "a,b"]
)
def test_ordinary_file_names_are_ids(voc: Any, name: str) -> None:
    rename(voc, "a", name)
    voc.list("train.txt", f"  {name} \r\nb\r\nc\r\n")
    dataset = VocDataset(voc.params())
    assert dataset.ids("train") == (name, "b", "c")
    assert dataset.mask(name).shape == (12, 16)
    assert check(dataset).clean


@pytest.mark.parametrize(("listed", "stored"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_accents_are_found_however_they_are_written(voc: Any, listed: str, stored: str, write_xml: Any) -> None:
    name = "Kühe"
    rename(voc, "a", unicodedata.normalize(stored, name))
    for image_id in ("b", "c", "d", unicodedata.normalize(stored, name)):
        write_xml(image_id, ("cat", 1, 1, 4, 4))
    voc.list("train.txt", unicodedata.normalize(listed, name) + "\nb\nc\n")
    dataset = VocDataset(voc.params(tags="xml"))
    assert dataset.ids("train")[0] == unicodedata.normalize("NFC", name)
    assert dataset.image(dataset.ids("train")[0]).shape == (12, 16, 3)
    assert dataset.tags(dataset.ids("train")[0]) == (1,)


MISREAD = {
    "names of files": ("{}.jpg", "'a.jpg' is the name of a file, but a list has one id per line, here 'a'"),
    "paths": ("JPEGImages/{}.jpg", "'JPEGImages/a.jpg' is a path, but a list has one id per line, here 'a'"),
    "paths without suffix": ("x/{}", "'x/a' is a path"),
    "paths of Windows": ("JPEGImages\\{}.JPG", "is a path"),
    "image and mask": ("JPEGImages/{0}.jpg SegmentationClass/{0}.png", "is a row of 2 columns"),
    "rows of a table": ("{0}.jpg,{0}.png,cat", "is a row of 3 columns"),
    "class lists": ("{} -1", "'a -1' is an id with a flag, as in VOC's ImageSets/Main"),
    "class lists with two blanks": ("{}  1", "is an id with a flag"),
}


@pytest.mark.parametrize("kind", MISREAD)
def test_a_list_of_another_kind_is_one_sentence_once(voc: Any, kind: str) -> None:
    line, part = MISREAD[kind]
    voc.list("train.txt", "".join(line.format(image_id) + "\n" for image_id in "abc"))
    (defect,) = VocDataset.lenient(voc.params()).defects
    assert defect.message.startswith(f"{voc.root}/train.txt: ")
    assert part in defect.message
    assert "here 'a' (3 lines are like this)" in defect.message
    with pytest.raises(DataError, match="a list has one id per line"):
        VocDataset(voc.params())


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "the list is empty"),
        (" \r\n\n", "the list is empty"),
        ('{"images": []}', "is JSON, but a list has one id per line; a COCO file is read by `name: coco`"),
        ("a\n../b", "line 2: an id must stay inside the image folder"),
        ("/etc/passwd", "line 1: an id must stay inside the image folder"),
        ("a\x00b", "line 1: an id holds no control characters, got 'a"),
        (".", "line 1: an id has no needless '.' or '/'"),
        ("a//b", "line 1: an id has no needless '.' or '/'"),
    ],
)
def test_what_is_no_list_of_ids_is_said(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(text, newline="")
    _, (defect,) = read_ids(path, split="train")
    assert defect.message.startswith(f"{path}: {part}")
    assert "\x00" not in defect.message


def test_a_list_that_is_not_utf8_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes("Kühe\n".encode("latin-1"))
    _, (defect,) = read_ids(tmp_path / "list.txt", split="train")
    assert "is not UTF-8 text (byte 1)" in defect.message


def test_a_name_of_300_characters_is_no_such_file(voc: Any, write_xml: Any) -> None:
    for image_id in "abcd":
        write_xml(image_id, ("cat", 1, 1, 4, 4))
    voc.list("train.txt", "a\n" + "x" * 300 + "\n")
    messages = [defect.message for defect in VocDataset.lenient(voc.params(boxes="xml")).defects]
    assert [message.split(": ")[1].split(" (")[0] for message in messages] == ["no such file"] * 3


def test_a_file_of_another_format_is_pointed_at(voc: Any) -> None:
    mask = voc.root / "SegmentationClass" / "a.png"
    mask.rename(mask.with_suffix(".tif"))
    (defect,) = VocDataset.lenient(voc.params()).defects
    assert defect.message.endswith("a.png: no such file; a.tif is of another format")


@pytest.mark.parametrize("field", ["images", "masks", "saliency"])
def test_a_missing_folder_is_told_once_with_its_field(voc: Any, field: str) -> None:
    (defect,) = VocDataset.lenient(voc.params(**{field: "nowhere"})).defects
    more = "; 'none' says that there are none, of one split in train_masks, val_masks" if field == "masks" else ""
    assert defect.message == f"{voc.root}/nowhere: no such folder (field {field}{more})"


def test_a_missing_root_is_told_once(voc: Any) -> None:
    (defect,) = VocDataset.lenient(voc.params(root="/nowhere")).defects
    assert defect.message == "/nowhere: no such folder, see the field root"
