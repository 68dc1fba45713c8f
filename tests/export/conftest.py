"""A finished run of toys: ``fill`` of two seeds, ``twice`` of two backbones, ``learnt_erase``, and labels alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

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
