"""Instances files that anyone may have written: read right, or refused in one sentence before anything is computed."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as tool

from harness.cli.main import app
from harness.contract import Box, DataError
from harness.data.checking import check
from harness.data.coco import CocoDataset
from harness.data.outlines import paint_runs, read_runs
from tests.data.coco_folder import CATEGORIES, CocoFolder, H, W, checked, planned, rectangle

Change = Callable[[dict[str, Any]], None]
A, B, C = (CocoFolder.image_id("train", number) for number in (9, 25, 30))
V, W2 = (CocoFolder.image_id("val", number) for number in (42, 73))


@pytest.fixture
def coco(tmp_path: Path) -> CocoFolder:
    return CocoFolder(tmp_path / "coco")


def changed(coco: CocoFolder, change: Change) -> Path:
    """Let ``change`` alter the parsed training file; its path."""
    coco.params()
    path = coco.root / "annotations" / "instances_train2014.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    if isinstance(content.get("categories"), list):
        coco.write("val", categories=content["categories"])
    return path


def annotation(**fields: Any) -> Change:
    return lambda content: content["annotations"][0].update(fields)


def image(**fields: Any) -> Change:
    return lambda content: content["images"][0].update(fields)


def category(**fields: Any) -> Change:
    return lambda content: content["categories"][0].update(fields)


def runs(counts: Any, size: Any = (H, W)) -> Change:
    return annotation(segmentation={"size": size, "counts": counts})


def polygon(*coordinates: Any) -> Change:
    return annotation(segmentation=[list(coordinates)])


def without(part: str, field: str) -> Change:
    return lambda content: content[part][0].pop(field)


FIRST = r"instances_train2014\.json: annotations\.0 \(id 900\): "
FAULTS: dict[str, tuple[Change, str]] = {
    "runs too short": (runs([5, 5]), rf"{FIRST}segmentation\.counts: .* must add up to the 192 pixels"),
    "runs too long": (runs([5, 500]), rf"{FIRST}segmentation\.counts: .* must add up to the 192 pixels"),
    "runs beyond 64 bits": (runs([10**30]), rf"{FIRST}segmentation\.counts: .* must add up"),
    "no runs": (runs([]), rf"{FIRST}segmentation\.counts: .* must add up"),
    "null for runs": (runs(None), rf"{FIRST}segmentation\.counts: whole numbers from 0.*got None"),
    "negative run": (runs([200, -8]), rf"{FIRST}segmentation\.counts: whole numbers from 0"),
    "null in runs": (runs([None, 192]), rf"{FIRST}segmentation\.counts: whole numbers from 0"),
    "text in runs": (runs(["192"]), rf"{FIRST}segmentation\.counts: whole numbers from 0"),
    "fraction in runs": (runs([191.5, 0.5]), rf"{FIRST}segmentation\.counts: whole numbers from 0"),
    "string of no ASCII": (runs("é猫"), rf"{FIRST}segmentation\.counts: no string of run lengths, got 'é猫'"),
    "half a character": (runs("\ud800"), rf"{FIRST}segmentation\.counts: no string of run lengths"),
    "empty string": (runs(""), rf"{FIRST}segmentation\.counts: no string of run lengths"),
    "string of other characters": (runs("z !"), rf"{FIRST}segmentation\.counts: no string of run lengths"),
    "string that is cut": (runs("PPP"), rf"{FIRST}segmentation\.counts: no string of run lengths"),
    "string of a huge run": (runs("P" * 20 + "0"), rf"{FIRST}segmentation\.counts: a run length of over 32 bits"),
    "string of a negative run": (runs("00O"), rf"{FIRST}segmentation\.counts: .* must add up"),
    "string that is too short": (runs("11"), rf"{FIRST}segmentation\.counts: .* must add up"),
    "runs of another size": (runs([192], [W, H]), rf"{FIRST}segmentation\.size: \[16, 12\], but the image has \[12"),
    "runs without size": (annotation(segmentation={"counts": [192]}), rf"{FIRST}segmentation\.size: None"),
    "coordinate of 1e9": (
        polygon(0, 0, 1e9, 0, 1e9, 1e9),
        rf"{FIRST}segmentation\.0: coordinate 1000000000\.0 lies ou",
    ),
    "negative coordinate": (
        polygon(0, 0, -5, 0, 3, 3),
        rf"{FIRST}segmentation\.0: coordinate -5\.0 lies outside the 16",
    ),
    "coordinate nan": (polygon(0, 0, math.nan, 0, 3, 3), rf"{FIRST}segmentation\.0: coordinate nan lies outside"),
    "coordinate inf": (polygon(0, 0, 3, math.inf, 3, 3), rf"{FIRST}segmentation\.0: coordinate inf lies outside"),
    "odd polygon": (polygon(0, 0, 3, 0, 3, 3, 1), rf"{FIRST}segmentation\.0: .* three or more points x, y, got 7"),
    "two points": (polygon(0, 0, 3, 3), rf"{FIRST}segmentation\.0: .* three or more points x, y, got 4"),
    "no point": (polygon(), rf"{FIRST}segmentation\.0: .* three or more points x, y, got 0"),
    "points as pairs": (polygon([0, 0], [3, 0], [3, 3]), rf"{FIRST}segmentation\.0: a polygon is a list of numbers"),
    "text in a polygon": (polygon("0", "0", "3", "0", "3", "3"), rf"{FIRST}segmentation\.0: a polygon is a list of nu"),
    "one flat list": (
        annotation(segmentation=[0, 0, 3, 0, 3, 3]),
        rf"{FIRST}segmentation\.0: a polygon is a list of n",
    ),
    "outline as text": (
        annotation(segmentation="0 0 3 3"),
        rf"{FIRST}segmentation: polygons or run lengths are needed",
    ),
    "box of nan": (annotation(bbox=[math.nan, 0, 3, 3]), rf"{FIRST}bbox: .* do not lie in the 16x12 image"),
    "box of inf": (annotation(bbox=[0, 0, math.inf, 3]), rf"{FIRST}bbox: .* do not lie in the 16x12 image"),
    "box of negative size": (annotation(bbox=[5, 5, -3, 3]), rf"{FIRST}bbox: .* do not lie in the 16x12 image"),
    "box partly outside": (annotation(bbox=[10, 3, 12, 3]), rf"{FIRST}bbox: .* do not lie in the 16x12 image"),
    "box of three": (annotation(bbox=[1, 2, 3]), rf"{FIRST}bbox: four numbers x, y, width, height are needed"),
    "box of text": (annotation(bbox=["1", "1", "3", "3"]), rf"{FIRST}bbox: four numbers"),
    "no box": (without("annotations", "bbox"), rf"{FIRST}bbox: required field is missing"),
    "crowd as text": (annotation(iscrowd="0"), rf"{FIRST}iscrowd: 0 or 1 is needed, got '0'"),
    "area nan": (annotation(area=math.nan), rf"{FIRST}area: a number from 0 is needed, got nan"),
    "area as text": (annotation(area="9"), rf"{FIRST}area: a number from 0 is needed, got '9'"),
    "category as text": (annotation(category_id="17"), rf"{FIRST}category_id: a whole number is needed, got '17'"),
    "unknown category": (annotation(category_id=2), rf"{FIRST}category_id 2 is none of categories"),
    "unknown image": (annotation(image_id=8), rf"{FIRST}image_id 8 is none of images"),
    "list for an image": (annotation(image_id=[9]), rf"{FIRST}image_id: a whole number is needed, got \[9\]"),
    "annotation is a number": (
        lambda c: c["annotations"].insert(0, 5),
        r"annotations\.0: a mapping of fields is needed",
    ),
    "annotation twice": (annotation(id=901), r"annotations: id 901 occurs 2 times; each may occur once"),
    "height inf": (image(height=math.inf), r"images\.0: height: a whole number is needed, got inf"),
    "height zero": (image(height=0), r"images\.0: height: 1 to 65,535 pixels are possible, got 0"),
    "width negative": (image(width=-16), r"images\.0: width: 1 to 65,535 pixels are possible, got -16"),
    "width huge": (image(width=10**12), r"images\.0: width: 1 to 65,535 pixels are possible"),
    "width as text": (image(width="16"), r"images\.0: width: a whole number is needed, got '16'"),
    "another height": (
        lambda c: c["images"][1].update(height=H + 1),
        rf"{B}\.jpg: 16x12 pixels, but its entry in the instances file says 16x13",
    ),
    "no file name": (without("images", "file_name"), r"images\.0: file_name: required field is missing"),
    "file name is a number": (image(file_name=5), r"images\.0: file_name: text is needed, got 5"),
    "file outside": (image(file_name="../x.jpg"), r"images\.0: file_name: a file below the image folder is needed"),
    "NUL in a file name": (image(file_name="a\0.jpg"), r"images\.0: file_name: a file below the image folder"),
    "half a character in a file name": (image(file_name="\ud800.jpg"), r"images\.0: file_name: a file below the image"),
    "image twice": (image(id=25), r"images: id 25 occurs 2 times; each may occur once"),
    "file name twice": (image(file_name=f"{B}.png"), rf"images: file_name \(without suffix\) '{B}' occurs 2 times"),
    "category twice": (category(id=3), r"categories: id 3 occurs 2 times; each may occur once"),
    "two categories of one name": (category(name="car"), r"categories: name 'car' occurs 2 times; each may occur once"),
    "category without name": (category(name=None), r"categories\.0: name: text on one line is needed, got"),
    "category that steers a terminal": (category(name="\x1b[2J"), r"categories\.0: name: text on one line is needed"),
    "category of a truth value": (category(id=True), r"categories\.0: id: a whole number is needed, got True"),
    "category called background": (category(name="Background"), r"category 1 of .* is called 'Background' like the cl"),
    "no images": (lambda c: c.pop("images"), r"the top level needs the list 'images'"),
    "annotations as a mapping": (lambda c: c.update(annotations={}), r"the top level needs the list 'annotations'"),
    "categories null": (lambda c: c.update(categories=None), r"the top level needs the list 'categories'"),
    "no image at all": (lambda c: c.update(images=[], annotations=[]), r"2014\.json: holds no image"),
    "nothing of the classes": (lambda c: c.update(annotations=[]), r"2014\.json: no image has an annotation of one of"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_one_sentence_and_the_same_at_check_and_plan(coco: CocoFolder, fault: str) -> None:
    change, sentence = FAULTS[fault]
    changed(coco, change)
    said = planned(coco)
    assert re.search(sentence, said), said
    assert "\n" not in said
    assert checked(coco) == [said]


@pytest.mark.parametrize("kind", ["pipe", "folder", "dangling link", "deep", "5,000 digits", "no UTF-8"])
def test_what_is_no_json_file_is_one_sentence(coco: CocoFolder, kind: str) -> None:
    params = coco.params()
    path = coco.root / "annotations" / "instances_train2014.json"
    path.unlink()
    contents = {"deep": b'{"images": ' + b"[" * 9000 + b"]" * 9000 + b"}", "no UTF-8": b'{"images": "\xff"}'}
    contents["5,000 digits"] = b'{"images": [' + b"7" * 5000 + b"]}"
    if kind in contents:
        path.write_bytes(contents[kind])
    else:
        {"pipe": os.mkfifo, "folder": Path.mkdir, "dangling link": lambda p: p.symlink_to("nowhere")}[kind](path)
    words = {
        "deep": "nested more",
        "5,000 digits": "5000 digits",
        "no UTF-8": "not UTF-8",
        "dangling link": "is a link",
    }
    with pytest.raises(DataError, match=rf"instances_train2014\.json: .*{words.get(kind, f'is a {kind}')}"):
        CocoDataset(params)


def test_images_of_a_malformed_entry_are_told_once(coco: CocoFolder) -> None:
    changed(coco, image(height=None))
    assert [message.partition(".json: ")[2] for message in checked(coco)] == [
        "images.0: height: a whole number is needed, got None"
    ]


def test_a_pipe_among_the_images_is_a_defect(coco: CocoFolder) -> None:
    coco.params()
    path = coco.root / "train2014" / f"{B}.jpg"
    path.unlink()
    os.mkfifo(path)
    assert checked(coco) == [planned(coco)] == [f"{path}: is a pipe, a file is needed"]


@pytest.mark.parametrize(("orientation", "height"), [(3, H), (6, W)])
def test_photographs_that_exif_turns_are_refused_or_read_as_stored(
    coco: CocoFolder, orientation: int, height: int
) -> None:
    """By 180 degrees nothing tells on which pixels annotations are drawn; by 90 the sides of the entry do."""
    coco.annotations["train"][25] = [rectangle(90, 0, 0, 4, 4)]
    changed(coco, lambda c: c["images"][1].update(height=height, width=H + W - height))
    path = coco.root / "train2014" / f"{B}.jpg"
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.open(path).save(path, exif=exif)
    assert checked(coco) == [planned(coco)]
    assert f"{path}: its EXIF orientation {orientation} says" in planned(coco)
    if height == H:
        assert check(CocoDataset(coco.params(exif="stored"))).clean


def test_a_list_of_file_names_is_one_sentence(coco: CocoFolder) -> None:
    (coco.root / "some.txt").write_text(f"{C}.jpg\n{A}.jpg\n")
    assert checked(coco, train_list="some.txt") == [planned(coco, train_list="some.txt")]
    assert f"some.txt: '{C}.jpg' is the name of a file" in planned(coco, train_list="some.txt")


def test_files_in_folders_ids_of_text_and_rounded_coordinates_are_read(coco: CocoFolder) -> None:
    def change(content: dict[str, Any]) -> None:
        content["images"][1] |= {"id": "b", "file_name": f"sub/{B}.jpg", "height": float(H)}
        content["annotations"][3] |= {"image_id": "b", "bbox": [-0.5, 0, W + 1, 4], "id": "b1"}
        content["annotations"][3]["segmentation"] = [[-0.9, 0, W + 0.9, 0, W + 0.9, 4, -0.9, 4]]

    changed(coco, change)
    (coco.root / "train2014" / "sub").mkdir()
    (coco.root / "train2014" / f"{B}.jpg").rename(coco.root / "train2014" / "sub" / f"{B}.jpg")
    dataset = CocoDataset(coco.params())
    assert check(dataset).clean
    assert dataset.ids("train") == (A, f"sub/{B}", C)
    assert dataset.boxes(f"sub/{B}") == (Box(6, 0, 0, W, 4),)
    assert (dataset.mask(f"sub/{B}")[:4] == 6).all()


def test_classes_do_not_depend_on_the_order_of_the_file(coco: CocoFolder) -> None:
    before = CocoDataset(coco.params())
    for split in ("train", "val"):
        coco.write(split, categories=[{"name": name, "id": n} for n, name in reversed(CATEGORIES.items())])
    after = CocoDataset(coco.params())
    assert after.classes == before.classes == ("background", *CATEGORIES.values())
    assert after.digests("train") == before.digests("train")
    coco.write("val")
    assert CocoDataset(coco.params()).classes == before.classes


@given(st.lists(st.integers(0, 1), min_size=H * W, max_size=H * W).map(lambda flat: np.reshape(flat, (H, W))))
def test_run_lengths_are_painted_as_pycocotools_does(region: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        encoded = tool._mask.encode(np.asfortranarray(region[..., None], np.uint8))[0]
    outline = {"size": [H, W], "counts": encoded["counts"].decode()}
    found = read_runs(outline, (H, W))
    np.testing.assert_array_equal(paint_runs(found, (H, W)), region)
    again = read_runs({"size": [H, W], "counts": found.tolist()}, (H, W))
    np.testing.assert_array_equal(again, found)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=130), max_size=12))
def test_any_string_is_run_lengths_or_refused(text: str) -> None:
    try:
        found = read_runs({"size": [H, W], "counts": text}, (H, W))
    except ValueError:
        return
    assert paint_runs(found, (H, W)).shape == (H, W)


def test_the_commands_check_and_plan_say_the_same(coco: CocoFolder, capfd: pytest.CaptureFixture[str]) -> None:
    from typer.testing import CliRunner

    changed(coco, runs([5, 5]))
    config = {"name": "coco", "params": coco.params().model_dump()}
    (coco.root / "coco.yaml").write_text(json.dumps(config))
    optim = {"iterations": 3, "batch_size": 2}
    sections = {name: {"optim": optim, "augment": {"crop": 16}} for name in ("classifier", "segmenter")}
    segmenter = Path(__file__).parents[2] / "configs" / "segmenters" / "mlp_stride8.py"
    sections["segmenter"]["config"] = str(segmenter)
    benchmark = {
        "name": "x",
        "dataset": "coco.yaml",
        "backbones": ["tiny"],
        "methods": ["box_fill"],
        "protocol": sections,
    }
    (coco.root / "benchmark.yaml").write_text(json.dumps(benchmark))
    sentence = "annotations.0 (id 900): segmentation.counts: the run lengths must add up to the 192 pixels of the image"
    commands = (["datasets", "check", f"{coco.root}/coco.yaml"], ["plan", f"{coco.root}/benchmark.yaml"])
    for command in (commands[0], [*commands[1], "--runs", str(coco.root / "runs")]):
        result = CliRunner().invoke(app, command)
        said = result.output + capfd.readouterr().err + str(result.exception or "")
        assert sentence in said
    assert not (coco.root / "runs").exists()
