"""Peak memory of the GPU is shown where a stage used one, and nowhere else."""

import json

import jsonschema
import pytest

from harness.leaderboard import build_board, load_runs
from harness.leaderboard.page.page import to_html
from harness.leaderboard.render import to_csv, to_json, to_latex, to_markdown
from harness.leaderboard.schema import SCHEMA_FILE, read_board


def board(records, **stage):
    records.add("cpu")
    records.add("gpu", stages=[{"name": "a", "key": "k", "seconds": 1.0, "peak_mib": 3.0, **stage}])
    return build_board(load_runs(records.runs))


def test_a_board_with_a_gpu_shows_its_peak_in_every_rendering(records):
    found = board(records, peak_gpu_mib=4321.25)
    assert {row.method: row.peak_gpu_memory_mib for row in found.rows} == {"cpu": None, "gpu": 4321.25}
    assert "peak GPU MiB" in to_markdown(found)
    assert "peak GPU MiB" in to_latex(found)
    assert "peak GPU, MiB" in to_html(found)
    assert "4321.25" in to_csv(found)
    text = to_json(found)
    jsonschema.validate(json.loads(text), json.loads(SCHEMA_FILE.read_text()))
    assert to_json(read_board(text)) == text


@pytest.mark.parametrize("render", [to_markdown, to_latex, to_html, to_csv, to_json])
def test_a_board_without_one_does_not_speak_of_it(records, render):
    assert "gpu_mem" not in render(board(records))
    assert "peak GPU" not in render(board(records))
