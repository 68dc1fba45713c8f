"""Twelve small photographs with a coloured square, a context of folders, settings for seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from harness.contract import PseudoLabel
from harness.contract.protocol import (
    AugmentSettings,
    BackboneSettings,
    CamSettings,
    ClassifierSettings,
    OptimSettings,
    SegmenterSettings,
)
from harness.data import DatasetView
from harness.testing import FakeContext, fake_context, fake_view

CONFIGS = Path(__file__).parents[2] / "configs" / "segmenters"
SIZE = (40, 52)


def photographs(count: int = 12) -> DatasetView:
    """Photographs with their masks: in turn without a square, with a red one (class 1) and with a blue one (2)."""
    rng = np.random.default_rng(0)
    images, masks = {}, {}
    for k in range(count):
        mask = np.zeros(SIZE, dtype=np.uint8)
        y, x = rng.integers(0, 20), rng.integers(0, 30)
        mask[y : y + 18, x : x + 20] = k % 3
        image = rng.integers(90, 140, (*SIZE, 3), dtype=np.uint8)
        image[mask == 1, 0] = 250
        image[mask == 2, 2] = 250
        images[f"photo {k}"], masks[f"photo {k}"] = image, mask
    return fake_view(images, masks=masks)


class Labels:
    """The masks of a view as pseudo labels."""

    def __init__(self, view: DatasetView) -> None:
        self.masks = {image_id: view.mask(image_id) for image_id in view.ids}

    def label(self, image_id: str) -> PseudoLabel:
        return PseudoLabel(image_id, self.masks[image_id])


@pytest.fixture
def view() -> DatasetView:
    return photographs()


@pytest.fixture
def labels(view: DatasetView) -> Labels:
    return Labels(view)


@pytest.fixture
def optim() -> OptimSettings:
    return OptimSettings(iterations=6, batch_size=4, lr=0.05, head_lr_mult=1.0)


@pytest.fixture
def settings(optim: OptimSettings) -> dict[str, Any]:
    augment = AugmentSettings(crop=32)
    return {
        "backbone": BackboneSettings(name="tiny"),
        "classifier": ClassifierSettings(optim=optim, augment=augment),
        "cam": CamSettings(scales=(1.0,), flip=False),
        "segmenter": SegmenterSettings(config=str(CONFIGS / "fcn.py"), optim=optim, augment=augment),
    }


@pytest.fixture
def context(tmp_path: Path, settings: dict[str, Any]) -> Callable[..., FakeContext]:
    """``context("name", seed=0)`` makes the stage ``name`` with its own folders and the classifier's as input."""

    def make(name: str, *, seed: int = 0) -> FakeContext:
        inputs = {"classifier": tmp_path / "classifier" / "out"}
        return fake_context(tmp_path / name, settings=settings, run_seed=seed, inputs=inputs)

    return make


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of weights."""
    monkeypatch.setenv("WSSS_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "weights"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address that serves it."""
    served = tmp_path / "served"
    served.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None: ...

        def send_header(self, keyword: str, value: str) -> None:
            longer = keyword == "Content-Length" and "cut" in self.path
            super().send_header(keyword, str(int(value) + 100) if longer else value)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served))) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        yield served, f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
