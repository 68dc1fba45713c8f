"""A small tree in the layout of COCO 2014."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.contract import MASKS, ConfigError, DataError
from harness.data.checking import check
from harness.data.coco import CocoDataset
from harness.data.params import CocoParams
from harness.engine.plan.keys import data_for_key

H, W = 12, 16
CATEGORIES = {1: "person", 3: "car", 13: "stop sign", 17: "cat", 22: "elephant", 90: "toothbrush"}


def rectangle(category: int, x0: int, y0: int, x1: int, y1: int, **changes: Any) -> dict[str, Any]:
    outline = [[x0, y0, x1, y0, x1, y1, x0, y1]]
    bbox = [x0, y0, x1 - x0, y1 - y0]
    area = (x1 - x0) * (y1 - y0)
    entry = {"category_id": category, "segmentation": outline, "bbox": bbox, "area": area, "iscrowd": 0}
    return entry | changes


def crowd(category: int, x0: int, y0: int, x1: int, y1: int) -> dict[str, Any]:
    region = np.zeros((H, W), np.uint8)
    region[y0:y1, x0:x1] = 1
    flat = region.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=0, append=1 - flat[-1]))
    counts = np.diff(edges, prepend=0).tolist()
    return rectangle(category, x0, y0, x1, y1, segmentation={"size": [H, W], "counts": counts}, iscrowd=1)


class CocoFolder:
    """Training images 9, 25, 30, 34 (the last without annotation) and validation images 42, 73."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.annotations: dict[str, dict[int, list[dict[str, Any]]]] = {
            "train": {
                9: [rectangle(17, 2, 1, 8, 7), rectangle(1, 4, 3, 6, 11), crowd(22, 9, 0, 16, 6)],
                25: [rectangle(90, 0, 0, 4, 4)],
                30: [rectangle(1, 1, 1, 9, 9), rectangle(3, 2, 2, 5, 5)],
                34: [],
            },
            "val": {42: [rectangle(17, 3, 3, 9, 9)], 73: [rectangle(13, 0, 2, 3, 6)]},
        }
        for split, images in self.annotations.items():
            (root / f"{split}2014").mkdir(parents=True)
            for number in images:
                self.image(split, number)
        (root / "annotations").mkdir()

    @staticmethod
    def image_id(split: str, number: int) -> str:
        return f"COCO_{split}2014_{number:012d}"

    def image(self, split: str, number: int, size: tuple[int, int] = (H, W)) -> Path:
        pixels = np.random.default_rng(number).integers(0, 256, size, dtype=np.uint8)  # grey, as some of COCO's are
        path = self.root / f"{split}2014" / f"{self.image_id(split, number)}.jpg"
        Image.fromarray(pixels).save(path)
        return path

    def write(self, split: str, **changes: Any) -> None:
        images = self.annotations[split]
        content = {
            "info": {"year": 2014},
            "licenses": [],
            "images": [
                {"id": n, "file_name": f"{self.image_id(split, n)}.jpg", "height": H, "width": W} for n in images
            ],
            "annotations": [
                {"id": 100 * n + k, "image_id": n} | entry
                for n, entries in images.items()
                for k, entry in enumerate(entries)
            ],
            "categories": [{"supercategory": "x", "id": n, "name": name} for n, name in CATEGORIES.items()],
        }
        (self.root / "annotations" / f"instances_{split}2014.json").write_text(json.dumps(content | changes))

    def params(self, **changes: Any) -> CocoParams:
        for split in ("train", "val"):
            if not (self.root / "annotations" / f"instances_{split}2014.json").exists():
                self.write(split)
        base = {
            "name": "coco",
            "root": str(self.root),
            "train": "annotations/instances_train2014.json",
            "train_images": "train2014",
            "val": "annotations/instances_val2014.json",
            "val_images": "val2014",
        }
        return CocoParams.model_validate(base | changes)


def planned(coco: CocoFolder, **params: Any) -> str:
    """What planning says: it makes the data set and asks for the digests of all that is declared."""
    with pytest.raises((DataError, ConfigError)) as caught:
        data_for_key(CocoDataset(coco.params(**params)), "train", (MASKS,))
    return str(caught.value)


def checked(coco: CocoFolder, **params: Any) -> list[str]:
    """Defects that the check finds."""
    try:
        return [defect.message for defect in check(CocoDataset.lenient(coco.params(**params))).defects]
    except (DataError, ConfigError) as error:
        return [str(error)]
