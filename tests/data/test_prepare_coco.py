"""COCO: three archives are unpacked and counted; 80 categories with ids 1 to 90 become classes 1 to 80."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.contract import Box
from harness.data.checking import check
from harness.data.configuration import build_dataset, expand_env, load_yaml
from harness.data.prepare.coco import COCO_2014, COCO_2017, Counts, Release, steps
from harness.data.prepare.steps import Outcome, run_steps
from harness.registry import manager
from tests.data import published

CONFIGS = Path(__file__).parents[2] / "configs" / "datasets"


def tiny(release: Release, root: Path) -> Release:
    """The release in small, its archives in ``root``."""
    files = published.coco_files(release.year)
    archives = tuple(published.pack(archive, files[archive.name], root) for archive in release.archives)
    return replace(release, archives=archives, train=Counts(3, 2), val=Counts(2, 1))


def prepare(root: Path, release: Release) -> dict[str, Outcome]:
    work = steps(root, download=False, release=release)
    return {outcome.step: outcome for outcome in run_steps(work, root / ".lock")}


@pytest.mark.parametrize("original", [COCO_2014, COCO_2017], ids=lambda release: str(release.year))
def test_archives_become_what_the_shipped_configuration_reads(
    original: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = prepare(tmp_path, tiny(original, tmp_path))
    assert {outcome.state for outcome in outcomes.values()} == {"done now"}
    assert outcomes["check"].text == "train 2 of 3, val 1 of 2 images have an annotation"
    monkeypatch.setenv("WSSS_DATA", str(tmp_path))
    path = CONFIGS / f"coco{original.year}.yaml"
    config = expand_env(load_yaml(path), where=str(path))
    dataset = build_dataset(config["name"], config["params"], where=str(path), plugins=manager())
    assert (len(dataset.ids("train")), len(dataset.ids("val"))) == (2, 1)
    assert dataset.classes == ("background", *published.COCO_CATEGORIES.values())
    toothbrush, person = dataset.ids("train")
    for image_id, cls in ((toothbrush, 80), (person, 1)):
        assert dataset.tags(image_id) == (cls,)
        assert dataset.boxes(image_id) == (Box(cls, 2, 1, 8, 7),)
        assert set(np.unique(dataset.mask(image_id))) == {0, cls}
    assert check(dataset).clean


def test_a_second_time_everything_is_there_even_without_archives(tmp_path: Path) -> None:
    release = tiny(COCO_2014, tmp_path)
    prepare(tmp_path, release)
    for archive in release.archives:
        (tmp_path / archive.name).unlink()
    outcomes = prepare(tmp_path, release)
    assert [outcome.state for outcome in outcomes.values()] == ["done before"] * 6 + ["done now"]


def test_only_instances_are_unpacked(tmp_path: Path) -> None:
    prepare(tmp_path, tiny(COCO_2014, tmp_path))
    names = sorted(path.name for path in (tmp_path / "coco2014" / "annotations").iterdir())
    assert names == ["instances_train2014.json", "instances_val2014.json"]


def test_the_numbers_of_the_field_are_the_default(tmp_path: Path) -> None:
    assert (COCO_2014.train, COCO_2014.val) == ((82783, 82081), (40504, 40137))
    assert (COCO_2017.train, COCO_2017.val) == ((118287, 117266), (5000, 4952))
    release = replace(tiny(COCO_2014, tmp_path), train=COCO_2014.train)
    text = prepare(tmp_path, release)["check"].text
    assert "3 images, 2 with an annotation, but 82783 and 82081 are published" in text


def test_a_missing_image_and_a_damaged_file_are_named(tmp_path: Path) -> None:
    release = tiny(COCO_2014, tmp_path)
    prepare(tmp_path, release)
    image = min((tmp_path / "coco2014" / "train2014").iterdir())
    image.unlink()
    text = prepare(tmp_path, release)["check"].text
    assert text == f"{image}: no such file (and 0 more of the instances file)"
    path = tmp_path / "coco2014" / "annotations" / "instances_train2014.json"
    for content in (json.dumps({"images": []}).encode(), b"[]"):
        path.write_bytes(content)
        assert prepare(tmp_path, release)["check"].text.startswith(f"{path}: no instances file")
    path.write_bytes(b"{")
    assert prepare(tmp_path, release)["check"].text.startswith(f"{path}: no valid JSON")
    path.unlink()
    assert prepare(tmp_path, release)["check"].text.startswith(f"{path}: no such file")
