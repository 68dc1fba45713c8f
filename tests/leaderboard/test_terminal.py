"""Promises of the table on a terminal."""

import io

import pytest
from rich.console import Console

from harness.leaderboard import build_board, load_runs, to_rich


def shown(board, width):
    console = Console(width=width, file=io.StringIO())
    console.print(to_rich(board))
    return console.file.getvalue()


@pytest.fixture
def board(sweep):
    sweep.add("a_method_with_a_rather_long_name", wrong=0.25, backbone="resnet18")
    return build_board(load_runs(sweep.runs))


@pytest.mark.parametrize("width", [80, 100, 120, 160, 250])
def test_no_text_is_cut_and_no_line_is_longer_than_the_terminal(board, width):
    text = shown(board, width)
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= width
    for row in board.rows:
        assert row.method in text
    for row in board.rows:
        if row.val_miou is not None:
            assert f"{100 * row.val_miou:.1f} [{100 * row.val_miou_low:.1f}, {100 * row.val_miou_high:.1f}]" in text


def test_a_narrow_terminal_drops_the_least_important_columns_and_names_them(board):
    narrow, wide = shown(board, 80), shown(board, 250)
    assert "Not shown for lack of width" in narrow
    assert "compute s" in narrow.split("Not shown")[1]
    assert "Not shown" not in wide
    assert "compute s" in wide


def test_a_failure_is_on_one_line_where_there_is_room_and_on_several_where_not(board):
    assert "failed: RuntimeError in fit, seed 0" in shown(board, 250)
    assert "failed:" in shown(board, 100)
