"""Planning many images: the data set is asked once, whatever the number of rows, and memory stays small."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.engine.plan.config import load_benchmark
from harness.engine.plan.layout import build_plan
from harness.engine.plan.rows import build_data
from harness.registry import PluginSpec, manager_from_spec
from speed.planning import benchmark, photographs

ROOT = Path(__file__).parents[3]


def test_a_plan_asks_for_the_digests_of_each_split_once(tmp_path, monkeypatch):
    photographs(tmp_path / "few", 20)
    manager = manager_from_spec(PluginSpec(env=""))
    registered = {kind: manager.records(kind) for kind in ("method", "backbone")}
    config = load_benchmark(benchmark(tmp_path / "few"), registered=registered)
    dataset = build_data(config, manager)
    asked = []
    digests = type(dataset).digests
    monkeypatch.setattr(type(dataset), "digests", lambda self, split: asked.append(split) or digests(self, split))
    plan = build_plan(config, manager, dataset=dataset)
    assert len(plan.stages) > 50
    assert sorted(asked) == ["train", "val"]


@pytest.mark.parametrize(
    "images", [pytest.param("1000"), pytest.param("20000", marks=pytest.mark.slow)], ids=["a thousand", "20,000"]
)
def test_images_are_planned_in_a_minute_and_a_gibibyte(images):
    command = [sys.executable, "-m", "speed.planning", "--images", images]
    result = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"plan of {int(images):,} images" in result.stdout
