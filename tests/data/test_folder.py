"""Images in folders: which ones, of which split, with which classes; and what is refused."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np
import pytest

from harness.contract import ConfigError, DataError
from harness.data.checking import check, refuse_blank
from harness.data.configuration import validate
from harness.data.folder import FolderDataset
from harness.data.folder_params import FolderParams
from harness.data.formats import recognise
from tests.data.formats.conftest import Folders


@pytest.fixture
def mine(tmp_path: Any) -> Folders:
    return Folders(tmp_path / "mine")


@pytest.mark.parametrize("suffix", [".tif", ".bmp", ".webp", ".jpg"])
def test_images_of_every_format_are_found_in_subfolders_too(mine: Folders, suffix: str) -> None:
    mine.image("train/deep/er/e", suffix)
    dataset = mine.open()
    assert dataset.ids("train") == ("a", "b", "c", "deep/er/e")
    assert dataset.image("deep/er/e").shape == (12, 16, 3)


def test_lists_choose_images_and_may_name_files(mine: Folders) -> None:
    mine.write("train.txt", "train/c.png\na\n")
    dataset = mine.open(train={"images": "train", "list": "train.txt"})
    assert dataset.ids("train") == ("c", "a")
    mine.write("train.txt", "a\nz\na.png\n")
    (first, second) = mine.defects(train={"images": "train", "list": "train.txt"})
    assert first.endswith("train.txt: 'z' is no image")
    assert second.endswith("train.txt: 'a' and 'a.png' are both 'a'")


def test_a_share_is_held_out_by_the_names_of_images(mine: Folders) -> None:
    for number in range(20):
        mine.image(f"all/{number}")
    dataset = mine.open(train={"images": "all"}, val=None, hold_out=0.25)
    assert (len(dataset.ids("train")), len(dataset.ids("val"))) == (15, 5)
    mine.image("all/20")
    assert set(dataset.ids("val")) & set(mine.open(train={"images": "all"}, val=None, hold_out=0.25).ids("val"))


def test_classes_come_from_a_file_that_need_not_name_the_background(mine: Folders) -> None:
    for name, text in (
        ("classes.txt", "cat\ndog\n"),
        ("labels.txt", "__ignore__\n_background_\ncat\ndog\n"),
        ("data.yaml", "names: [cat, dog]\n"),
        ("coco.json", '{"categories": [{"id": 9, "name": "dog"}, {"id": 2, "name": "cat"}]}'),
    ):
        mine.write(name, text)
        assert mine.open(classes=name).classes[1:] == ("cat", "dog")
    mine.write("classes.txt", "")
    with pytest.raises(DataError, match=r"classes\.txt: lists no class names"):
        mine.open(classes="classes.txt")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"val": None}, "one of val and hold_out is needed"),
        ({"train": {}}, "train.images: a folder of images is needed"),
        ({"images": "train", "train": {}, "val": {}}, "train and val have the same images"),
        ({"tags": {"path": "x", "format": "csw"}}, "tags.format"),
        ({"tagz": "x"}, "tagz: unknown field, did you mean 'tags'"),
    ],
)
def test_a_file_that_contradicts_itself_is_one_sentence(mine: Folders, changes: Any, words: str) -> None:
    fields = mine.params().model_dump(mode="json", exclude_unset=True) | changes
    with pytest.raises(ConfigError, match=words):
        validate(FolderParams, fields, where="mine.yaml")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": ["background"]}, "2 to 254 with the background are possible, got 1"),
        ({"classes": ["background", "cat", "cat"]}, "'cat' occurs twice"),
        ({"classes": {"background": 0, "cat": 0}}, "mask id 0 belongs to both background and cat"),
        ({"classes": {"background": 0, "cat": 300}}, "mask id 300 of 'cat' lies outside"),
        ({"names": {"a": "bird"}}, "names.a: 'bird' is none of the classes, nor 'ignore'"),
        ({"absent": ["background"]}, "absent: 'background' is no class besides the background"),
    ],
)
def test_classes_that_contradict_each_other_are_one_sentence(mine: Folders, changes: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        mine.open(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"root": "/no/such"}, "/no/such: no such folder, see the field root"),
        ({"train": {"images": "trian"}}, "trian: no such folder (field train.images)"),
        ({"train": {"images": "empty"}}, "empty: holds no image (.jpg"),
        ({"train": {"images": "twice"}}, "twice: image 'a' is ambiguous, there are a.bmp and a.png"),
        ({"train": {"images": "again"}}, "image 'd' is a training image too"),
        ({"tags": "masks"}, "tags of train are to come from masks, but the field masks is empty"),
        ({"tags": "boxes"}, "tags of train are to come from boxes, but the field boxes is empty"),
        ({"boxes": "no.csv"}, "no.csv: no such file (field boxes)"),
        ({"points": "no.json"}, "no.json: no such file (field points)"),
    ],
)
def test_images_and_labels_that_are_missing_are_one_sentence(mine: Folders, changes: Any, words: str) -> None:
    (mine.root / "empty").mkdir()
    mine.image("twice/a", ".bmp")
    mine.image("twice/a", ".png")
    mine.image("again/d")
    assert words in mine.defects(**changes)[0]
    with pytest.raises(DataError):
        mine.open(**changes)


def test_the_format_of_a_file_or_folder_is_recognised(mine: Folders) -> None:
    mine.write("a.csv", "image,class\n")
    mine.write("b.json", {"a": []})
    mine.write("c.json", {"annotations": [], "categories": []})
    mine.write("d.xml", "<annotations/>")
    mine.write("yolo/classes.txt", "cat\n")
    mine.write("yolo/train/a.txt", "0 1 1 1 1\n")
    mine.write("voc/a.xml", "")
    mine.write("labelme/a.json", {})
    mine.write("ids/a.png", np.zeros((2, 2), np.uint8))
    mine.write("colours/a.png", np.zeros((2, 2, 3), np.uint8))
    mine.write("colours/._a.png", "of a file system")
    mine.write("values/a.tif", np.zeros((2, 2), np.uint8))
    mine.write("nameless.json", {"images": [], "annotations": []})
    expected = {
        "a.csv": "csv", "b.json": "json", "c.json": "coco", "d.xml": "cvat", "yolo": "yolo", "voc": "voc",
        "labelme": "labelme", "ids": "png", "colours": "rgb", "values": "binary", "nameless.json": "coco",
        "no.csv": "csv", "nothing": None,
    }  # fmt: skip
    assert {name: recognise(mine.root / name) for name in expected} == expected


def test_hidden_files_are_no_images_and_links_that_lead_back_end(mine: Folders) -> None:
    mine.write("train/._a.png", "what macOS leaves beside a.png")
    mine.image("train/.ipynb_checkpoints/a")
    for name in ("one", "two"):
        (mine.root / "train" / name).symlink_to(mine.root / "train")
    assert mine.open().ids("train") == ("a", "b", "c")


@pytest.mark.parametrize("name", [b"caf\xe9.png", b"two\nlines.png"])
def test_a_name_that_no_list_and_no_digest_can_hold_is_refused(mine: Folders, name: bytes) -> None:
    path = mine.root / "train" / os.fsdecode(name)
    path.write_bytes((mine.root / "train" / "a.png").read_bytes())
    (defect,) = mine.defects()
    assert re.search(r"train: the name of image '(caf|two)\S*' is no text of one line; rename it$", defect)


def test_labels_that_are_silent_on_every_training_image_are_a_defect(mine: Folders) -> None:
    for path in ("train/a", "train/b", "val/d"):
        mine.write(f"labels/{path}.txt", "0 0.5 0.5 0.5 0.5\n")
    boxes = {"path": "labels", "format": "yolo", "missing": "empty"}
    told = mine.defects(boxes=boxes)[0]
    assert told.endswith(
        "labels: says nothing about any training image, such as 'a'; see path and suffix (field boxes)"
    )
    with pytest.raises(DataError, match="says nothing about any training image"):
        mine.open(boxes=boxes)
    assert not mine.defects(boxes=boxes | {"path": "labels/train"})


def test_masks_of_validation_images_alone_are_told_to_stand_inside_val(mine: Folders) -> None:
    mine.write("elsewhere/empty.txt", "")
    told = mine.defects(masks={"path": "elsewhere", "missing": "unmasked"})[0]
    assert told.endswith(
        "; see path and suffix, or name it inside val where validation images alone have masks (field masks)"
    )


def test_a_data_set_without_masks_needs_a_training_image_that_shows_a_class(mine: Folders) -> None:
    mine.write("tags.csv", "image,class\na,\nb,background\nc,\nd,cat\n")
    assert mine.defects(tags="tags.csv") == [
        "data set 'tiny': no train image is tagged with a class, so there is nothing to learn"
    ]
    with pytest.raises(DataError, match="no train image is tagged"):
        refuse_blank(mine.open(tags="tags.csv"))
    mine.write("tags.csv", "image,class\na,cat\nb,\nc,\nd,cat\n")
    dataset = mine.open(tags="tags.csv")
    refuse_blank(dataset)
    assert [notice.message for notice in check(dataset).notices if notice.kind == "tags"] == [
        "no image of train is tagged with dog", "no image of val is tagged with dog",
    ]  # fmt: skip


def test_each_file_of_labels_is_parsed_once(mine: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.data.formats import tables

    reads = []
    read_text = tables.read_text
    monkeypatch.setattr(tables, "read_text", lambda path, **options: reads.append(path) or read_text(path, **options))
    mine.write("tags.csv", "image,class\na,cat\nb,cat\nc,dog\nd,dog\n")
    dataset = mine.open(tags="tags.csv")
    for split in ("train", "val"):
        dataset.digests(split)
    assert reads == [mine.root / "tags.csv"]


def test_an_image_that_exif_turns_is_refused_unless_labels_are_drawn_on_what_is_stored(mine: Folders) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("RGB", (16, 12)).save(mine.root / "train" / "e.jpg", exif=exif)
    with pytest.raises(DataError, match=r"turned by 180 degrees.*or say exif: stored"):
        mine.open().digests("train")
    assert mine.open(exif="stored").digests("train")


def test_copies_in_other_processes_read_the_same(mine: Folders) -> None:
    import pickle

    mine.write("tags.csv", "image,class\na,cat\nb,cat\nc,dog\nd,dog\n")
    mine.write("labels/a.txt", "0 0.1 0.1 0.5 0.1 0.5 0.5\n")
    dataset = mine.open(tags="tags.csv", masks={"path": "labels", "missing": "empty"})
    copy: FolderDataset = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(copy.mask("a"), dataset.mask("a"))
    assert copy.tags("c") == (2,)
