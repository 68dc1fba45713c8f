"""The frame as Markdown, CSV, JSON and LaTeX: byte-stable, for a rendering is committed and compared.

No date, no path, keys and columns in a fixed order, Unix line ends. CSV and JSON are for machines (fractions of 1, full
precision); Markdown and LaTeX are for readers (per cent, one decimal).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import pandas as pd
import tabulate

from harness.common.text import dump_json, one_line
from harness.leaderboard.board import build_board
from harness.leaderboard.chosen import chosen, chosen_fields
from harness.leaderboard.columns import (
    CLAIM_HEADERS,
    Column,
    claim_cells,
    class_columns,
    main_columns,
    title,
)
from harness.leaderboard.frame import Board, Row
from harness.leaderboard.metrics import Metric
from harness.leaderboard.reported import closest_reported, reported_protocol
from harness.records.reader import Run

Render = Callable[[Board], str]

_CLAIMS = (
    "Differences are in points (ratios in per cent), with 95 % paired bootstrap intervals over images. A claim holds "
    "when the interval lies on its side of no difference, does not hold when it lies on the other side, and is "
    "unresolved between."
)

_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula, in both widths."""

_MARKDOWN = (
    (r"&(?=[A-Za-z#])", "&amp;"),
    (r"([\\|*`~$])", r"\\\1"),
    ("<", "&lt;"),
    (r"\](?=[(\[:])", r"\]"),
    (r"(?<![^\W_])_|_(?![^\W_])", r"\_"),
    (r"://", ":&#47;/"),
    (r"(?i)\bwww\.", "www&#46;"),
)
"""Markup and what it is written as, in this order; an underscore inside a word and a bracketed interval are none."""

_PREAMBLE = (
    r"Needs \usepackage{booktabs} in the preamble. Where the page is too narrow: wsss leaderboard --columns chooses "
    r"columns, or \resizebox{\textwidth}{!}{\input{...}} of the package graphicx makes the table smaller."
)

_CLASSES = "Each number is the mean over the seeds of its row."

_NESTED = {
    "class_iou",
    "class_iou_low",
    "class_iou_high",
    "val_miou_seeds",
    "pseudo_miou_seeds",
    "tied_with",
    "percent_of_full_seeds",
    "metrics",
}
"""Lists that a line of a CSV file has no place for."""


_OF_SEVERAL = {"rank", "seeds", "val_miou_seed_sd", "percent_of_full", "percent_of_full_seeds", "above_full", "code"}
"""Columns of a CSV that compare rows, or sum seeds up."""


def to_markdown(board: Board) -> str:
    """The table under a title and the notes that explain it, and the validation IoU by class below."""
    parts = [
        f"# {_markdown_text(title(board))}",
        "\n".join(f"- {_markdown_text(note)}" for note in board.notes),
        _table(board, chosen(board) or main_columns(board), "pipe", _markdown_text, null="—"),
        *(f"**{_markdown_text(warning)}**" for warning in board.warnings),
    ]
    if columns := class_columns(board):
        parts += ["## Validation IoU by class", _CLASSES, _table(board, columns, "pipe", _markdown_text, null="—")]
    if board.claims:
        parts += ["## Claims of the papers", _CLAIMS]
        cells = [[_markdown_text(text) for text in claim_cells(answer)] for answer in board.listed_claims]
        if cells:
            frame = pd.DataFrame(cells, columns=list(CLAIM_HEADERS), dtype=object)
            parts.append(frame.to_markdown(index=False, tablefmt="pipe", disable_numparse=True))
        if board.folded_claims:
            parts.append(board.folded_claims)
    return "\n\n".join(parts) + "\n"


