"""``harness.load``: rows of a folder as a frame, compared, and their labels."""

import subprocess
import sys

import pandas as pd
import pytest

import harness
from harness.contract.errors import ConfigError, DataError
from tests.commands import wsss
from tests.leaderboard.board_records import Records


def test_a_frame_has_one_line_for_each_cell_in_the_columns_of_the_csv(sweep, tmp_path):
    frame = harness.load(sweep.runs).frame
    wsss("leaderboard", sweep.runs, "--format", "csv", "--out", tmp_path)
    columns = pd.read_csv(tmp_path / "demo.csv").columns
    assert sorted(zip(frame.method, frame.seed, strict=True)) == [
        (name, seed) for name in ("box_fill", "broken", "cam_new", "full") for seed in (0, 1)
    ]
    assert set(frame.columns) - set(columns) == {"benchmark", "seed"}
    assert {"backbone", "val_miou", "val_miou_low", "pseudo_miou", "status", "seconds"} <= set(frame.columns)
    assert frame[frame.method == "broken"].val_miou.isna().all()


def test_the_leaderboard_of_a_program_is_that_of_the_command(sweep, tmp_path):
    wsss("leaderboard", sweep.runs, "--format", "csv", "--out", tmp_path)
    written = pd.read_csv(tmp_path / "demo.csv")
    made = harness.load(sweep.runs).leaderboard()
    assert list(made.columns) == list(written.columns)
    assert made.val_miou.dropna().tolist() == written.val_miou.dropna().tolist()
    cells = harness.load(sweep.runs).frame
    mean = cells[cells.method == "full"].val_miou.mean()
    assert made.set_index("method").val_miou["full"] == pytest.approx(mean)


def test_columns_of_a_leaderboard_are_chosen_as_on_the_command_line(sweep):
    chosen = harness.load(sweep.runs).leaderboard(columns=["method", "val_miou", "val_pixel_accuracy"])
    assert list(chosen.columns) == [
        "method", "val_miou", "val_miou_low", "val_miou_high",
        "val_pixel_accuracy", "val_pixel_accuracy_low", "val_pixel_accuracy_high",
    ]  # fmt: skip


def test_two_rows_are_compared_in_the_sentence_of_the_command(sweep):
    compared = harness.load(sweep.runs).compare("cam_new", "full")
    printed = wsss("compare", "cam_new", "full", "--runs", sweep.runs).stdout
    assert compared.sentence() in printed
    assert repr(compared) == f"A = cam_new, B = full: {compared.sentence()}"
    assert compared.statistics.difference.value > 0
    assert compared.statistics.significant
    assert len(compared.statistics.changes) == compared.statistics.images == 12


def test_a_row_without_numbers_is_compared_with_the_reason(sweep):
    compared = harness.load(sweep.runs).compare("broken", "full")
    assert compared.statistics is None
    assert compared.sentence() == "no statistics: the rows share no seed with val mIoU"


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda runs: runs.compare("cam", "full"), "there is no row 'cam'; rows are: box_fill, broken, cam_new, full"),
        (lambda runs: runs.compare("full", "box_fill", score="test"), "--score: 'test' is none of val, pseudo"),
        (lambda runs: runs.labels("full", seed=7), "row 'full' has no seed 7; it has 0 1"),
        (lambda runs: runs.labels("broken"), "the row is failed, and there is none in the store"),
        (lambda runs: runs.labels("full", round=2), "row full--resnet18--s0 has no round 2, only 1 to 1"),
        (lambda runs: runs.predictions("full"), "it has no predictions"),
        (lambda runs: runs.leaderboard(columns="val_moiu"), "--columns: 'val_moiu' is no column; did you mean"),
        (lambda runs: runs.labels("full"), "row full--resnet18--s0: pseudo labels: no sound one in the store"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(sweep, ask, sentence):
    with pytest.raises(harness.WsssError) as error:
        ask(harness.load(sweep.runs))
    assert sentence in str(error.value)


def test_a_folder_without_records_is_the_sentence_of_the_commands(tmp_path):
    with pytest.raises(ConfigError, match="no run records; make some with `wsss run`"):
        harness.load(tmp_path)


def test_a_record_that_cannot_be_used_is_left_out_and_named(sweep, capfd):
    damaged = next(sweep.runs.rglob("box_fill--*--s1.val.npz"))
    damaged.write_bytes(b"none")
    runs = harness.load(sweep.runs)
    assert len(runs.frame) == 7
    assert len(runs.left_out) == 1
    assert damaged.name in runs.left_out[0]
    assert "1 records left out" in repr(runs)
    assert capfd.readouterr() == ("", "")


def test_a_folder_of_damaged_records_only_is_an_error(records: Records):
    records.add("one").write_text("{}")
    with pytest.raises(DataError, match="not a readable run record"):
        harness.load(records.runs)


def test_importing_the_package_loads_neither_torch_nor_anything_else():
    code = (
        "import sys, harness; names = dir(harness); "
        "print([m for m in sys.modules if m.partition('.')[0] in ('torch', 'numpy', 'pandas', 'pydantic', 'typer')]); "
        "print(names, harness.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded, names = done.stdout.splitlines()
    assert loaded == "[]"
    assert names.startswith("['Runs', 'WsssError', 'load', 'run']")
