from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.data.params import VocParams

H, W = 12, 16


class VocFolder:
    """A tiny data set in VOC layout: ids a, b, c for training and d for validation; mask ids 0, 8, 15 and 255."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("JPEGImages", "SegmentationClass", "Annotations"):
            (root / name).mkdir(parents=True)
        for number, image_id in enumerate("abcd"):
            self.image(image_id, number)
            self.mask(image_id, self.plane(number))
        self.list("train.txt", "a\nb\nc\n")
        self.list("val.txt", "d\n")

    @staticmethod
    def plane(number: int) -> np.ndarray:
        plane = np.zeros((H, W), dtype=np.uint8)
        plane[1:4, 1 : 4 + number] = 8
        plane[7:10, 2:5] = 15 if number % 2 else 8
        plane[0] = 255
        return plane

    def image(self, image_id: str, number: int = 0, size: tuple[int, int] = (H, W)) -> Path:
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
        path = self.root / "JPEGImages" / f"{image_id}.jpg"
        Image.fromarray(pixels).save(path)
        return path

    def mask(self, image_id: str, plane: np.ndarray) -> Path:
        path = self.root / "SegmentationClass" / f"{image_id}.png"
        picture = Image.fromarray(plane)
        if plane.dtype == np.uint8 and plane.ndim == 2:
            picture.putpalette(list(range(256)) * 3)
        picture.save(path)
        return path

    def list(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)

    def params(self, **changes: Any) -> VocParams:
        base = {
            "name": "tiny",
            "root": str(self.root),
            "train": "train.txt",
            "val": "val.txt",
            "classes": {"background": 0, "cat": 8, "person": 15},
        }
        return VocParams.model_validate(base | changes)


@pytest.fixture
def voc(tmp_path: Path) -> VocFolder:
    return VocFolder(tmp_path / "voc")


@pytest.fixture
def write_xml(voc: VocFolder) -> Callable[..., None]:
    def write(image_id: str, *objects: tuple[str, float, float, float, float]) -> None:
        parts = [
            f"<object><name>{name}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
            "</bndbox><part><name>head</name></part></object>"
            for name, x0, y0, x1, y1 in objects
        ]
        (voc.root / "Annotations" / f"{image_id}.xml").write_text(f"<annotation>{''.join(parts)}</annotation>")

    return write
