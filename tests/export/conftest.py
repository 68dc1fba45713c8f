"""A finished run of toys: ``fill`` of two seeds, ``twice`` of two backbones, ``learnt_erase``, and labels alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from harness.engine.plan.config import load_benchmark
from harness.engine.plan.layout import build_plan
from harness.registry import PluginSpec, manager_from_spec
from tests.engine.toy import BENCHMARK, Inline, make_plan, run_toy

METHODS = ["fill", "learnt_erase", "twice", {"name": "labels_only", "method": "fill", "labels_only": True}]


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    (folder / "model.py").write_text("model = dict(type='EncoderDecoder')\n")
    config = folder / "toy.yaml"
    config.write_text(yaml.safe_dump({**BENCHMARK, "methods": METHODS, "backbones": ["net"]}))
    for overrides in (
        {"seeds": [0]},
        {"seeds": [1], "methods": ["fill"]},
        {"backbones": ["wide"], "methods": ["twice"]},
    ):
        plan, manager = make_plan(config, **overrides)
        run_toy(plan, manager, folder / "runs", executor=Inline)
    return folder


@pytest.fixture
def runs(toy_folder, tmp_path) -> Path:
    """A runs folder of its own for each test."""
    shutil.copytree(toy_folder / "runs", tmp_path / "runs")
    return tmp_path / "runs"


OPTIM = {"iterations": 12, "batch_size": 4, "lr": 0.05, "head_lr_mult": 1.0}
PROTOCOL = {
    "classifier": {"optim": OPTIM, "augment": {"crop": 32}},
    "segmenter": {
        "config": str(Path(__file__).parents[2] / "configs" / "segmenters" / "mlp_stride8.py"),
        "optim": OPTIM,
        "augment": {"crop": 32},
    },
}
SIZES = [(40, 52), (33, 47), (64, 31), (29, 29)]


def photograph(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A grey picture with a red square (id 8) or a blue one (id 15), and its mask."""
    rng = np.random.default_rng(number)
    size = SIZES[number % len(SIZES)]
    image, mask = rng.integers(90, 140, (*size, 3), dtype=np.uint8), np.zeros(size, np.uint8)
    mask[5:22, 6:25] = (8, 15)[number % 2]
    image[mask == 8, 0] = image[mask == 15, 2] = 250
    return image, mask


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory):
    """``mine.yaml`` and its finished run: rows ``full`` and ``background`` of a tiny network on PNG photographs."""
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("JPEGImages", "SegmentationClass"):
        (folder / "data" / name).mkdir(parents=True)
    for number in range(12):
        image, mask = photograph(number)
        Image.fromarray(image).save(folder / "data" / "JPEGImages" / f"photo {number}.png")
        Image.fromarray(mask).save(folder / "data" / "SegmentationClass" / f"photo {number}.png")
    for name, numbers in (("train", range(8)), ("val", range(8, 12))):
        (folder / "data" / f"{name}.txt").write_text("".join(f"photo {number}\n" for number in numbers))
    params = {
        "name": "mine",
        "root": str(folder / "data"),
        "train": "train.txt",
        "val": "val.txt",
        "classes": {"background": 0, "red": 8, "blue": 15},
    }
    config = folder / "mine.yaml"
    dataset = {"name": "voc", "params": params}
    content = {"name": "mine", "dataset": dataset, "backbones": ["tiny"], "methods": ["full", "background"]}
    config.write_text(json.dumps({**content, "protocol": PROTOCOL}))
    plugins = manager_from_spec(PluginSpec(env=""))
    registered = {kind: plugins.records(kind) for kind in ("method", "backbone")}
    plan = build_plan(load_benchmark(config, registered=registered), plugins)
    assert run_toy(plan, plugins, folder / "runs", executor=Inline)
    return folder
