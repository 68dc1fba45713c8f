"""Fakes: twelve small photographs with a coloured square, a context of folders, settings for seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
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

CONFIGS = Path(__file__).parents[2] / "configs" / "segmenters"
SIZE = (40, 52)


class FakeView:
    classes = ("background", "red", "blue")

    def __init__(self, count: int = 12) -> None:
        rng = np.random.default_rng(0)
        self.ids = tuple(f"photo {k}" for k in range(count))
        self.masks: dict[str, np.ndarray] = {}
        self.images: dict[str, np.ndarray] = {}
        for k, image_id in enumerate(self.ids):
            mask = np.zeros(SIZE, dtype=np.uint8)
            y, x = rng.integers(0, 20), rng.integers(0, 30)
            mask[y : y + 18, x : x + 20] = k % 3
            image = rng.integers(90, 140, (*SIZE, 3), dtype=np.uint8)
            image[mask == 1, 0] = 250
            image[mask == 2, 2] = 250
            self.masks[image_id], self.images[image_id] = mask, image

    def image(self, image_id: str) -> np.ndarray:
        return self.images[image_id]

    def size(self, image_id: str) -> tuple[int, int]:
        return SIZE

    def tags(self, image_id: str) -> tuple[int, ...]:
        return tuple(int(c) for c in np.unique(self.masks[image_id]) if c)

    def label(self, image_id: str) -> PseudoLabel:
        return PseudoLabel(image_id, self.masks[image_id])


@pytest.fixture
def view() -> FakeView:
    return FakeView()


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
def context(tmp_path: Path, settings: dict[str, Any]) -> Callable[..., Any]:
    """``context("name", seed=0)`` makes the stage ``name`` with its own folders."""

    def make(name: str, *, seed: int = 0) -> Any:
        out, work = tmp_path / name / "out", tmp_path / name / "work"
        out.mkdir(parents=True, exist_ok=True)
        work.mkdir(exist_ok=True)
        return SimpleNamespace(
            out=out,
            work=work,
            device="cpu",
            threads=1,
            settings=settings,
            num_classes=3,
            seed=lambda axis: seed * 1000 + sum(map(ord, axis)),
            input=lambda stage: tmp_path / stage / "out",
            progress=lambda done, total: None,
        )

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
