"""What every command prints with: tables and sentences for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_WIDTH = 200
"""Columns when the output is not a terminal: wide enough that no cell of a table is folded early."""


def console(*, stderr: bool = False) -> Console:
    """A console that takes every text literally (square brackets are not markup)."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)


def print_json(data: Any) -> None:
    """Write ``data`` as indented JSON and nothing else, so that the output can be piped."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, styles: Sequence[str] = ()) -> None:
    """Print a table.

    Args:
        columns: Headings.
        rows: One text a column; a text may hold several lines.
        styles: A rich style for each row, empty for none.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for number, row in enumerate(rows):
        table.add_row(*row, style=styles[number] if styles else None)
    console().print(table)


def print_error(message: str) -> None:
    """Write ``error: <message>`` on one line to standard error."""
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
