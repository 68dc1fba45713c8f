"""A row without a score is a row of dashes that says why; tables, page, claims and comparisons go on."""

import json

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from harness.cli.main import app
from harness.contract import Claim
from harness.leaderboard import build_board, load_runs, to_rich
from harness.leaderboard.columns import VAL
from harness.leaderboard.page.page import page_of, to_html
from harness.leaderboard.render import to_csv, to_json, to_latex, to_markdown
from harness.scoring import score


def void(path, *names):
    """Make scores of a record ones whose truth is 255 everywhere."""
    record = json.loads(path.read_text())
    for name in names:
        nothing = np.full((8, 8), 255, np.uint8)
        found = score(((f"i{n}", nothing, np.zeros((8, 8), np.uint8)) for n in range(12)), 4)
        record["scores"][name]["sha256"] = found.save(path.parent / record["scores"][name]["confusion"])
    path.write_text(json.dumps(record))


@pytest.fixture
def one_void(records):
    """``full`` and ``good`` with numbers, ``void`` without any."""
    for seed in (0, 1):
        records.add("full", wrong=0.1, seed=seed)
        records.add("good", wrong=0.3, seed=seed)
        void(records.add("void", seed=seed, reported=[REPORTED]), "val", "pseudo")
    return records


REPORTED = {"value": 0.6, "metric": "val mIoU", "dataset": "toy", "split": "val", "source": "Table 2"}


def test_a_row_without_a_scored_pixel_has_dashes_and_its_reason(one_void):
    board = build_board(load_runs(one_void.runs), claims=[Claim("good", "void", "s"), Claim("full", "good", "s")])
    rows = {row.method: row for row in board.rows}
    assert [row.method for row in board.rows] == ["full", "good", "void"]
    assert (rows["void"].status, rows["void"].rank, VAL.text(rows["void"])) == ("ok", None, None)
    assert rows["void"].pseudo_miou is None
    assert rows["void"].error.kind == "no scored pixel"
    assert "12 validation images is 255 everywhere" in rows["void"].error.message
    assert all(rows[name].rank for name in ("full", "good"))
    assert rows["good"].percent_of_full == rows["good"].val_miou / rows["full"].val_miou
    assert [answer.verdict for answer in board.claims] == ["holds", "not comparable"]
    assert board.claims[1].reason == "row void has no val mIoU"


def test_every_rendering_of_a_table_with_such_a_row_stands(one_void):
    board = build_board(load_runs(one_void.runs))
    console = Console(width=250, no_color=True)
    with console.capture() as captured:
        console.print(to_rich(board))
    for text in (to_markdown(board), to_latex(board), to_html(board), captured.get()):
        assert "ok: no scored pixel in score predictions, seed 0" in " ".join(text.split())
    assert "no scored pixel" in to_csv(board)
    assert json.loads(to_json(board))["rows"][2]["val_miou"] is None
    assert [failure.method for failure in page_of(board).failures] == ["void"]
    assert ("incomplete rows", "1") in page_of(board).facts
    assert page_of(board).reported[0].verdict == "no measurement"


def test_a_table_of_such_rows_alone_stands(records):
    void(records.add("full"), "val")
    void(records.add("mine"), "val", "pseudo")
    board = build_board(load_runs(records.runs))
    assert [row.val_miou for row in board.rows] == [None, None]
    assert next(row for row in board.rows if row.method == "full").pseudo_miou is not None
    for render in (to_markdown, to_latex, to_html, to_csv, to_json):
        assert "full" in render(board)


def test_compare_and_leaderboard_end_well(records):
    for label in ("full", "mine"):
        void(records.add(label), "val")
    for arguments in (["leaderboard", str(records.runs)], ["compare", "full", "mine", "--runs", str(records.runs)]):
        result = CliRunner().invoke(app, arguments)
        assert (result.exit_code, result.stderr) == (0, "")
    assert "no statistics: the rows share no seed with val mIoU" in result.stdout
