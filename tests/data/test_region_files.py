"""Regions without classes that other programs wrote are masks of the image's size, or one sentence."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as tool

from harness.contract import DataError
from harness.data import check_regions, find_regions, read_regions, set_cache

SIZE = (9, 14)
REGIONS = np.random.default_rng(0).random((3, *SIZE)) < [[[0.1]], [[0.5]], [[0.9]]]


def runs(region: Any) -> dict[str, Any]:
    """As SAM writes one mask with ``--convert-to-rle``."""
    encoded = tool.encode(np.asfortranarray(region.astype(np.uint8)))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}


def records(outline: Callable[[Any], Any] = runs) -> list[dict[str, Any]]:
    return [
        {"segmentation": outline(region), "area": int(region.sum()), "bbox": [0, 0, 1, 1], "predicted_iou": 0.9}
        for region in REGIONS
    ]


def as_pngs(folder: Path) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "metadata.csv").write_text("id,area\n")
    for number, region in enumerate(REGIONS):
        Image.fromarray(region.astype(np.uint8) * 255).save(folder / "a" / f"{number}.png")


def as_two_valued_pngs(folder: Path) -> None:
    (folder / "a").mkdir()
    for number, region in enumerate(REGIONS):
        Image.fromarray(region).save(folder / "a" / f"{number}.png")


def as_rgb_pngs(folder: Path) -> None:
    (folder / "a").mkdir()
    for number, region in enumerate(REGIONS):
        Image.fromarray(region).convert("RGB").save(folder / "a" / f"{number}.png")


FORMS: dict[str, Callable[[Path], Any]] = {
    "pngs": as_pngs,
    "pngs_of_two_values": as_two_valued_pngs,
    "pngs_in_rgb": as_rgb_pngs,
    "json": lambda folder: (folder / "a.json").write_text(json.dumps(records())),
    "sa_1b": lambda folder: (folder / "a.json").write_text(json.dumps({"image": {}, "annotations": records()})),
    "records_npy": lambda folder: np.save(folder / "a.npy", records(lambda region: region)),  # type: ignore[arg-type]
    "records_pkl": lambda folder: (folder / "a.pkl").write_bytes(pickle.dumps(records(lambda region: region))),
    "runs_pkl": lambda folder: (folder / "a.pkl").write_bytes(pickle.dumps(records())),
    "npy": lambda folder: np.save(folder / "a.npy", REGIONS),
    "npy_255": lambda folder: np.save(folder / "a.npy", REGIONS.astype(np.uint8) * 255),
    "npz": lambda folder: np.savez_compressed(folder / "a.npz", masks=REGIONS, scores=np.ones(3)),
    "npz_planes": lambda folder: np.savez_compressed(folder / "a.npz", **dict(zip("xyz", REGIONS, strict=True))),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_regions_in_every_form_are_the_same(tmp_path, form):
    FORMS[form](tmp_path)
    place = find_regions(tmp_path, "a")
    assert place is not None
    check_regions(place, SIZE)
    found = read_regions(place, SIZE)
    assert found.dtype == np.bool_
    np.testing.assert_array_equal(found, REGIONS)


def test_an_image_may_have_no_regions_and_another_no_file(tmp_path):
    (tmp_path / "a.json").write_text("[]")
    assert read_regions(tmp_path / "a.json", SIZE).shape == (0, *SIZE)
    assert find_regions(tmp_path, "b") is None


class Attack:
    def __reduce__(self) -> Any:
        return os.system, ("touch owned",)


def folder_of(path: Path, array: Any) -> None:
    (path / "a").mkdir()
    Image.fromarray(array).save(path / "a" / "0.png")


TURNED = REGIONS.transpose(0, 2, 1)


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda p: np.save(p / "a.npy", TURNED), "a.npy: is 14x9, the image 9x14 (height x width)"),
        (lambda p: np.save(p / "a.npy", REGIONS[0]), "holds an array of shape (9, 14); masks (N, H, W), or"),
        (lambda p: np.save(p / "a.npy", REGIONS * 0.5), "the values 0 and 1, or 0 and 255, this one others"),
        (lambda p: np.save(p / "a.npy", np.zeros((1, *SIZE), "U1")), "the values 0 and 1, or 0 and 255"),
        (lambda p: (p / "a.pkl").write_bytes(pickle.dumps([Attack()])), "posix.system, which is not read"),
        (lambda p: (p / "a.json").write_text("[{]"), "a.json: "),
        (lambda p: (p / "a.json").write_text('{"masks": []}'), "holds dict; masks (N, H, W), or a list of records"),
        (lambda p: (p / "a.json").write_text("[7]"), "mask 0: has no 'segmentation' with an array"),
        (lambda p: (p / "a.json").write_text('[{"segmentation": [[1, 2, 3, 4, 5, 6]]}]'), "mask 0: has no 'segm"),
        (
            lambda p: (p / "a.json").write_text(json.dumps([{"segmentation": {"size": [9, 14], "counts": [9, 9]}}])),
            "mask 0: segmentation.counts: the run lengths must add up to the 126 pixels",
        ),
        (
            lambda p: (p / "a.json").write_text(json.dumps([{"segmentation": {"size": [14, 9], "counts": [126]}}])),
            "mask 0: segmentation.size: [14, 9], but the image has [9, 14]",
        ),
        (
            lambda p: (p / "a.json").write_text(
                json.dumps([{"segmentation": {"size": [9, 14], "counts": [126]}}] * 5001)
            ),
            "holds 5,001 masks; up to 5,000 of one image are read",
        ),
        (lambda p: (p / "a.npz").write_bytes(b"nothing"), "a.npz: no .npz file that can be read"),
        (lambda p: np.savez(p / "a.npz", x=REGIONS, y=REGIONS[0]), "holds x, y; one array (N, H, W), or 'masks'"),
        (lambda p: np.savez(p / "a.npz"), "holds nothing; one array (N, H, W), or 'masks'"),
        (lambda p: (p / "a").mkdir(), "a: holds no .png"),
        (lambda p: (p / "a").write_text(""), "a: is no folder"),
        (lambda p: folder_of(p, np.full(SIZE, 7, np.uint8)), "0.png: a mask has the values 0 and 1, or 0 and 255"),
        (lambda p: folder_of(p, np.full((*SIZE, 3), [0, 9, 0], np.uint8)), "0.png: a coloured PNG; a mask of 0 and"),
        (lambda p: ((p / "a").mkdir(), (p / "a" / "0.png").write_text("x")), "0.png: no PNG that can be read"),
        (lambda p: ((p / "a").mkdir(), os.mkfifo(p / "a" / "0.png")), "0.png: is a pipe, a file is needed"),
        (lambda p: (p / "a.npy").symlink_to("nowhere"), "a.npy: is a link to a file that does not exist"),
    ],
)
def test_what_holds_no_regions_of_the_image_is_one_sentence(tmp_path, monkeypatch, write, sentence):
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    place = find_regions(tmp_path, "a")
    assert place is not None
    for ask in (check_regions, read_regions):
        with pytest.raises(DataError) as caught:
            ask(place, SIZE)
        assert sentence in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "owned").exists()


def test_two_places_for_one_image_are_refused(tmp_path):
    FORMS["pngs"](tmp_path)
    FORMS["npy"](tmp_path)
    with pytest.raises(DataError, match=r"image 'a' has a and a.npy in .*; take one away"):
        find_regions(tmp_path, "a")


def test_what_was_checked_is_remembered_for_that_size_alone(tmp_path):
    FORMS["npy"](tmp_path)
    path = tmp_path / "a.npy"
    os.utime(path, (1, 1))
    set_cache(tmp_path / "cache.json")
    try:
        check_regions(path, SIZE)
        with pytest.raises(DataError, match="is 9x14, the image 14x9"):
            check_regions(path, (14, 9))
    finally:
        set_cache(None)
