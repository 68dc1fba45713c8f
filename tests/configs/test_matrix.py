"""The matrix of generators and refiners can be drawn as a heat map from the names of its rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.engine.plan.config import load_benchmark
from harness.engine.plan.rows import resolve_rows
from harness.registry import PluginSpec, manager_from_spec

FILE = Path(__file__).parents[2] / "configs" / "benchmarks" / "matrix_voc_animals.yaml"
GENERATORS = {"cam": "cam", "recam": "recam", "seam": "seam", "class_conditional": "class_conditional", "cvs": "cam"}
REFINERS = {"irn": "irn", "crf": "dense_crf", "walk": "affinity_walk", "pmg": "pmg"}


def test_the_name_of_a_row_says_which_refiner_stands_behind_which_generator(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("WSSS_DATA", "WSSS_WEIGHTS"):
        monkeypatch.setenv(name, str(tmp_path))
    rows = resolve_rows(load_benchmark(FILE), manager_from_spec(PluginSpec(env="")))
    assert [row.label for row in rows] == [
        name for generator in GENERATORS for name in (generator, *(f"{generator}-{refiner}" for refiner in REFINERS))
    ]
    for row in rows:
        generator, _, refiner = row.label.partition("-")
        (only,) = row.rounds
        first = ["cvs"] if generator == "cvs" else []
        assert only.generator.name == GENERATORS[generator]
        assert [part.name for part in only.refiners] == first + ([REFINERS[refiner]] if refiner else [])
        assert only.segmenter is None
