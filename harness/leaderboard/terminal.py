"""The frame as a table for the terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from harness.leaderboard.columns import terminal_columns, title
from harness.leaderboard.frame import Board, Row

_STYLES = {"ok": "", "partial": "yellow", "failed": "red", "timeout": "red"}


def to_rich(board: Board) -> Table:
    """The columns that fit a terminal; rows that are not ``ok`` stand out, reference rows are dim."""
    table = Table(title=title(board), caption=board.notes[0] if board.notes else None)
    columns = terminal_columns(board)
    for column in columns:
        table.add_column(Text(column.header), justify="right" if column.number else "left")
    for row in board.rows:
        table.add_row(*(Text(column.text(row) or "—") for column in columns), style=_style(row))
    return table


def _style(row: Row) -> str:
    return _STYLES[row.status] or ("dim" if row.reference else "")
