"""Three folders as people have them go from nothing to a table, labels in files and predictions of new images.

Five commands each after the file is written: check, run, leaderboard, export, predict.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.data.digests import set_cache
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.layout import build_plan
from harness.engine.progress import ProgressDisplay
from harness.engine.scheduler import run_plan
from harness.leaderboard import build_board, load_runs
from harness.registry import PluginSpec, manager_from_spec
from tests.commands import wsss
from tests.engine.toy import Inline

ROOT = Path(__file__).parent.parent
SIDE = 48
OPTIM = {"iterations": 2, "batch_size": 4, "lr": 0.01}
AUGMENT = {"crop": 32}
PROTOCOL = {
    "classifier": {"optim": OPTIM, "augment": AUGMENT},
    "cam": {"scales": [1.0]},
    "segmenter": {"config": str(ROOT / "harness/testing/segmenter.py"), "optim": OPTIM, "augment": AUGMENT},
}
MANAGER = manager_from_spec(PluginSpec(env=""))
SPLITS = {"train": 8, "val": 4}


def picture(path: Path, number: int) -> tuple[int, int, int, int]:
    """Write a photograph with one bright thing; gives its box x0, y0, x1, y1."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 90, (SIDE, SIDE, 3), dtype=np.uint8)
    x, y = (int(corner) for corner in rng.integers(2, 20, 2))
    pixels[y : y + 20, x : x + 24] = 120 + 20 * (number % 6), 250 - 30 * (number % 7), 200
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return x, y, x + 24, y + 20


def plane(box: tuple[int, int, int, int], value: Any) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE, *np.shape(value)), np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = value
    return mask


def save(path: Path, content: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(content).save(path)


def coco_boxes(root: Path) -> dict[str, Any]:
    """One class, boxes in a COCO file, masks 0 and 255 for validation alone."""
    images, annotations = [], []
    for split, count in SPLITS.items():
        for number in range(count):
            name = f"{split}_{number}.jpg"
            x0, y0, x1, y1 = box = picture(root / split / name, number + len(images))
            images.append({"id": len(images), "file_name": name, "height": SIDE, "width": SIDE})
            bbox = [x0, y0, x1 - x0, y1 - y0]
            annotations.append({"id": len(images), "image_id": len(images) - 1, "category_id": 1, "bbox": bbox})
            if split == "val":
                save(root / "masks" / f"{split}_{number}.png", plane(box, 255))
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "crack"}]}
    (root / "boxes.json").write_text(json.dumps(content))
    return {
        "classes": ["background", "crack"],
        "boxes": "boxes.json",
        "train": {"images": "train"},
        "val": {"images": "val", "masks": {"path": "masks", "format": "binary"}},
    }


SEVEN = ("background", "building", "road", "water", "barren", "forest", "field")
COLOURS = {name: [30 * number, 255 - 30 * number, 7 * number] for number, name in enumerate(SEVEN)}


def seven_classes(root: Path) -> dict[str, Any]:
    """Seven classes, tags in a table, masks in colour."""
    rows = ["image,labels"]
    for split, count in SPLITS.items():
        for number in range(count):
            name, cls = f"{split}_{number}", SEVEN[1 + (number + (split == "val")) % 6]
            box = picture(root / "images" / f"{name}.png", number)
            mask = np.full((SIDE, SIDE, 3), COLOURS["background"], np.uint8)
            mask[box[1] : box[3], box[0] : box[2]] = COLOURS[cls]
            save(root / "masks" / f"{name}.png", mask)
            rows.append(f"{name}.png,{cls}")
        names = "".join(f"{split}_{number}\n" for number in range(count))
        (root / f"{split}.txt").write_text(names)
    (root / "tags.csv").write_text("\n".join(rows))
    return {
        "classes": list(SEVEN),
        "images": "images",
        "tags": "tags.csv",
        "masks": {"path": "masks", "colours": COLOURS},
        "train": {"list": "train.txt"},
        "val": {"list": "val.txt"},
    }


def yolo_boxes(root: Path) -> dict[str, Any]:
    """Two classes, YOLO's boxes, .tif images, no masks at all."""
    for split, count in SPLITS.items():
        for number in range(count):
            x0, y0, x1, y1 = picture(root / "images" / split / f"{split}{number}.tif", number)
            line = f"{number % 2} {(x0 + x1) / 2 / SIDE} {(y0 + y1) / 2 / SIDE} {(x1 - x0) / SIDE} {(y1 - y0) / SIDE}\n"
            label = root / "labels" / split / f"{split}{number}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text(line)
    (root / "data.yaml").write_text("nc: 2\nnames: [helmet, vest]\n")
    return {
        "classes": "data.yaml",
        "train": {"images": "images/train", "boxes": "labels/train"},
        "val": {"images": "images/val", "boxes": "labels/val"},
    }


FOLDERS: dict[str, tuple[Callable[[Path], dict[str, Any]], list[str], bool]] = {
    "coco": (coco_boxes, ["box_fill"], True),
    "seven": (seven_classes, ["cam"], True),
    "yolo": (yolo_boxes, ["box_fill"], False),
}


@pytest.fixture(autouse=True)
def _no_cache() -> None:
    set_cache(None)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_goes_from_nothing_to_a_table_labels_and_predictions(tmp_path: Path, name: str) -> None:
    make, methods, measured = FOLDERS[name]
    params = {"name": name, "root": str(tmp_path / "mine"), **make(tmp_path / "mine")}
    data = tmp_path / "mine.yaml"
    data.write_text(json.dumps({"name": "folder", "params": params}))
    checked = wsss("datasets", "check", data)
    assert checked.code == 0, checked.output
    assert "no defects" in checked.output

    content = {"dataset": "mine.yaml", "backbones": ["tiny"], "methods": methods, "protocol": PROTOCOL}
    benchmark = tmp_path / "benchmark.yaml"
    benchmark.write_text(json.dumps({"name": name, **content}))
    plan = build_plan(load_benchmark(benchmark), MANAGER)
    runs = tmp_path / "runs"
    progress = ProgressDisplay(plan, runs)
    run_plan(plan, runs=runs, manager=MANAGER, make_executor=Inline, progress=progress, device="cpu")
    board = build_board(load_runs(runs))
    assert {row.method: row.status for row in board.rows} == dict.fromkeys(methods, "ok")
    assert all((row.val_miou is not None) == measured for row in board.rows)
    table = wsss("leaderboard", runs)
    assert table.code == 0, table.output

    exported = wsss("export", methods[0], "--runs", runs, "--labels", tmp_path / "labels")
    assert exported.code == 0, exported.output
    assert len(list((tmp_path / "labels").rglob("*.png"))) == SPLITS["train"]
    for number in range(2):
        picture(tmp_path / "new" / f"new_{number}.png", 50 + number)
    predicted = wsss("predict", methods[0], tmp_path / "new", "--runs", runs, "--out", tmp_path / "predicted")
    assert predicted.code == 0, predicted.output
    for number in range(2):
        assert np.array(Image.open(tmp_path / "predicted" / f"new_{number}.png")).shape == (SIDE, SIDE)
