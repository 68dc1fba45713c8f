from __future__ import annotations

from pathlib import Path

import pytest

from harness.common.shipped import shipped_file
from tests.commands import wsss


def test_list_names_each_file_with_its_first_sentence() -> None:
    code, output = wsss("configs", "list")
    assert code == 0
    assert "benchmarks/demo" in output
    assert "Generated images with exact masks, and a small frozen network that knows other creatures" in output


def test_show_prints_the_file() -> None:
    assert shipped_file("datasets/synthetic").read_text() in wsss("configs", "show", "datasets/synthetic").output


def test_a_copy_runs_by_itself_and_nothing_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert wsss("configs", "copy", "demo", "--to", "my").code == 0
    copied = sorted(path.relative_to("my").as_posix() for path in Path("my").rglob("*.*"))
    assert copied == [
        "benchmarks/demo.yaml",
        "datasets/synthetic.yaml",
        "segmenters/mlp_demo.py",
        "segmenters/mlp_stride8.py",
        "weights/creatures.pth",
    ]
    small = ("-o", "dataset.params.train=4", "-o", "dataset.params.val=2", "-o", "dataset.params.size=32")
    assert wsss("plan", "my/benchmarks/demo.yaml", "--methods", "box_fill", *small).code == 0
    Path("my/datasets/synthetic.yaml").unlink()
    code, output = wsss("configs", "copy", "demo", "--to", "my")
    assert code == 2
    assert "exists already, nothing was copied" in output
    assert not Path("my/datasets/synthetic.yaml").exists()
