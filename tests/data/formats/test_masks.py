"""Masks of ids, of two values and in colour; and one sentence for each mask that cannot be meant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.contract import Box, DataError

H, W = 12, 16
COLOURS = {"sky": [128, 128, 128], "road": "#804080", "void": [[0, 0, 0], [1, 1, 1]]}
CLASSES = ["sky", "road"]


def plane(value: int = 1) -> np.ndarray:
    mask = np.zeros((H, W), np.uint8)
    mask[3:9, 2:8] = value
    return mask


def write_all(folders: Any, content: np.ndarray, ending: str = ".png") -> None:
    for image_id in "abcd":
        folders.write(f"masks/{image_id}{ending}", content)


def test_ids_are_the_places_of_classes_or_those_that_are_listed(folders: Any) -> None:
    write_all(folders, plane(2))
    dataset = folders.open(masks="masks")
    np.testing.assert_array_equal(dataset.mask("a"), plane(2))
    assert dataset.boxes("a") == (Box(2, 2, 3, 8, 9),)
    assert dataset.tags("a") == (2,)
    assert dataset.boxes_from_masks == ("cat", "dog")
    assert dataset.class_ids == (0, 1, 2)
    write_all(folders, plane(8))
    listed = folders.open(masks="masks", classes={"background": 0, "cat": [8, 9]})
    np.testing.assert_array_equal(listed.mask("a"), plane(1))
    assert listed.class_ids == (0, 8)


@pytest.mark.parametrize("ending", [".png", ".tif", ".bmp"])
@pytest.mark.parametrize("colours", [False, True])
def test_masks_of_two_values_are_read_from_any_lossless_file(folders: Any, ending: str, colours: bool) -> None:
    mask = plane(255)
    write_all(folders, np.repeat(mask[..., None], 3, axis=2) if colours else mask, ending)
    dataset = folders.open(masks={"path": "masks", "format": "binary"}, classes=["background", "cat"])
    np.testing.assert_array_equal(dataset.mask("a"), plane(1))
    assert set(dataset.digests("train")) == {"ids", "images", "tags", "boxes", "masks"}


TABLES = (
    "",
    "name,r,g,b\nsky,128,128,128\nroad,128,64,128\nvoid,0,0,0\nvoid,1,1,1\n",
    "128 128 128\tsky\n128 64 128\troad\n0 0 0\tvoid\n1 1 1\tvoid\n",
    "sky 128 128 128\nroad 128 64 128\nvoid 0 0 0\nvoid 1 1 1\n",
)


@pytest.mark.parametrize("as_file", TABLES)
def test_masks_in_colour_are_read_with_a_table(folders: Any, as_file: str) -> None:
    colours = np.full((H, W, 3), 128, np.uint8)
    colours[3:9, 2:8] = 128, 64, 128
    colours[0] = 0
    colours[1] = 1
    write_all(folders, colours)
    folders.write("colours.csv", as_file)
    stated = {"path": "masks", "colours": "colours.csv" if as_file else COLOURS}
    for further in ({"names": {"void": "ignore"}}, {"other": "ignore"}):
        dataset = folders.open(masks=stated, classes=CLASSES, **further)
        expected = plane(1)
        expected[:2] = 255
        np.testing.assert_array_equal(dataset.mask("a"), expected)
    first = dataset.digests("train")["masks"]
    swapped = folders.open(masks=stated, classes=CLASSES[::-1], other="ignore").digests("train")["masks"]
    assert first != swapped


def test_masks_beside_the_images_are_told_by_their_suffix(folders: Any) -> None:
    for image_id in ("train/a", "train/b", "train/c", "val/d"):
        folders.write(f"{image_id}_L.png", plane())
    masks = {"suffix": "_L"}
    dataset = folders.open(
        train={"images": "train", "masks": masks | {"path": "train"}},
        val={"images": "val", "masks": masks | {"path": "val"}},
    )
    assert dataset.ids("train") == ("a", "b", "c")
    np.testing.assert_array_equal(dataset.mask("d"), plane())


def test_an_image_without_mask_shows_nothing_where_that_is_meant(folders: Any) -> None:
    folders.write("masks/a.png", plane())
    folders.write("masks/d.png", plane())
    dataset = folders.open(masks={"path": "masks", "missing": "empty"})
    assert not dataset.mask("b").any()
    assert dataset.tags("b") == ()
    messages = folders.defects(masks="masks")
    assert messages[0].startswith(f"{folders.root}/masks/b.png: no such file; say missing: empty")


def test_training_images_may_have_no_masks_and_validation_images_some(folders: Any) -> None:
    folders.write("masks/d.png", plane())
    for changes in (
        {"val": {"images": "val", "masks": "masks"}},
        {"masks": "masks", "train": {"images": "train", "masks": "none"}},
    ):
        dataset = folders.open(**changes)
        assert dataset.unmasked == ("train",)
        assert set(dataset.digests("train")) == {"ids", "images"}
        assert "masks" in dataset.digests("val")
        assert folders.defects(**changes) == []


BINARY = {"masks": {"path": "masks", "format": "binary"}, "classes": ["background", "cat"]}
RGB = {"masks": {"path": "masks", "colours": COLOURS}, "classes": CLASSES, "names": {"void": "ignore"}}
COLOUR = np.full((H, W, 3), (9, 8, 7), np.uint8)


@pytest.mark.parametrize(
    ("changes", "content", "words"),
    [
        ({"masks": "masks"}, plane(3), "mask id 3 is in no class, see fields classes and other"),
        ({"masks": "masks", "classes": ["background", "cat"], "ignore_ids": []}, plane(255), "say format: binary"),
        ({"masks": "masks"}, plane()[:11], "a.png: 16x11 pixels, but the image"),
        (BINARY, plane(2), "a binary mask holds 0 and 255, or 0 and 1, this one holds 0, 2"),
        (BINARY, COLOUR, "a mask of two values is needed, this one has colours; see format: rgb"),
        (BINARY | {"classes": ["background", "cat", "dog"]}, plane(), "binary masks tell two classes"),
        (RGB, COLOUR, "colour [9, 8, 7] is not in the table, see the fields colours and other"),
        ({"masks": "masks"}, COLOUR, "masks in colour need a table: colours: {name: [r, g, b]}"),
        (RGB | {"names": {}}, COLOUR, "colours: 'void' is none of the classes"),
        (RGB | {"masks": {"path": "masks", "colours": {"sky": [1, 2]}}}, COLOUR, "colours: sky: a colour is [r, g, b]"),
        (RGB | {"masks": {"path": "masks", "colours": {"sky": "#010203", "road": [1, 2, 3]}}}, COLOUR, "already"),
        (RGB | {"masks": {"path": "masks", "colours": "no.csv"}}, COLOUR, "no.csv: no such file"),
        ({"masks": "none.d"}, plane(), "none.d: no such file or folder"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_masks_is_one_sentence(folders: Any, changes: Any, content: np.ndarray, words: str) -> None:
    write_all(folders, content)
    assert words in folders.defects(**changes)[0]


def test_jpeg_is_no_mask_whatever_its_name(folders: Any) -> None:
    write_all(folders, plane())
    Image.fromarray(COLOUR).save(folders.root / "masks" / "a.png", format="JPEG")
    with pytest.raises(DataError, match="a mask must be PNG, TIFF or BMP, which keep every value"):
        folders.open(**RGB).digests("train")


@pytest.mark.parametrize(("other", "cls"), [("ignore", 255), ("background", 0)])
def test_a_colour_that_no_class_has_is_what_the_file_says(folders: Any, other: str, cls: int) -> None:
    pixels = np.full((H, W, 3), 128, np.uint8)
    pixels[0, 0] = 9, 8, 7
    pixels[1, 1] = 0x80, 0x40, 0x80
    write_all(folders, pixels)
    masks = {"path": "masks", "colours": {"sky": [128, 128, 128], "road": "#804080"}}
    dataset = folders.open(masks=masks, classes=CLASSES, other=other)
    assert dataset.mask("a")[0, :2].tolist() == [cls, 0]
    assert dataset.mask("a")[1, 1] == 1


def test_masks_of_0_and_255_that_are_taken_for_ids_name_the_format_that_reads_them(folders: Any) -> None:
    write_all(folders, plane(255))
    (told,) = folders.defects(masks="masks", classes=["background", "cat"])
    assert "masks of 0 and 255 need format: binary" in told