def to_latex(board: Board) -> str:
    """A ``tabular`` for the package ``booktabs`` under comments that explain it."""
    comments = "\n".join(f"% {one_line(note)}" for note in [title(board), _PREAMBLE, *board.notes])
    table = _table(board, chosen(board) or main_columns(board), "latex_booktabs", one_line, null="--")
    # A row that starts with [ or * would be read as an argument of the line break before it.
    table = re.sub(r"^( *)(?=[\[*])", r"\1{}", table, flags=re.MULTILINE)
    warnings = [one_line(warning) for warning in board.warnings]
    # Texts outside the table are escaped by the rules that tabulate applies to those inside.
    escaped = ["".join(tabulate.LATEX_ESCAPE_RULES.get(char, char) for char in warning) for warning in warnings]
    below = "".join(f"\n\n\\noindent {warning}" for warning in escaped)
    return f"{comments}\n{table}{below}\n"


def to_csv(board: Board) -> str:
    """One line per row: the fields of the schema, seeds separated by blanks, one reported number with its settings."""
    lines = [_flat(row, board.metrics) for row in board.rows]
    safe = [{name: _csv_text(cell) if isinstance(cell, str) else cell for name, cell in line.items()} for line in lines]
    frame = pd.DataFrame(safe, dtype=object)
    return frame[chosen_fields(board, frame.columns)].to_csv(index=False, lineterminator="\n")


def row_frame(board: Board) -> pd.DataFrame:
    """One line for each row, in the columns of the CSV: numbers as numbers, texts as they are."""
    frame = pd.DataFrame([_flat(row, board.metrics) for row in board.rows])
    return frame[chosen_fields(board, frame.columns)]


def cell_frame(runs: Iterable[Run], metrics: Sequence[Metric] = ()) -> pd.DataFrame:
    """One line for each run, in the columns of the CSV that one seed has, after ``benchmark`` and ``seed``."""
    lines = []
    for run in runs:
        board = build_board([run], metrics=metrics)
        cell = {name: value for name, value in _flat(board.rows[0], board.metrics).items() if name not in _OF_SEVERAL}
        lines.append({"benchmark": run.record.benchmark, "seed": run.record.seed, **cell})
    return pd.DataFrame(lines)


def to_json(board: Board) -> str:
    """The whole frame with sorted keys."""
    return dump_json(board.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"


def _flat(row: Row, metrics: Iterable[str]) -> dict[str, object]:
    """The cells of a line of a CSV file; of each metric that was asked for the value and the ends of its interval."""
    number = closest_reported(row)
    shared = row.percent_of_full_seeds
    cells: dict[str, object] = row.model_dump(mode="json", exclude=_NESTED) | {
        "seeds": " ".join(map(str, row.seeds)),
        "reported": number and number.value,
        "reported_protocol": number and reported_protocol(number),
        "error": row.error and row.error.kind,
        **({} if shared is None else {"percent_of_full_seeds": " ".join(map(str, shared))}),
    }
    for name in metrics:
        value = row.metrics.get(name)
        cells |= {name: value and value.value, f"{name}_low": value and value.low, f"{name}_high": value and value.high}
    return cells


def _table(board: Board, columns: Sequence[Column], form: str, escape: Callable[[str], str], *, null: str) -> str:
    texts = [[column.text(row) for column in columns] for row in board.rows]
    cells = [[null if text is None else escape(text) for text in line] for line in texts]
    frame = pd.DataFrame(cells, columns=[escape(column.header) for column in columns], dtype=object)
    alignment = ["right" if column.number else "left" for column in columns]
    return frame.to_markdown(index=False, tablefmt=form, disable_numparse=True, colalign=alignment)


def _csv_text(value: str) -> str:
    """A text that no spreadsheet takes for a formula: one that begins like a formula gets an apostrophe in front."""
    text = one_line(value)
    with suppress(ValueError):
        float(text)
        return text
    return f"'{text}" if text.startswith(_FORMULA) else text


def _markdown_text(text: str) -> str:
    """A text that is no markup: no link, no picture, no emphasis, no HTML, no further cell."""
    for mark, escaped in _MARKDOWN:
        text = re.sub(mark, escaped, text)
    return one_line(text)


def _factory(render: Render) -> Callable[[object], Render]:
    """A renderer factory (``RendererRecord``): these take no parameters."""
    return lambda params: render


markdown = _factory(to_markdown)
latex = _factory(to_latex)
csv = _factory(to_csv)
json_text = _factory(to_json)
