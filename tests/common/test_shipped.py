from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.common.shipped import benchmark_file, configs_folder, shipped_file, shipped_files, with_needed
from harness.contract import ConfigError


def test_every_file_of_the_three_kinds_has_a_name() -> None:
    names = shipped_files()
    assert names["benchmarks/demo"] == configs_folder() / "benchmarks" / "demo.yaml"
    assert {name.split("/")[0] for name in names} == {"benchmarks", "datasets", "segmenters"}


def test_a_bare_name_means_the_benchmark_and_a_full_one_its_file() -> None:
    assert shipped_file("voc_animals") == configs_folder() / "benchmarks" / "voc_animals.yaml"
    assert shipped_file("datasets/voc_animals").parent.name == "datasets"
    assert shipped_file("mlp_stride8").suffix == ".py"


def test_an_unknown_name_is_one_sentence_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'demo'"):
        shipped_file("dmo")
    with pytest.raises(ConfigError, match="wsss configs list"):
        shipped_file("zzzzzz")


def test_a_file_of_the_user_goes_before_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert benchmark_file(Path("demo")) == configs_folder() / "benchmarks" / "demo.yaml"
    assert benchmark_file(Path("mine.yaml")) == Path("mine.yaml")
    Path("demo").touch()
    assert benchmark_file(Path("demo")) == Path("demo")


@pytest.mark.parametrize("name", [name for name in shipped_files() if name.startswith("benchmarks/")])
def test_what_a_benchmark_needs_is_found(name: str) -> None:
    needed = {path.relative_to(configs_folder()).parts[0] for path in with_needed(shipped_file(name))}
    named = set(
        re.findall(r"^[^#\n]*\.\./(datasets|segmenters|weights)/", shipped_file(name).read_text(), re.MULTILINE)
    )
    assert needed == {"benchmarks", *named}
    assert "segmenters" in named
