"""`wsss leaderboard --columns`: chosen by name for texts, CSV and the terminal; JSON and HTML keep all."""

import csv
import io
import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from harness.cli.main import app
from harness.contract import ConfigError
from harness.leaderboard import build_board, load_runs, to_rich
from harness.leaderboard.chosen import NAMES, column_names
from harness.leaderboard.frame import Row
from harness.leaderboard.page.page import to_html
from harness.leaderboard.render import to_csv, to_json, to_latex, to_markdown

ASKED = ["val_miou", "method", "reported"]


@pytest.fixture
def board(sweep):
    return build_board(load_runs(sweep.runs))


@pytest.fixture
def narrow(board):
    return board.model_copy(update={"columns": ASKED})


def test_every_name_is_a_field_of_a_row():
    assert NAMES.keys() <= Row.model_fields.keys()


def test_markdown_and_latex_show_the_chosen_columns_in_the_order_asked_for(narrow):
    header = next(line for line in to_markdown(narrow).splitlines() if line.startswith("|"))
    assert [cell.strip() for cell in header.strip("|").split("|")] == ["val mIoU", "method", "reported"]
    header = to_latex(narrow).split("\\toprule")[1].split("\\\\")[0]
    assert [cell.strip() for cell in header.split("&")] == ["val mIoU", "method", "reported"]


def test_csv_shows_the_chosen_fields_with_their_intervals_and_settings(narrow):
    fields = csv.DictReader(io.StringIO(to_csv(narrow))).fieldnames
    assert fields == ["val_miou", "val_miou_low", "val_miou_high", "method", "reported", "reported_protocol"]


def test_json_and_html_keep_everything(board, narrow):
    assert to_json(narrow) == to_json(board)
    assert to_html(narrow) == to_html(board)


def test_the_terminal_shows_the_chosen_columns_in_the_order_asked_for(narrow):
    console = Console(width=200, file=io.StringIO())
    console.print(to_rich(narrow))
    header = next(line for line in console.file.getvalue().splitlines() if "method" in line)
    assert [cell.strip() for cell in header.strip("┃").split("┃")] == ["val mIoU", "method", "reported"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rank,val_mio", "'val_mio' is no column; did you mean 'val_miou'"),
        ("zzzzzz", "'zzzzzz' is no column; columns are rank, method"),
        ("rank,rank", "'rank' is named twice"),
        (" , ", "names no column"),
    ],
)
def test_a_wrong_name_is_one_sentence(text, words):
    with pytest.raises(ConfigError, match=words):
        column_names(text)


def test_the_command_takes_columns(sweep, tmp_path):
    arguments = ["leaderboard", str(sweep.runs), "--columns", "rank,method", "--format", "csv,json", "--out"]
    assert CliRunner().invoke(app, [*arguments, str(tmp_path)]).exit_code == 0
    assert (tmp_path / "demo.csv").read_text().startswith("rank,method\n1,full\n")
    assert len(json.loads((tmp_path / "demo.json").read_text())["rows"][0]) > 20
    assert CliRunner().invoke(app, [*arguments[:3], "rnak"]).exit_code == 2
