"""Tables of tags and boxes in the shapes that people write, and one sentence with the line for what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from harness.contract import Box, DataError

TAGS = {"a": (1,), "b": (1, 2), "c": (), "d": (2,)}

SHAPES = {
    "a class in each row": "image,class\na.png,cat\nb.png,cat\nb.png,dog\nc.png,\nd.png,dog\n",
    "several classes in a cell": "filename;tags\na;cat\nb;cat|dog\nc;\nd;dog\n",
    "a list in quotes": "ID\tLabels\na\t['cat']\nb\t['cat', 'dog']\nc\t[]\nd\tdog\n",
    "semicolons in a cell": "image,classes\na,cat\nb,cat;dog\nc,\nd,dog\n",
    "commas in quoted cells": 'image,classes,,\na,cat,,\nb,"cat, dog",,\nc,,,\nd,"[\'dog\']",,\n',
    "a column for each class": "path,cat,dog\n./train/a.png,1,0\ntrain/b.png,1,1\ntrain/c.png,0,0\nd.png,0,1.0\n",
    "truth values": "name,cat,dog\na,True,False\nb,true,TRUE\nc,no,\nd,0,yes\n",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_tags_are_read_from_every_shape_of_a_table(folders: Any, shape: str) -> None:
    text = SHAPES[shape].replace("name,cat,dog", "file name,cat,dog")
    folders.write("tags.csv", text)
    dataset = folders.open(tags="tags.csv")
    assert {image_id: dataset.tags(image_id) for image_id in "abcd"} == TAGS
    assert set(dataset.digests("train")) == {"ids", "images", "tags"}


BOXES = {
    "corners": "image,class,x1,y1,x2,y2\na,cat,1,2,5,6\n",
    "corners beside the sides of the image": "filename,width,height,class,xmin,ymin,xmax,ymax\na,16,12,cat,1,2,5,6\n",
    "sides": "image,label,x,y,width,height\na,cat,1,2,4,4\n",
    "other words": "Image ID,Label Name,left,top,right,bottom\nA.PNG,cat,1,2,5,6\n".replace("A.PNG", "a.PNG"),
}


@pytest.mark.parametrize("shape", BOXES)
def test_boxes_are_read_from_every_shape_of_a_table(folders: Any, shape: str) -> None:
    folders.write("boxes.csv", BOXES[shape])
    dataset = folders.open(boxes={"path": "boxes.csv", "missing": "empty"})
    assert dataset.boxes("a") == (Box(1, 1, 2, 5, 6),)
    assert dataset.boxes("b") == dataset.tags("b") == ()
    assert dataset.tags("a") == (1,)
    assert dataset.boxes_from_masks == ()


def test_fractions_are_fractions_where_the_file_says_so(folders: Any) -> None:
    folders.write("boxes.csv", "image,class,xmin,ymin,xmax,ymax\na,cat,0.125,0.25,0.5,0.5\nb,,,,,\nc,,,,,\nd,,,,,\n")
    assert folders.open(boxes={"path": "boxes.csv", "units": "fraction"}).boxes("a") == (Box(1, 2, 3, 8, 6),)
    (message,) = folders.defects(boxes="boxes.csv")
    assert message.endswith(
        "boxes.csv: line 2: box [0.125, 0.25, 0.5, 0.5] looks like fractions of the image; say units: fraction"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,cat\n", "line 1: the header needs a column image, filename, path or id, got a, cat"),
        ("image,kind\na,cat\n", "line 1: the header needs a column class (or label, tags), or one column for"),
        ("image,class,class\na,cat,cat\n", "line 1: column 'class' occurs twice"),
        ("", "line 1: the header needs a column image, filename, path or id, got nothing"),
        ('image,class\n"a,cat\n', "no valid table: unexpected end of data"),
        ("image,class\na,cat\nb,cat,dog\n", "line 3: has 3 cells, the header has 2"),
        ("image,class\na,cat\nz.png,cat\n", "line 3: image 'z.png' is in no image folder; say extra: skip"),
        ("image,class\n,cat\n", "line 2: names no image"),
        ("image,class\na,cta\n", "line 2: 'cta' is none of the classes; did you mean 'cat'? See classes, names and"),
        ("image,cat\na,2\n", "line 2: column cat: a class needs 0 or 1, got '2'"),
        ("image,cat\na,1\na,0\n", "line 3: image 'a' has an entry already"),
        ("image,class\na,cat\nx/a.png,cat\n", "line 3: 'a' and 'x/a.png' are both taken for image 'a'"),
        ("image,class,x1,y1,x2,y2\na,cat,1,2,x,4\n", "line 2: columns x1, y1, x2, y2: four numbers are needed"),
        ("image,class,x1,y1,x2,y2\na,cat,1,2,nan,4\n", "line 2: columns x1, y1, x2, y2: four numbers are needed"),
        ("image,class,x1,y1,x2,y2\na,,1,2,3,4\n", "line 2: column class: no class"),
        ("image,class,x1,y1,x2,y2\na,cat,1,2,30,4\n", "line 2: box cat [1.0, 2.0, 30.0, 4.0] reaches out of the"),
        ("image,class\na,cat\n", "nothing about image 'b'; say missing: empty where such images show no class"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_table_is_one_sentence_with_its_line(folders: Any, text: str, words: str) -> None:
    path = folders.write("table.csv", text)
    changes = {"boxes": "table.csv"} if "x1" in text else {"tags": "table.csv"}
    found = [message for message in folders.defects(**changes) if words in message]
    assert found
    assert found[0].startswith(f"{path}: ")
    with pytest.raises(DataError):
        folders.open(**changes).digests("train")


def test_all_wrong_lines_are_told_at_once_and_the_other_images_stay(folders: Any) -> None:
    folders.write("tags.csv", "image,class\na,cat\nb\nc,cat,cat\nz,cat\nd,dog\n")
    messages = folders.defects(tags="tags.csv")
    assert [message.split(": ")[1] for message in messages[:3]] == ["line 3", "line 4", "line 5"]


def test_rows_of_further_images_are_left_out_where_that_is_meant(folders: Any) -> None:
    folders.write("tags.csv", "image,class\na,cat\nb,cat\nc,dog\nd,dog\nz,cat\n")
    assert folders.open(tags={"path": "tags.csv", "extra": "skip"}).tags("a") == (1,)


def test_names_of_other_tools_become_classes_or_are_left_out(folders: Any) -> None:
    folders.write("tags.csv", "image,class\na,kitty\nb,unsure\nc,bird\nd,background\n")
    names = {"kitty": "cat", "unsure": "ignore"}
    dataset = folders.open(tags="tags.csv", names=names, other="background")
    assert [dataset.tags(image_id) for image_id in "abcd"] == [(1,), (), (), ()]
