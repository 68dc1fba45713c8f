from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.data.checking import check
from harness.data.folder import FolderDataset
from harness.data.folder_params import FolderParams

H, W = 12, 16


class Folders:
    """Images a, b, c for training and d for validation, of 16 x 12 pixels, and nothing else."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for image_id in ("train/a", "train/b", "train/c", "val/d"):
            self.image(image_id)

    def image(self, image_id: str, suffix: str = ".png", size: tuple[int, int] = (H, W)) -> Path:
        path = self.root / f"{image_id}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        number = sum(map(ord, image_id))
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
        return path

    def write(self, name: str, content: Any) -> Path:
        """Text, an array as a picture, or anything as JSON."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, np.ndarray):
            Image.fromarray(content).save(path)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def params(self, **changes: Any) -> FolderParams:
        base = {
            "name": "tiny",
            "root": str(self.root),
            "classes": ["background", "cat", "dog"],
            "train": {"images": "train"},
            "val": {"images": "val"},
        }
        return FolderParams.model_validate(base | changes)

    def open(self, **changes: Any) -> FolderDataset:
        return FolderDataset(self.params(**changes))

    def defects(self, **changes: Any) -> list[str]:
        """What ``check`` finds; the strict reader refuses the first that needs no pixels in the same words."""
        dataset = FolderDataset.lenient(self.params(**changes))
        messages = [defect.message for defect in check(dataset).defects]
        assert all("\n" not in message for message in messages)
        return messages


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "mine")
