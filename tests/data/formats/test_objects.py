"""Objects as annotation tools write them: boxes, outlines, tags; and one sentence for each thing that is wrong."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from harness.contract import Box, DataError, NoSupervision

BOX = (Box(1, 2, 3, 8, 9),)
SQUARE = [[2, 3], [8, 3], [8, 9], [2, 9]]


def labelme(shapes: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    return {"shapes": shapes, "imageHeight": 12, "imageWidth": 16, **fields}


def shape(kind: str, points: list[list[float]], label: str = "cat") -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind}


def cvat(inside: str, name: str = "a.png", size: str = 'width="16" height="12"') -> str:
    return f'<annotations><image id="0" name="{name}" {size}>{inside}</image></annotations>'


def coco(*annotations: dict[str, Any], names: tuple[str, ...] = ("a.png",)) -> dict[str, Any]:
    images = [{"id": number, "file_name": name, "height": 12, "width": 16} for number, name in enumerate(names)]
    categories = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]
    numbered = [{"image_id": 0, "category_id": 3, **annotation} for annotation in annotations]
    return {"images": images, "categories": categories, "annotations": numbered}


VOC = (
    "<annotation><object><name>cat</name><bndbox><xmin>3</xmin><ymin>4</ymin><xmax>8</xmax><ymax>9</ymax></bndbox>"
    "</object></annotation>"
)
YOLO = "0 0.3125 0.5 0.375 0.5\n"
BOX_FILES = {
    "voc": ("labels/a.xml", VOC, "labels"),
    "yolo": ("labels/a.txt", YOLO, "labels"),
    "coco": ("boxes.json", coco({"bbox": [2, 3, 6, 6]}), "boxes.json"),
    "labelme": ("labels/a.json", labelme([shape("rectangle", [[8, 9], [2, 3]])]), "labels"),
    "cvat": ("x.xml", cvat('<box label="cat" xtl="2" ytl="3" xbr="8" ybr="9"/>'), "x.xml"),
    "csv": ("boxes.csv", "image,class,x0,y0,x1,y1\na,cat,2,3,8,9\n", "boxes.csv"),
    "json": ("b.json", [{"id": "a", "boxes": [{"cls": "cat", "bbox_xyxy": [2, 3, 8, 9]}]}], "b.json"),
}


@pytest.mark.parametrize("name", BOX_FILES)
def test_a_box_of_every_format_is_the_same_box(folders: Any, name: str) -> None:
    file, content, source = BOX_FILES[name]
    folders.write(file, content)
    for format_ in (None, name):  # recognised, or stated
        dataset = folders.open(boxes={"path": source, "format": format_, "missing": "empty"})
        assert dataset.boxes("a") == BOX
        assert dataset.tags("a") == (1,)
        assert dataset.boxes("b") == ()
        assert dataset.boxes_from_masks == ()
        assert dataset.unmasked == ("train", "val")
        with pytest.raises(NoSupervision, match="has no masks for its train images"):
            dataset.mask("a")
        assert set(dataset.digests("train")) == {"ids", "images", "tags", "boxes"}


POLYGONS = {
    "yolo": ("labels/a.txt", "0 0.125 0.25 0.5 0.25 0.5 0.75 0.125 0.75\n", "labels"),
    "coco": ("m.json", coco({"bbox": [2, 3, 6, 6], "segmentation": [[2, 3, 8, 3, 8, 9, 2, 9]]}), "m.json"),
    "labelme": ("labels/a.json", labelme([shape("polygon", [*map(list, SQUARE)])]), "labels"),
    "cvat": ("x.xml", cvat('<polygon label="cat" points="2,3;8,3;8,9;2,9"/>'), "x.xml"),
}


@pytest.mark.parametrize("name", POLYGONS)
def test_a_polygon_of_every_format_is_the_same_mask_box_and_tag(folders: Any, name: str) -> None:
    file, content, source = POLYGONS[name]
    folders.write(file, content)
    stated = {"path": source, "missing": "empty"}
    dataset = folders.open(masks=stated, boxes=stated)
    expected = np.zeros((12, 16), np.uint8)
    expected[3:9, 2:8] = 1
    np.testing.assert_array_equal(dataset.mask("a"), expected)
    assert not dataset.mask("b").any()
    assert dataset.boxes("a") == BOX
    assert dataset.tags("a") == (1,)
    assert dataset.unmasked == ()
    assert dataset.boxes_from_masks == (() if name == "coco" else ("cat",))  # COCO's file has a box of its own
    assert folders.open(masks=stated).boxes_from_masks == ("cat", "dog")
    assert "masks" in dataset.digests("train")


def test_run_lengths_of_coco_are_a_mask(folders: Any) -> None:
    runs = {"size": [12, 16], "counts": [12, 12, 168]}
    folders.write(
        "m.json", coco({"bbox": [1, 0, 1, 12], "segmentation": runs}, names=("a.png", "b.png", "c.png", "d.png"))
    )
    mask = folders.open(masks="m.json").mask("a")
    assert mask[:, 1].all()
    assert mask.sum() == 12


def test_later_outlines_hide_earlier_ones_and_what_is_ignored_is_ignored(folders: Any) -> None:
    inside = (
        '<polygon label="dog" points="0,0;9,0;9,9;0,9" z_order="1"/><polygon label="cat" points="0,0;4,0;4,4;0,4"/>'
        '<polygon label="unsure" points="10,0;16,0;16,12;10,12"/>'
        '<polygon label="background" points="0,0;2,0;2,2;0,2" z_order="2"/>'
    )
    folders.write("x.xml", cvat(inside))
    dataset = folders.open(masks={"path": "x.xml", "missing": "empty"}, names={"unsure": "ignore"})
    mask = dataset.mask("a")
    assert (mask[5, 5], mask[3, 3], mask[0, 0], mask[5, 12]) == (2, 2, 0, 255)
    folders.write("x.xml", cvat(inside.replace("unsure", "bird")))
    left_out = folders.open(masks={"path": "x.xml", "missing": "empty"}, other="background")
    assert left_out.mask("a")[5, 12] == 0
    assert left_out.digests("train")["masks"] != dataset.digests("train")["masks"]


def test_tags_of_an_image_as_a_whole_count(folders: Any) -> None:
    folders.write("x.xml", cvat('<tag label="dog"/>'))
    assert folders.open(tags={"path": "x.xml", "missing": "empty"}).tags("a") == (2,)
    folders.write("labels/a.json", labelme([], flags={"dog": True, "cat": False}))
    assert folders.open(tags={"path": "labels", "missing": "empty"}).tags("a") == (2,)


@pytest.mark.parametrize(
    ("kind", "file", "content", "words"),
    [
        ("boxes", "labels/a.txt", "2 0.3 0.5 0.2 0.5\n", "a.txt: line 1: class 2 is none of the 2 names cat, dog"),
        ("boxes", "labels/a.txt", "0 0.3 0.5 0.2\n", "a.txt: line 1: a class and 4 numbers, or 3 points or more"),
        ("boxes", "labels/a.txt", "0 0.3 5 0.2 0.5\n", "a.txt: line 1: coordinates are fractions of the image"),
        ("boxes", "labels/a.txt", "\ncat 1\n", "a.txt: line 2: numbers are needed, got 'cat 1'"),
        ("boxes", "labels/a.txt", "0 0.9 0.5 0.4 0.5\n", "box cat [11.2, 3.0, 17.6, 9.0] reaches out of the"),
        ("boxes", "labels/a.json", labelme([shape("circle", [[1, 1], [2, 2]])]), "shapes.0: shape_type 'circle' is"),
        ("boxes", "labels/a.json", labelme([shape("rectangle", [[1, 1]])]), "shapes.0: points: a rectangle has two"),
        ("boxes", "labels/a.json", labelme([{"points": []}]), "shapes.0: a shape needs a label"),
        ("boxes", "labels/a.json", labelme([shape("polygon", [[1, "x"]])]), "shapes.0: points: x and y are numbers"),
        ("boxes", "labels/a.json", {"version": 5}, "a file of labelme has the list 'shapes'"),
        ("boxes", "labels/a.json", labelme([], imageWidth=17), "17x12 pixels, but the image"),
        ("masks", "labels/a.json", labelme([shape("polygon", [[1, 1], [2, 2]])]), "shapes.0: a polygon has three"),
        ("masks", "labels/a.json", labelme([shape("rectangle", [[1, 1], [5, 5]])]), "'cat' has a box without outline"),
        ("masks", "labels/a.json", labelme([shape("polygon", [[1, 1], [99, 2], [3, 3]])]), "coordinate 99.0 lies"),
        ("boxes", "x.xml", cvat('<polyline label="cat" points="1,2;3,4"/>'), "polyline 'cat': is not read, only tag,"),
        ("boxes", "x.xml", cvat('<box label="cat" xtl="2" ytl="x" xbr="8" ybr="9"/>'), "box: ytl: a number is needed"),
        ("boxes", "x.xml", cvat('<box label="cat" rotation="5" xtl="2"/>'), "is rotated, only upright boxes are read"),
        ("boxes", "x.xml", cvat("<box/>"), "image 'a.png': box: label: a name is needed"),
        ("boxes", "x.xml", cvat("", name="z.png"), "image 'z.png': image 'z.png' is in no image folder"),
        ("boxes", "x.xml", cvat("", size='width="15" height="12"'), "15x12 pixels, but the image"),
        ("boxes", "x.xml", cvat("", size='width="1e999" height="12"'), "image: width: a whole number of pixels"),
        ("boxes", "x.xml", VOC, "its top element is 'annotation'; export it from CVAT as 'CVAT for images 1.1'"),
        ("boxes", "m.json", coco({"bbox": [2, 3, 60, 6]}), "annotations.0: bbox: x, y, width, height [2, 3, 60, 6]"),
        ("boxes", "m.json", coco({"bbox": [2, 3, 6, 6]}, names=("z.png",)), "image 'z.png' is in no image folder"),
        ("boxes", "m.json", [{"id": "a", "boxes": [{"cls": "cat"}]}], "entry 0: boxes.0: bbox_xyxy needs four num"),
        ("tags", "m.json", [["a", "cat"]], "entry 0: a record with id, image or file_name is needed, got ['a', 'cat']"),
        ("tags", "m.json", {"a": 3}, "image 'a': tags: a name or a list of names is needed, got 3"),
        ("tags", "m.json", '"a"', "a list of records or {image: names} is needed, got 'a'"),
        ("tags", "m.json", "{", "no valid JSON"),
        ("masks", "m.csv", "image,class\n", "m.csv: is csv, which holds no masks; yolo, coco, labelme, cvat do"),
        ("boxes", "m.md", "x", "m.md: holds no labels of a known format"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(folders: Any, kind: str, file: str, content: Any, words: str) -> None:
    folders.write(file, content)
    changes = {kind: {"path": file.split("/", maxsplit=1)[0], "missing": "empty"}}
    (message, *_) = folders.defects(**changes)
    assert words in message
    assert str(folders.root) in message
    with pytest.raises(DataError):
        folders.open(**changes).digests("train")


@pytest.mark.parametrize("name", ["classes.txt", "labels/classes.txt", "data.yaml"])
def test_names_of_yolo_stand_in_a_file_beside_the_labels(folders: Any, name: str) -> None:
    folders.write("labels/a.txt", YOLO)
    folders.write(name, "names: {0: dog, 1: cat}\n" if name.endswith("yaml") else "dog\ncat\n")
    stated = {"path": "labels", "missing": "empty"}
    assert folders.open(boxes=stated).tags("a") == (2,)
    assert folders.open(boxes=stated | {"classes": ["cat"]}).tags("a") == (1,)
    folders.write(name, "names: {0: dog, 2: cat}\n" if name.endswith("yaml") else "dog\ndog\n")
    assert folders.defects(boxes=stated)[0].startswith(str(folders.root / name))


def test_a_missing_file_of_labels_is_told_with_the_way_out(folders: Any) -> None:
    folders.write("labels/a.txt", YOLO)
    messages = folders.defects(boxes="labels")
    assert messages[0] == (
        f"{folders.root}/labels/b.txt: no such file; say missing: empty where such images show no class"
    )
    assert len(messages) == 3


@pytest.mark.parametrize(
    "content",
    [
        {"a": ["cat"], "b": "dog", "c": []},
        {"a.png": {"labels": ["cat"]}, "b": {"tags": ["dog"]}, "c": {}},
        [{"file_name": "train/a.png", "classes": ["cat"]}, {"image": "b", "label": "dog"}, {"id": "c"}],
        {"images": [{"id": "a", "tags": ["cat"]}, {"id": "b", "tags": ["dog"]}, {"id": "c", "tags": []}]},
    ],
)
def test_tags_are_read_from_every_shape_of_json(folders: Any, content: Any) -> None:
    folders.write("tags.json", json.dumps(content))
    dataset = folders.open(tags={"path": "tags.json", "missing": "empty"})
    assert [dataset.tags(image_id) for image_id in "abcd"] == [(1,), (2,), (), ()]


def test_labels_of_psa_are_tags_and_nothing_in_their_pickle_runs(folders: Any) -> None:
    path = folders.root / "cls_labels.npy"
    labels = {"a": np.array([1, 0], np.float32), "b": np.array([1, 1], np.float32), "c": np.zeros(2, np.float32)}
    np.save(path, labels, allow_pickle=True)
    stated = {"path": "cls_labels.npy", "missing": "empty"}
    dataset = folders.open(tags=stated)
    assert [dataset.tags(image_id) for image_id in "abcd"] == [(1,), (1, 2), (), ()]
    np.save(path, labels | {"d": np.array([1, 0, 1])}, allow_pickle=True)
    (message,) = folders.defects(tags=stated)
    assert "image 'd': 2 numbers 0 or 1 are needed, for cat, dog; got an array of shape (3,)" in message
    np.save(path, {"a": Runs()}, allow_pickle=True)
    (message,) = folders.defects(tags=stated)
    assert "which is not read" in message


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('run')",)


def test_labels_of_irn_name_voc_images_by_numbers(folders: Any) -> None:
    folders.image("train/2007_000032")
    np.save(folders.root / "tags.npy", {2007000032: np.array([0, 1])}, allow_pickle=True)
    assert folders.open(tags={"path": "tags.npy", "missing": "empty"}).tags("2007_000032") == (2,)


def test_the_folder_of_an_image_is_its_tag(folders: Any) -> None:
    for image_id in ("classes/cat/1", "classes/dog/1", "classes/background/1", "held/cat/2"):
        folders.image(image_id)
    changes = {"train": {"images": "classes"}, "val": {"images": "held"}, "tags": "folders"}
    dataset = folders.open(**changes)
    assert dataset.ids("train") == ("background/1", "cat/1", "dog/1")
    assert [dataset.tags(image_id) for image_id in dataset.ids("train")] == [(), (1,), (2,)]
    folders.image("classes/0")
    folders.image("classes/bird/1")
    first, second = folders.defects(**changes)
    assert "image '0' lies in no folder of a class" in first
    assert "'bird' is none of the classes" in second
