"""Boxes of all images and masks of a few, as people draw them: methods that are made for it run on what is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from harness.cli.main import app
from harness.contract import MASKS, ConfigError, Need, NoSupervision, Supervision
from harness.data.digests import set_cache
from harness.data.folder import FolderDataset
from harness.data.folder_params import FolderParams
from harness.data.views import DatasetView
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.layout import build_plan
from harness.engine.progress import ProgressDisplay
from harness.engine.scheduler import run_plan
from harness.testing.poison import PoisonedDataset
from tests.engine.toy import Inline
from tests.test_no_masks import MANAGER, PROTOCOL, TRAIN, VAL, photograph, write_masks

MASKED = 5
FIELDS: dict[str, Any] = {
    "name": "photos",
    "classes": {"background": 0, "cat": 1, "dog": 2},
    "images": "JPEGImages",
    "train": {"list": "train.txt"},
    "val": {"list": "val.txt"},
    "boxes": {"path": "boxes.csv"},
    "masks": {"path": "SegmentationClass", "missing": "unmasked"},
}
F18 = Need(Supervision.MASKS, 0.18)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 22 training images with boxes, 5 of them with masks, and of 8 validation images with both."""
    root = tmp_path_factory.mktemp("photos")
    (root / "JPEGImages").mkdir()
    images = [photograph(root, number) for number in range(TRAIN + VAL)]
    drawn = [(entry["id"], entry["boxes"][0]) for entry in images]
    lines = [f"{name},{box['cls']},{','.join(map(str, box['bbox_xyxy']))}" for name, box in drawn]
    (root / "boxes.csv").write_text("\n".join(["image,class,x0,y0,x1,y1", *lines]))
    (root / "train.txt").write_text("\n".join(name for name, _ in drawn[:TRAIN]))
    (root / "val.txt").write_text("\n".join(name for name, _ in drawn[TRAIN:]))
    write_masks(root, images)
    for name, _ in drawn[MASKED:TRAIN]:
        (root / "SegmentationClass" / f"{name}.png").unlink()
    return root


def opened(root: Path, **fields: Any) -> FolderDataset:
    set_cache(None)
    return FolderDataset(FolderParams(root=str(root), **FIELDS | fields))


def benchmark(root: Path, *methods: Any) -> Path:
    dataset = {"name": "folder", "params": {"root": str(root), **FIELDS}}
    path = root / "mine.yaml"
    content = {"name": "mine", "dataset": dataset, "protocol": PROTOCOL, "backbones": ["tiny"], "methods": methods}
    path.write_text(json.dumps(content))
    return path


def test_a_share_of_masks_is_chosen_among_the_images_that_have_one(root: Path) -> None:
    dataset = opened(root)
    having = dataset.carrying("train", Supervision.MASKS)
    assert having == dataset.ids("train")[:MASKED]
    assert dataset.unmasked == ("train",)
    chosen = DatasetView(dataset, "train", [F18]).mask_ids
    assert (len(chosen), chosen <= set(having)) == (4, True)  # 18 % of all 22
    poisoned = PoisonedDataset(dataset, [F18])
    assert {name for name in having if (poisoned.mask(name) == dataset.mask(name)).all()} == chosen
    with pytest.raises(NoSupervision, match=f"has no mask of image '{dataset.ids('train')[-1]}'"):
        dataset.mask(dataset.ids("train")[-1])


def test_a_mask_that_comes_later_changes_what_read_masks_alone(root: Path, tmp_path: Path) -> None:
    before = opened(root).digests("train")
    more = root / "SegmentationClass" / f"photo_{MASKED:02}.png"
    more.write_bytes((root / "SegmentationClass" / "photo_01.png").read_bytes())
    after = opened(root).digests("train")
    more.unlink()
    assert {kind for kind in before if before[kind] != after[kind]} == {"masks"}


def test_images_that_all_have_masks_are_a_split_with_masks(root: Path) -> None:
    (root / "five.txt").write_text("\n".join(opened(root).ids("train")[:MASKED]))
    dataset = opened(root, train={"list": "five.txt"})
    assert dataset.unmasked == ()
    assert DatasetView(dataset, "train", [MASKS]).mask_ids == set(dataset.ids("train"))


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            "full",
            "full: data set .photos. has masks for 5 of its 22 train images, and 22 are needed; leave out what needs",
        ),
        (
            {"name": "half", "method": "pixel_subset", "params": {"fraction": 0.5}},
            "half: .* for 5 of its 22 train images, and 11 are needed; state a fraction of at most 0.227",
        ),
    ],
)
def test_rows_that_need_more_masks_are_refused_by_the_plan(root: Path, row: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        build_plan(load_benchmark(benchmark(root, "box_fill", row)), MANAGER)


def test_a_share_of_masks_that_cannot_be_is_told_with_file_and_row(root: Path) -> None:
    wrong = {"name": "none", "method": "pixel_subset", "params": {"fraction": 0.0}}
    sentence = (
        r"mine\.yaml: methods\.none: generator 'pixel_subset': supervision fraction must be in \(0, 1\], got 0\.0"
    )
    with pytest.raises(ConfigError, match=sentence):
        build_plan(load_benchmark(benchmark(root, wrong)), MANAGER)


def test_a_plan_says_in_plain_words_that_points_cannot_be_made_of_masks_that_are_missing(root: Path) -> None:
    path = benchmark(root, "box_fill")
    content = json.loads(path.read_text())
    content["dataset"]["params"]["points"] = "masks"
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"dataset\.params: dataset 'folder': points: not all training images have"):
        build_plan(load_benchmark(path), MANAGER)


def test_missing_masks_are_a_defect_unless_the_file_says_so(root: Path) -> None:
    defects = FolderDataset.lenient(FolderParams(root=str(root), **FIELDS | {"masks": "SegmentationClass"})).defects
    assert len(defects) == TRAIN - MASKED
    assert defects[0].message.endswith("or missing: unmasked where they have no mask")
    with pytest.raises(ValidationError, match=r"boxes\.missing: unmasked is said of masks alone"):
        FolderParams(root=str(root), **FIELDS | {"boxes": {"path": "boxes.csv", "missing": "unmasked"}})


def test_methods_of_boxes_and_a_few_masks_run_and_are_scored_on_validation_images(root: Path) -> None:
    rows = ("pixel_subset", "box_grabcut_pixels", "label_uncertainty")
    plan = build_plan(load_benchmark(benchmark(root, *rows)), MANAGER)
    runs = root / "runs"
    display = ProgressDisplay(plan, runs)
    outcome = run_plan(plan, runs=runs, manager=MANAGER, make_executor=Inline, progress=display, device="cpu")
    assert outcome.exit_code == 0, outcome.errors
    records = [json.loads(path.read_text()) for path in outcome.records.glob("*.json")]
    assert {record["label"] for record in records} == set(rows)
    for record in records:
        assert record["meter"]["masks"]["images"] == 4
        assert set(record["scores"]) == {"val"}
        assert record["dataset"]["unmasked"] == ["train"]
    for command in (["verify", str(runs)], ["leaderboard", str(runs)]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output


def test_a_check_counts_such_images_without_a_complaint(root: Path) -> None:
    path = root / "photos.yaml"
    path.write_text(json.dumps({"name": "folder", "params": {"root": str(root), **FIELDS}}))
    result = CliRunner().invoke(app, ["datasets", "check", str(path)])
    assert result.exit_code == 0, result.output
    assert "masks of only 5 images for its train images, as it says: nothing is measured" in " ".join(
        result.output.split()
    )
