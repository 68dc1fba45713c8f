"""VOC 2012 with SBD: archives in the original layout become ``train_aug``, and every interruption is made good."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.contract import Box, DataError
from harness.data.checking import check
from harness.data.configuration import build_dataset, expand_env, load_yaml
from harness.data.prepare.steps import Outcome, run_steps
from harness.data.prepare.voc2012 import LISTS, SBD, VOC, Lists, read_sbd, steps
from harness.registry import manager
from tests.data import published

CONFIG = Path(__file__).parents[2] / "configs" / "datasets" / "voc2012.yaml"
TINY = Lists({"train": 2, "train_aug": 4, "val": 1})
MASKS = "SegmentationClassAug"


class Published:
    """A data folder that holds both archives."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.root = root
        self.voc = root / "VOC2012"
        self.archives = (
            published.pack(VOC, published.voc_files(), root),
            published.pack(SBD, published.sbd_files(), root),
        )

    def prepare(self, *, lists: Lists = TINY, progress: Any = None) -> dict[str, Outcome]:
        work = steps(self.root, download=False, archives=self.archives, lists=lists)
        return {outcome.step: outcome for outcome in run_steps(work, self.root / ".lock", progress=progress)}

    def states(self) -> list[str]:
        return [outcome.state for outcome in self.prepare().values()]

    def mask(self, image_id: str) -> Path:
        return self.voc / MASKS / f"{image_id}.png"


@pytest.fixture
def data(tmp_path: Path) -> Published:
    return Published(tmp_path / "data")


def test_archives_become_what_the_shipped_configuration_reads(data: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = data.prepare()
    assert {outcome.state for outcome in outcomes.values()} == {"done now"}
    assert outcomes["check"].text == "train 2, train_aug 4, val 1"
    monkeypatch.setenv("WSSS_DATA", str(data.root))
    config = expand_env(load_yaml(CONFIG), where=str(CONFIG))
    dataset = build_dataset(config["name"], config["params"], where=str(CONFIG), plugins=manager())
    assert dataset.ids("train") == published.TRAIN_AUG
    assert dataset.ids("val") == published.VOC_VAL
    assert len(dataset.classes) == 21
    assert dataset.tags("2008_000002") == (8, 15)
    assert dataset.boxes("2008_000002") == (Box(8, 3, 2, 9, 8), Box(15, 0, 9, 4, 11))
    np.testing.assert_array_equal(dataset.mask("2008_000002"), published.sbd_mask())
    for image_id in (*published.VOC_TRAIN, *published.VOC_VAL):
        np.testing.assert_array_equal(dataset.mask(image_id), published.voc_mask())
    report = check(dataset)
    absent = "aeroplane, bicycle, bird, boat, bottle, bus, car, chair, cow"
    assert [defect.message.split(": ")[1].partition(", diningtable")[0] for defect in report.defects] == [
        f"no train mask shows {absent}"  # of the four images; nothing else is defective
    ]


def test_masks_are_those_that_torchvision_reads_in_the_colours_of_voc(data: Published, tmp_path: Path) -> None:
    from torchvision.datasets import SBDataset, VOCSegmentation

    data.prepare()
    theirs = SBDataset(data.root / "SBD", image_set="train", mode="segmentation")
    assert [Path(path).stem for path in theirs.masks] == list(published.SBD_TRAIN)
    expected = theirs._get_segmentation_target(theirs.masks[2])
    with Image.open(data.mask("2008_000008")) as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))
        assert (image.mode, image.getpalette()) == ("P", published.COLOURS)
    devkit = tmp_path / "VOCdevkit"
    devkit.mkdir()
    (devkit / "VOC2012").symlink_to(data.voc)
    for split, ids in (("train", published.VOC_TRAIN), ("val", published.VOC_VAL)):
        assert [Path(path).stem for path in VOCSegmentation(tmp_path, image_set=split).images] == list(ids)


def test_where_both_have_a_mask_it_is_vocs_to_the_byte(data: Published) -> None:
    data.prepare()
    data.mask("2007_000032").write_bytes(data.mask("2008_000002").read_bytes())
    assert data.prepare()[MASKS].text == "1 of 5 masks written"
    for image_id in (*published.VOC_TRAIN, *published.VOC_VAL):
        own = data.voc / "SegmentationClass" / f"{image_id}.png"
        assert data.mask(image_id).read_bytes() == own.read_bytes()


def test_a_second_time_nothing_is_left_to_do_even_without_archives_and_sbd(data: Published) -> None:
    data.prepare()
    before = {path: path.stat().st_mtime_ns for path in data.voc.rglob("*") if path.is_file()}
    assert data.states() == ["done before"] * 6 + ["done now"]
    shutil.rmtree(data.root / "SBD")
    for archive in data.archives:
        (data.root / archive.name).unlink()
    assert data.states() == ["done before"] * 6 + ["done now"]
    assert {path: path.stat().st_mtime_ns for path in data.voc.rglob("*") if path.is_file()} == before


def test_an_interrupted_conversion_goes_on_where_it_stopped(data: Published) -> None:
    def interrupt(step: str, done: int, total: int) -> None:
        if step == MASKS and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        data.prepare(progress=interrupt)
    kept = data.mask("2007_000032").stat().st_mtime_ns
    assert data.prepare()[MASKS].text == "3 of 5 masks written"
    assert data.mask("2007_000032").stat().st_mtime_ns == kept


