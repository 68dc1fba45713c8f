"""What every command prints with: tables and sentences for people, JSON for programs.

Names and messages come from files and plugins of other people. Whatever they hold, they are shown and never obeyed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from harness.common.text import dump_json, one_line, printable

if TYPE_CHECKING:
    from rich.console import Console

INCOMPLETE = 3
"""Exit code of a command that left something out and did the rest."""

_PIPE_WIDTH = 200
"""Columns when the output is not a terminal: wide enough that no cell of a table is folded early."""


def console(*, stderr: bool = False) -> Console:
    """A console that takes every text literally: no markup, no control characters."""
    from harness.common.literal import LiteralConsole

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    return LiteralConsole(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)


def say(text: str, *, stderr: bool = False) -> None:
    """Write ``text`` on a line of its own; control characters are shown, line breaks stay."""
    typer.echo(_lines(text), err=stderr)


def print_json(data: Any) -> None:
    """Write ``data`` as indented JSON and nothing else, so that the output can be piped."""
    sys.stdout.write(dump_json(data, indent=2) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, styles: Sequence[str] = ()) -> None:
    """Print a table.

    Args:
        columns: Headings.
        rows: One text per column; a text may hold several lines.
        styles: A rich style for each row, empty for none.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(_lines(column), overflow="fold")
    for number, row in enumerate(rows):
        table.add_row(*map(_lines, row), style=styles[number] if styles else None)
    console().print(table)


def print_error(message: str) -> None:
    """Write ``error: <message>`` on one line to standard error."""
    sys.stderr.write(f"error: {one_line(message)}\n")


@contextmanager
def leaving_out() -> Iterator[Callable[[str], None]]:
    """Gives a function that says what the command leaves out; a command that left out anything ends with 3.

    Raises:
        typer.Exit: With ``INCOMPLETE``, at the end.
    """
    said: list[str] = []

    def report(sentence: str) -> None:
        said.append(sentence)
        sys.stderr.write(f"left out: {one_line(sentence)}\n")

    yield report
    if said:
        raise typer.Exit(INCOMPLETE)


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Gives a function of a name, the amount done and the amount in all: one bar per name on a terminal, else nothing.

    An amount in all of 0 means that nobody knows it.
    """
    from rich.progress import Progress, TaskID

    with Progress(console=console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name)
            bars.update(tasks[name], completed=done, total=total or None)

        yield tell


def _lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))
