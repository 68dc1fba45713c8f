"""A row that trains a backbone where the others keep theirs is marked, and a note says what the mark means."""

import json

import pytest

from harness.leaderboard import build_board, load_runs
from harness.leaderboard.page.page import to_html
from harness.leaderboard.render import to_json, to_markdown
from tests.leaderboard.board_records import Records

NOTE = "A row marked (trains backbone) also trains a backbone, where all others keep its pretrained weights."


@pytest.fixture
def board(tmp_path):
    records = Records(tmp_path)
    records.add("cam")
    records.add("own", wrong=0.2, reconstruction=True, trains_backbone=True)
    return build_board(load_runs(tmp_path))


def test_the_row_is_marked_in_every_rendering_with_a_note(board):
    text = to_markdown(board)
    assert "| own (reconstruction, trains backbone) |" in text
    assert "| cam (" not in text
    assert NOTE in board.notes
    assert "reconstruction · trains backbone" in to_html(board)
    rows = {row["method"]: row for row in json.loads(to_json(board))["rows"]}
    assert rows["own"]["trains_backbone"] is True
    assert "trains_backbone" not in rows["cam"]


def test_tables_without_such_a_row_are_what_they_were(tmp_path):
    records = Records(tmp_path)
    records.add("cam")
    text = to_json(build_board(load_runs(tmp_path)))
    assert "backbone" in text
    assert "trains" not in text