@pytest.mark.parametrize("cut", [0, 30, -3])
def test_a_mask_that_is_cut_short_is_made_again(data: Published, cut: int) -> None:
    data.prepare()
    whole = data.mask("2008_000008").read_bytes()
    data.mask("2008_000008").write_bytes(whole[:cut])
    assert data.prepare()[MASKS].text == "1 of 5 masks written"
    assert data.mask("2008_000008").read_bytes() == whole


def test_a_list_that_is_not_the_customary_one_is_written_again(data: Published) -> None:
    data.prepare()
    path = data.voc / "ImageSets" / "Segmentation" / "train_aug.txt"
    for wrong in (published.TRAIN_AUG[:3], published.TRAIN_AUG[::-1]):
        path.write_bytes(published.lines(wrong))
        assert data.prepare()["train_aug.txt"].state == "done now"
        assert path.read_bytes() == published.lines(published.TRAIN_AUG)


def test_lists_that_are_no_text_are_written_again_or_named(data: Published) -> None:
    data.prepare()
    folder = data.voc / "ImageSets" / "Segmentation"
    (folder / "train_aug.txt").write_bytes(b"\xff\xfe")
    assert data.prepare()["train_aug.txt"].state == "done now"
    (folder / "val.txt").write_bytes(b"\xff\xfe")
    outcome = data.prepare()["train_aug.txt"]
    assert (outcome.state, outcome.text) == ("failed", f"{folder / 'val.txt'}: is not UTF-8 text (byte 0)")


def test_wrong_counts_and_other_ids_are_told(data: Published) -> None:
    outcomes = data.prepare(lists=LISTS)
    assert "train.txt: 2 ids, but 1464 are customary" in outcomes["train_aug.txt"].text
    assert [outcomes[name].state for name in ("train_aug.txt", MASKS, "check")] == ["failed", "waiting", "waiting"]
    outcomes = data.prepare(lists=Lists({**TINY.counts, "train_aug": 5}))
    assert f"VOC and SBD in {data.root / 'SBD'} give 4 ids, but 5 are customary" in outcomes["train_aug.txt"].text
    data.prepare()
    val = data.voc / "ImageSets" / "Segmentation" / "val.txt"
    val.write_bytes(published.lines((*published.VOC_VAL, "2008_000002")))
    assert "val.txt: 2 ids, but 1 are customary" in data.prepare()["train_aug.txt"].text
    others = Lists(TINY.counts, {"train": "0" * 64})
    val.write_bytes(published.lines(published.VOC_VAL))
    assert "train.txt: 2 ids, but other ones than the customary" in data.prepare(lists=others)["train_aug.txt"].text


def test_the_numbers_of_the_field_are_the_default() -> None:
    assert dict(LISTS.counts) == {"train": 1464, "train_aug": 10582, "val": 1449}
    assert set(LISTS.sha256) == {"train", "train_aug"}
    assert "other ones" in str(LISTS.problem("train", map(str, range(1464))))


def test_archives_are_those_of_torchvision() -> None:
    from torchvision.datasets import SBDataset
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    theirs = DATASET_YEAR_DICT["2012"]
    assert (VOC.name, VOC.checksum) == (theirs["filename"], f"md5:{theirs['md5']}")
    assert (SBD.name, SBD.checksum, SBD.url) == (SBDataset.filename, f"md5:{SBDataset.md5}", SBDataset.url)


def test_without_archives_each_is_named_with_page_and_place(data: Published) -> None:
    for archive in data.archives:
        (data.root / archive.name).unlink()
    outcomes = data.prepare()
    for archive in (VOC, SBD):
        assert outcomes[archive.name].state == "missing"
        assert f"get {archive.name} from {archive.page} and put it into {data.root}" in outcomes[archive.name].text
    assert [o.state for o in outcomes.values()] == ["missing", "waiting"] * 2 + ["waiting"] * 3


def test_a_file_that_is_gone_is_named(data: Published) -> None:
    data.prepare()
    for name in ("JPEGImages/2008_000002.jpg", "Annotations/2008_000002.xml"):
        content = (data.voc / name).read_bytes()
        (data.voc / name).unlink()
        outcome = data.prepare()["check"]
        assert (outcome.state, outcome.text.startswith(f"{data.voc / name}: no such file")) == ("failed", True)
        (data.voc / name).write_bytes(content)


def test_a_damaged_mat_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cls" / "x.mat"
    path.parent.mkdir()
    with pytest.raises(DataError, match=r"x\.mat: no such file; move .* away"):
        read_sbd(path)
    whole = published.sbd_mat(published.sbd_mask())
    for content in (b"", b"no mat", whole[:200], whole[: len(whole) // 2], b"\x00" * 300):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"x\.mat: damaged or no mask of SBD"):
            read_sbd(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match=r"x\.mat: is a pipe, a file is needed; move .* away"):
        read_sbd(path)
    path.unlink()
    path.write_bytes(published.sbd_mat(np.full((3, 4), 21, np.uint8)))
    with pytest.raises(DataError, match="ids 0 to 20"):
        read_sbd(path)


def test_an_image_that_sbd_lists_but_does_not_hold_is_named(data: Published) -> None:
    files = published.sbd_files()
    del files["benchmark_RELEASE/dataset/cls/2008_000008.mat"]
    data.archives = (data.archives[0], published.pack(SBD, files, data.root))
    outcome = data.prepare()[MASKS]
    assert outcome.state == "failed"
    assert "2008_000008.mat: no such file" in outcome.text
