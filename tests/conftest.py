"""What tests of several packages share: no plugin of the user's, the toy benchmark, fabricated records."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engine.toy import BENCHMARK, MODELLING
from tests.leaderboard.board_records import Records, fill

# Threads of torch that wait for each other sleep. By default they spin, and where more processes run than there are
# cores (the tests start many) a training step takes ten times as long. This is read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@pytest.fixture(autouse=True, scope="session")
def no_plugin_of_the_user() -> Iterator[None]:
    """``WSSS_PLUGINS`` of the shell that runs the tests counts for none of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WSSS_PLUGINS", "")
        yield


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_counts() -> Iterator[None]:
    """A shell starts what it runs in the background with Ctrl-C ignored, and children inherit that; tests press it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands plan with the toys' own training."""
    monkeypatch.setattr("harness.engine.code.roots.MODELLING", MODELLING)


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., Path]:
    """Write the benchmark file of the toys with some fields changed; returns its path."""

    def write(**fields: Any) -> Path:
        (tmp_path / "model.py").write_text("model = dict(type='EncoderDecoder')\n")
        path = tmp_path / "toy.yaml"
        path.write_text(yaml.safe_dump({**BENCHMARK, **fields}))
        return path

    return write


@pytest.fixture
def records(tmp_path: Path) -> Records:
    """An empty folder of runs, and fabricated records with confusions to fill it with."""
    return Records(tmp_path / "runs")


@pytest.fixture
def sweep(records: Records) -> Any:
    """Four methods over two seeds, one of them failed, on one backbone."""
    return fill(records)
