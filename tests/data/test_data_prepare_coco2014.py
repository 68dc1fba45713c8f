"""COCO 2014: three archives are unpacked and counted; 80 categories with ids 1 to 90 become classes 1 to 80."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import published
import pytest

from harness.contract import Box
from harness.data.check import check
from harness.data.load import build_dataset, expand_env, load_yaml
from harness.data.prepare.coco2014 import ARCHIVES, COUNTS, Counts, steps
from harness.data.prepare.steps import Outcome, run_steps
from harness.plugins import manager

CONFIG = Path(__file__).parents[2] / "configs" / "datasets" / "coco2014.yaml"
TINY = {"train": Counts(3, 2), "val": Counts(2, 1)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = published.coco_files()
    for archive in ARCHIVES:
        published.pack(archive, files[archive.name], tmp_path)
    return tmp_path


def prepare(root: Path, counts: dict[str, Counts] = TINY) -> dict[str, Outcome]:
    files = published.coco_files()
    archives = tuple(published.pack(archive, files[archive.name], root) for archive in ARCHIVES)
    work = steps(root, download=False, archives=archives, counts=counts)
    return {outcome.step: outcome for outcome in run_steps(work, root / ".lock")}


def test_archives_become_what_the_shipped_configuration_reads(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = prepare(root)
    assert {outcome.state for outcome in outcomes.values()} == {"done now"}
    assert outcomes["check"].text == "train 2 of 3, val 1 of 2 images have an annotation"
    monkeypatch.setenv("WSSS_DATA", str(root))
    config = expand_env(load_yaml(CONFIG), where=str(CONFIG))
    dataset = build_dataset(config["name"], config["params"], where=str(CONFIG), plugins=manager())
    assert (len(dataset.ids("train")), len(dataset.ids("val"))) == (2, 1)
    assert dataset.classes == ("background", *published.COCO_CATEGORIES.values())
    toothbrush, person = dataset.ids("train")
    for image_id, cls in ((toothbrush, 80), (person, 1)):
        assert dataset.tags(image_id) == (cls,)
        assert dataset.boxes(image_id) == (Box(cls, 2, 1, 8, 7),)
        assert set(np.unique(dataset.mask(image_id))) == {0, cls}
    assert check(dataset).clean


def test_a_second_time_everything_is_there_even_without_archives(root: Path) -> None:
    prepare(root)
    for archive in ARCHIVES:
        (root / archive.name).unlink()
    outcomes = list(run_steps(steps(root, download=False, counts=TINY), root / ".lock"))
    assert [outcome.state for outcome in outcomes] == ["done before"] * 6 + ["done now"]


def test_only_instances_are_unpacked(root: Path) -> None:
    prepare(root)
    names = sorted(path.name for path in (root / "coco2014" / "annotations").iterdir())
    assert names == ["instances_train2014.json", "instances_val2014.json"]


def test_the_numbers_of_the_field_are_the_default(root: Path) -> None:
    assert COUNTS == {"train": (82783, 82081), "val": (40504, 40137)}
    text = prepare(root, dict(COUNTS))["check"].text
    assert "3 images, 2 with an annotation, but 82783 and 82081 are published" in text


def test_a_missing_image_and_a_damaged_file_are_named(root: Path) -> None:
    prepare(root)
    image = sorted((root / "coco2014" / "train2014").iterdir())[0]
    image.unlink()
    assert prepare(root)["check"].text == f"{image}: no such file (and 0 more of the instances file)"
    path = root / "coco2014" / "annotations" / "instances_train2014.json"
    for content in (b"{", json.dumps({"images": []}).encode(), b"[]"):
        path.write_bytes(content)
        assert prepare(root)["check"].text.startswith(f"{path}: no instances file")
    path.unlink()
    assert prepare(root)["check"].text.startswith(f"{path}: no such file")
