"""Files of clicks in the forms of other people."""

import json

import pytest

from harness.contract import DataError, Point
from harness.data.folder import FolderDataset
from harness.data.folder_params import FolderParams
from harness.data.voc import VocDataset

BEARMAN = {
    "a": [{"cls": 15, "x": 3, "y": 7, "rank": 2}, {"cls": 8, "x": 1, "y": 2, "rank": 1}],
    "b": [{"cls": 8, "x": 0, "y": 0, "rank": 1}],
    "c": [],
}
FOUND = {"a": (Point(1, 1, 2), Point(2, 3, 7)), "b": (Point(1, 0, 0),), "c": ()}
TABLE = "image,cls,x,y\na.jpg,8,1,2\na,person,3.5,7.9\nb.jpg,cat,0,0\n"


def written(voc, name, content, **more):
    text = content if isinstance(content, str) else json.dumps(content)
    (voc.root / name).write_text(text)
    return VocDataset(voc.params(points=name, **more))


def test_clicks_of_whats_the_point_have_ids_of_classes_and_are_put_in_the_order_of_their_ranks(voc):
    dataset = written(voc, "pascal2012_trainval_main.json", BEARMAN)
    assert {image_id: dataset.points(image_id) for image_id in "abc"} == FOUND
    assert "points" in dataset.digests("train")
    assert dataset.made_from_masks == ()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("points.csv", TABLE),
        ("points.tsv", TABLE.replace(",", "\t")),
        ("points.csv", TABLE.replace(",", ";")),
        ("points.json", [{"image": "a", "cls": 8, "x": 1, "y": 2}, {"id": "a.jpg", "label": "person", "x": 3, "y": 7}]),
    ],
)
def test_a_table_and_a_list_of_entries_hold_one_click_each_with_a_name_or_an_id(voc, name, content):
    voc.list("train.txt", "a\nb\n")
    extra = [{"image": "b", "class": "8", "x": 0, "y": 0}]
    dataset = written(voc, name, content + extra if isinstance(content, list) else content)
    assert {image_id: dataset.points(image_id) for image_id in "ab"} == {"a": FOUND["a"], "b": FOUND["b"]}


def test_ids_of_no_class_are_an_error_or_left_out_as_other_says(voc):
    clicks = BEARMAN | {"b": [{"cls": 3, "x": 1, "y": 1}]}
    with pytest.raises(DataError, match=r"p\.json: image 'b': id 3 is in no class, see the fields classes and other"):
        written(voc, "p.json", clicks).points("b")
    assert written(voc, "p.json", clicks, other="background").points("b") == ()
    assert written(voc, "p.json", BEARMAN | {"b": [{"cls": 255, "x": 1, "y": 1}]}).points("b") == ()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("p.json", {"a": [{"cls": 8, "x": 1}]}, "image 'a': point 0: y: a text or a number is needed, got None"),
        ("p.json", {"a": [{"x": 1, "y": 1}]}, "image 'a': point 0: cls: a text or a number is needed, got None"),
        ("p.json", {"a": [{"cls": 8, "x": "left", "y": 1}]}, "image 'a': point 0: x: a number is needed, got 'left'"),
        ("p.json", {"a": [{"cls": 8, "x": 1, "y": 1, "rank": "first"}]}, "rank: a whole number from 0 is needed"),
        ("p.json", {"a": [[1, 2]]}, "image 'a': point 0: a point is a mapping with cls, x and y, got [1, 2]"),
        ("p.json", [{"cls": 8, "x": 1, "y": 1}], "entry 0: image: a text or a number is needed, got None"),
        ("p.json", ["a"], "entry 0: a point is a mapping with cls, x and y, got 'a'"),
        ("p.csv", "image,cls,x\na,8,1\n", "line 2: y: a text or a number is needed, got None"),
        ("p.csv", "image,cls,x,y\na,8,1\n", "line 2: has 3 cells, the header has 4"),
        ("p.csv", "image,cls,x,y\na,,1,1\n", "line 2: cls: a text or a number is needed, got ''"),
        ("p.csv", "image,cls,x,y\na,8,1,1e\n", "line 2: y: a number is needed, got '1e'"),
        ("p.csv", "image,cls,x,y,rank\na,8,1,1," + "9" * 5000 + "\n", "line 2: rank: a whole number from 0 is needed"),
        ("p.csv", "", "no image has points"),
        ("p.json", {}, "the top level needs the key 'images'"),
    ],
)
def test_a_file_of_clicks_that_is_wrong_is_one_sentence_with_file_place_and_field(voc, name, content, words):
    with pytest.raises(DataError) as error:
        written(voc, name, content)
    assert str(error.value).startswith(f"{voc.root / name}: ")
    assert words in str(error.value)
    assert str(error.value).endswith("(field points)")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("x", "y"), [(16, 0), (0, 12), (-1, 0)])
def test_a_click_outside_of_its_image_is_refused_before_anything_is_computed(voc, x, y):
    dataset = written(voc, "p.json", BEARMAN | {"a": [{"cls": 8, "x": x, "y": y}]})
    with pytest.raises(DataError, match=r"p\.json: image 'a': point 8 .* lies outside the 16x12 image"):
        dataset.digests("train")


def test_a_number_of_any_length_is_no_reason_to_fail_otherwise(voc):
    voc.list("train.txt", "a\nb\n")
    with pytest.raises(DataError, match="is none of the classes"):
        written(voc, "p.csv", f"image,cls,x,y\na,{'9' * 5000},1,1\nb,8,1,1\n").points("a")


def test_a_training_image_without_a_click_is_told(voc):
    with pytest.raises(DataError, match=r"p\.csv: no point of image 'b'"):
        written(voc, "p.csv", "image,cls,x,y\na,8,1,1\n")


def test_the_reader_of_folders_takes_the_same_files(voc):
    (voc.root / "p.json").write_text(json.dumps(BEARMAN))
    base = {
        "name": "f",
        "root": str(voc.root),
        "images": "JPEGImages",
        "masks": "SegmentationClass",
        "points": "p.json",
    }
    lists = {"train": {"list": "train.txt"}, "val": {"list": "val.txt"}}
    classes = {"background": 0, "cat": 8, "person": 15}
    dataset = FolderDataset(FolderParams.model_validate({**base, **lists, "classes": classes}))
    assert {image_id: dataset.points(image_id) for image_id in "abc"} == FOUND
