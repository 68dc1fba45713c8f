"""Committed tables are what the committed records give, byte for byte."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.main import app

ROOT = Path(__file__).parent.parent
BOARDS = sorted(path.parent for path in ROOT.glob("leaderboards/*/records"))


def test_there_are_committed_boards():
    assert BOARDS


@pytest.mark.parametrize("board", BOARDS, ids=lambda path: path.name)
def test_a_committed_table_is_regenerated_to_the_byte(board, tmp_path):
    result = CliRunner().invoke(app, ["leaderboard", str(board / "records"), "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_bytes() for path in board.iterdir() if path.is_file()}
    assert made.keys() == committed.keys()
    for name, content in made.items():
        assert content == committed[name], name


def test_no_picture_is_committed_with_a_table():
    assert not [path for path in ROOT.glob("leaderboards/**/*") if path.suffix in (".png", ".jpg", ".jpeg")]
