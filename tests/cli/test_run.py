"""``wsss run``, ``wsss plan`` and ``wsss status`` as a user meets them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import wsss
from tests.engine.toy import PLUGIN, records

pytestmark = pytest.mark.usefixtures("toys")


def test_a_run_is_foreseen_computed_watched_and_repeated(write_config, tmp_path):
    runs = tmp_path / "runs"
    common = (write_config(), "--plugin", PLUGIN, "--runs", runs, "--methods", "f*,learnt", "--seeds", "0,1")
    code, output = wsss("plan", *common)
    assert code == 0
    assert "cells: 4, finished: 0" in output
    assert "0 cached" in output
    code, output = wsss("run", *common, "--device", "cpu", "--jobs", "1")
    assert code == 0, output
    assert len(records(runs)) == 4
    assert "learnt" in output
    assert re.search(r"records: .*records/toy-[0-9a-f]{8}", output.replace("\n", ""))
    code, output = wsss("plan", *common)
    assert "cells: 4, finished: 4" in output
    assert "stages: 0 to compute" in output
    code, output = wsss("status", "--runs", runs)
    assert (code, "4 ok (finished;" in output) == (0, True)
    code, output = wsss("run", *common, "--no-table", "--executor", "dask", "--executor-option", "address=nowhere")
    assert (code, "was there" in output) == (0, True), "a finished benchmark starts no executor"


def test_a_failed_cell_ends_with_code_3(write_config, tmp_path):
    config = write_config(methods=[{"name": "bad", "method": "fill", "params": {"mode": "raise"}}])
    code, output = wsss("run", config, "--plugin", PLUGIN, "--runs", tmp_path / "r", "--jobs", "1", "--no-table")
    assert code == 3
    assert "bad--net--s0: failed (r1/generate fill: ValueError: deliberate failure)" in output


def test_a_failure_is_printed_once_with_its_log_and_a_record(write_config, tmp_path):
    rows = [{"name": name, "method": "fill", "params": {"mode": "raise"}} for name in ("one", "two")]
    runs = tmp_path / "r"
    code, output = wsss("run", write_config(methods=rows), "--plugin", PLUGIN, "--runs", runs, "--jobs", "1")
    assert code == 3
    told = [line.strip() for line in output.splitlines() if line.startswith(("failed: ", "  log: ", "  record: "))]
    assert len(told) == 3, output
    assert told[0] == "failed: one--net--s0 and 1 more: r1/generate fill: ValueError: deliberate failure"
    log, record = (Path(line.partition(": ")[2]) for line in told[1:])
    assert "Traceback" in log.read_text()
    assert record in list(runs.glob("records/*/one--net--s0.json"))


def test_each_sweep_is_shown_until_it_is_repeated(write_config, tmp_path):
    config, runs = write_config(), tmp_path / "runs"

    def run(*options):
        code, output = wsss("run", config, "--plugin", PLUGIN, "--runs", runs, "--jobs", "1", "--no-table", *options)
        assert code == 0, output
        whole = wsss("status", "--runs", runs).output.splitlines()
        assert len(set(whole)) == len(whole), f"a reader can tell them apart: {whole}"
        return [line.partition(" (")[0] for line in wsss("status", "--runs", runs).output.splitlines()]

    assert run("--methods", "fill") == ["toy: 1 ok"]
    assert run("--methods", "fill", "-o", "dataset.params.train=3") == ["toy: 1 ok", "toy: 1 ok"]
    assert run("--methods", "learnt") == ["toy: 1 ok"] * 3
    assert run("--methods", "fill,learnt") == ["toy: 2 ok", "toy: 1 ok"], "it tells of both that were run alone"


def test_a_plan_says_as_much_of_the_time_as_is_known(write_config, tmp_path):
    common = (write_config(), "--plugin", PLUGIN, "--runs", tmp_path / "runs")
    output = wsss("plan", *common, "--methods", "fill").output
    assert "expected time unknown" in output
    assert "0 s" not in output
    wsss("run", *common, "--methods", "fill", "--jobs", "1", "--no-table")
    assert re.search(r"0 to compute .*; nothing to compute", wsss("plan", *common, "--methods", "fill").output)
    output = wsss("plan", *common, "--methods", "fill,learnt", "--seeds", "1").output
    assert re.search(r"expected at least \d+ s one after another", output), output
    output = wsss("plan", *common, "--methods", "fill", "--seeds", "1").output
    assert re.search(r"expected \d+ s one after another", output), output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--methods", "nothing"), "--methods: 'nothing' is no methods entry"),
        (("--seeds", "x"), "--seeds: 'x' is no number"),
        (("--jobs", "0"), "--jobs: '0' is neither auto nor a number"),
        (("--device", "tpu"), "--device: 'tpu' is none of auto, cpu, cuda"),
        (("--executor", "lokal"), "did you mean 'local'"),
        (("--plugin", "missing.py"), "missing.py: no such file"),
        (("-o", "timeout=-1"), "timeout"),
    ],
)
def test_wrong_usage_is_one_sentence_and_code_2(write_config, tmp_path, arguments, words):
    code, output = wsss("run", write_config(), "--plugin", PLUGIN, "--runs", tmp_path / "runs", *arguments)
    assert code == 2
    assert words in output
    assert not records(tmp_path / "runs")


def test_status_of_an_empty_folder_is_a_sentence(tmp_path):
    assert wsss("status", "--runs", tmp_path).output == f"no sweep has run in {tmp_path}\n"


def test_planning_imports_no_torch(write_config, tmp_path):
    command = ["plan", str(write_config()), "--plugin", str(PLUGIN), "--runs", str(tmp_path / "runs")]
    code = (
        "import sys\nfrom harness.cli.main import app\n"
        f"try:\n    app({command!r})\nexcept SystemExit as end:\n    assert end.code == 0, end\n"
        "assert not {'torch', 'mmengine', 'mmseg', 'pandas'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
