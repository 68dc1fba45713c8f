"""The frame on a terminal: as many columns as its width holds, none of them cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from harness.common.text import one_line
from harness.leaderboard import pretrained, stated
from harness.leaderboard.annotation import NOISE
from harness.leaderboard.chosen import chosen
from harness.leaderboard.columns import CLAIM_HEADERS, STATUS, Column, claim_cells, terminal_columns, title
from harness.leaderboard.frame import Board, Row
from harness.records.seeds import APART, SHARED
from harness.records.truth import told

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

_STYLES = {"ok": "", "partial": "yellow", "failed": "red", "timeout": "red"}
_VERDICTS = {"holds": "green", "does not hold": "red", "unresolved": "yellow", "not comparable": "dim"}
_NONE = "—"
_WRAPPED = (STATUS,)
"""Columns of sentences, which may take several lines."""

_ALWAYS = 4
"""Columns that are shown whatever the width: method, validation mIoU, rank, seeds."""


@dataclass(frozen=True)
class BoardTable:
    """A rich renderable that leaves out what does not fit, the least important first, and says so below."""

    board: Board

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the table out for the width that there is."""
        asked = chosen(self.board)
        columns = asked or terminal_columns(self.board)
        shown = fitting(columns, self.board.rows, options.max_width)
        shown = sorted(shown, key=asked.index) if asked else shown
        hidden = [column.header for column in columns if column not in shown]
        found = self.board.notes
        kept = [note for note in found if note in (SHARED, APART) or note.startswith(NOISE)]
        about_files = stated.among(found, self.board.rows)
        notes = list(dict.fromkeys([*found[:1], *told(found), *about_files, *pretrained.among(found), *kept]))
        notes += [f"Not shown for lack of width: {', '.join(hidden)}."] if hidden else []
        below = Text("\n".join(notes))
        for warning in self.board.warnings:
            below.append(f"\n{warning}", style="bold yellow")
        table = Table(title=Text(one_line(title(self.board)), style="table.title"), caption=below)
        for column, width in zip(shown, _widths(shown, self.board.rows, options.max_width), strict=True):
            table.add_column(Text(column.header), justify="right" if column.number else "left", width=width)
        for row in self.board.rows:
            style = _STYLES[row.status] or ("dim" if row.reference else "")
            table.add_row(*(Text(_shown(column, row)) for column in shown), style=style)
        yield table


def to_rich(board: Board) -> BoardTable:
    """The table; rows that are not ``ok`` stand out, reference rows are dim."""
    return BoardTable(board)


def claims_to_rich(board: Board) -> Table:
    """The claims of the papers and what the rows say about them."""
    table = Table(title="Claims of the papers", show_lines=True, caption=Text(board.folded_claims))
    for header in CLAIM_HEADERS:
        table.add_column(header, overflow="fold")
    for answer in board.listed_claims:
        cells = zip(CLAIM_HEADERS, claim_cells(answer), strict=True)
        styles = {"verdict": _VERDICTS[answer.verdict]}
        table.add_row(*(Text(one_line(text), style=styles.get(header, "")) for header, text in cells))
    return table


def fitting(columns: list[Column], rows: Iterable[Row], width: int) -> list[Column]:
    """The columns that fit, in the order of a reader: rank first, then as given.

    Args:
        columns: The most important first; the first four are kept in any case.
        rows: What the table shows.
        width: Cells of the terminal.
    """
    rows = list(rows)
    kept: list[Column] = []
    left = width - 1
    for place, column in enumerate(columns):
        needed = _width(column, rows) + 3
        if place < _ALWAYS or needed <= left:
            kept.append(column)
            left -= needed
    return sorted(kept, key=lambda column: (_READING.get(column.header, len(_READING)), columns.index(column)))


_READING = {
    header: place for place, header in enumerate(("rank", "method", "supervision", "backbone", "pseudo mIoU (train)"))
}


def _width(column: Column, rows: Iterable[Row], *, whole: bool = False) -> int:
    """Cells of the terminal that a column needs.

    These are enough for its longest text and the longest word of its header; with ``whole``, for the header and for
    sentences on one line as well.
    """
    texts = [_shown(column, row) for row in rows]
    if column in _WRAPPED and not whole:
        texts = [word for text in texts for word in text.split()]
    return max(len(text) for text in [*texts, *([column.header] if whole else column.header.split())])


def _widths(columns: Iterable[Column], rows: list[Row], width: int) -> list[int]:
    """The width of each column: header and sentences on one line where there is room, from the left."""
    widths = [_width(column, rows) for column in columns]
    spare = width - 1 - sum(widths) - 3 * len(widths)
    for place, column in enumerate(columns):
        wider = _width(column, rows, whole=True) - widths[place]
        if wider <= spare:
            widths[place] += wider
            spare -= wider
    return widths


def _shown(column: Column, row: Row) -> str:
    return one_line(column.text(row) or _NONE)
