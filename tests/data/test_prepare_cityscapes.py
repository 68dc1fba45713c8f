"""Cityscapes: both archives need an account; once they are there, they are unpacked and counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.contract import Box
from harness.data.checking import check
from harness.data.configuration import build_dataset, expand_env, load_yaml
from harness.data.prepare.cityscapes import COUNTS, IMAGES, LABELS, steps
from harness.data.prepare.steps import Outcome, run_steps
from harness.registry import manager
from tests.data import published

CONFIG = Path(__file__).parents[2] / "configs" / "datasets" / "cityscapes.yaml"
TINY = {"train": 2, "val": 1}


def prepare(root: Path, counts: dict[str, int] = TINY) -> dict[str, Outcome]:
    work = steps(root, download=True, counts=counts)
    return {outcome.step: outcome for outcome in run_steps(work, root / ".lock")}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for archive in (LABELS, IMAGES):
        published.pack(archive, published.cityscapes_files()[archive.name], tmp_path)
    return tmp_path


def test_archives_become_what_the_shipped_configuration_reads(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = prepare(root)
    assert {outcome.state for outcome in outcomes.values()} == {"done now"}
    assert outcomes["check"].text == "train 2, val 1 images with labels and instances"
    monkeypatch.setenv("WSSS_DATA", str(root))
    config = expand_env(load_yaml(CONFIG), where=str(CONFIG))
    dataset = build_dataset(
        config["name"], config["params"] | {"min_box_pixels": 1}, where=str(CONFIG), plugins=manager()
    )
    assert dataset.ids("train") == ("aachen_000000_000019", "bochum_000000_000313")
    assert dataset.ids("val") == ("munster_000000_000019",)
    car = dataset.classes.index("car")
    assert dataset.boxes("aachen_000000_000019") == (Box(car, 2, 3, 9, 8),)
    assert set(np.unique(dataset.mask("aachen_000000_000019"))) == {0, car}
    assert check(dataset).clean


def test_a_second_time_everything_is_there_even_without_archives(root: Path) -> None:
    prepare(root)
    for archive in (LABELS, IMAGES):
        (root / archive.name).unlink()
    assert [outcome.state for outcome in prepare(root).values()] == ["done before"] * 4 + ["done now"]


def test_archives_are_asked_for_and_never_downloaded(tmp_path: Path) -> None:
    outcomes = prepare(tmp_path)
    for archive in (LABELS, IMAGES):
        assert outcomes[archive.name].state == "missing"
        page = "https://www.cityscapes-dataset.com/downloads/ (free account)"
        assert f"get {archive.name} from {page} and put it into {tmp_path}" in outcomes[archive.name].text


def test_the_numbers_of_the_field_are_the_default(root: Path) -> None:
    assert COUNTS == {"train": 2975, "val": 500}
    text = prepare(root, dict(COUNTS))["check"].text
    assert text == f"{root}/cityscapes/leftImg8bit/train: 2 images, but 2975 are published"


@pytest.mark.parametrize("kind", ["labelIds", "instanceIds"])
def test_a_missing_label_is_named(root: Path, kind: str) -> None:
    prepare(root)
    path = root / f"cityscapes/gtFine/val/munster/munster_000000_000019_gtFine_{kind}.png"
    path.unlink()
    assert prepare(root)["check"].text.startswith(f"{path}: no such file")
