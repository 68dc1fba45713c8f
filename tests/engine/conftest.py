"""Fixtures of the engine's tests; workers import the toys by name, so their folder is on the path."""

import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))

from toy import BENCHMARK


@pytest.fixture
def write_config(tmp_path):
    """Write the benchmark file with some fields changed; returns its path."""

    def write(**fields):
        (tmp_path / "model.py").write_text("model = dict(type='EncoderDecoder')\n")
        path = tmp_path / "toy.yaml"
        path.write_text(yaml.safe_dump({**BENCHMARK, **fields}))
        return path

    return write
