"""The frame as Markdown, CSV, JSON and LaTeX: byte-stable, for a rendering is committed and compared.

No date, no path, keys and columns in a fixed order, Unix line ends. CSV and JSON are for machines (fractions of 1, full
precision); Markdown and LaTeX are for readers (per cent, one decimal).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pandas as pd

from harness.leaderboard.columns import (
    CLAIM_HEADERS,
    Column,
    claim_cells,
    class_columns,
    main_columns,
    title,
)
from harness.leaderboard.frame import Board, Row
from harness.leaderboard.reported import closest_reported, reported_protocol

Render = Callable[[Board], str]

_CLAIMS = (
    "Differences are in points (ratios in per cent), with 95 % paired bootstrap intervals over images. A claim holds "
    "when the interval lies on its side of no difference, does not hold when it lies on the other side, and is "
    "unresolved between."
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
}
"""Lists that a line of a CSV file has no place for."""


def to_markdown(board: Board) -> str:
    """The table under a title and the notes that explain it, and the validation IoU by class below."""
    parts = [
        f"# {_markdown_text(title(board))}",
        "\n".join(f"- {_markdown_text(note)}" for note in board.notes),
        _table(board, main_columns(board), "pipe", _markdown_text, null="—"),
    ]
    if columns := class_columns(board):
        parts += ["## Validation IoU by class", _CLASSES, _table(board, columns, "pipe", _markdown_text, null="—")]
    if board.claims:
        parts += ["## Claims of the papers", _CLAIMS, _claims(board)]
    return "\n\n".join(parts) + "\n"


def to_latex(board: Board) -> str:
    """A ``tabular`` for the package ``booktabs`` under comments that explain it."""
    comments = "\n".join(f"% {_one_line(note)}" for note in [title(board), *board.notes])
    return f"{comments}\n{_table(board, main_columns(board), 'latex_booktabs', _one_line, null='--')}\n"


def to_csv(board: Board) -> str:
    """One line a row: the fields of the schema, seeds separated by blanks, one reported number with its settings."""
    return pd.DataFrame([_flat(row) for row in board.rows], dtype=object).to_csv(index=False, lineterminator="\n")


def to_json(board: Board) -> str:
    """The whole frame with sorted keys."""
    return (
        json.dumps(board.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    )


def _flat(row: Row) -> dict[str, object]:
    number = closest_reported(row)
    shared = row.percent_of_full_seeds
    return row.model_dump(mode="json", exclude=_NESTED) | {
        "seeds": " ".join(map(str, row.seeds)),
        "reported": number and number.value,
        "reported_protocol": number and reported_protocol(number),
        "error": row.error and row.error.kind,
        **({} if shared is None else {"percent_of_full_seeds": " ".join(map(str, shared))}),
    }


def _claims(board: Board) -> str:
    cells = [[_markdown_text(text) for text in claim_cells(answer)] for answer in board.claims]
    return pd.DataFrame(cells, columns=list(CLAIM_HEADERS), dtype=object).to_markdown(
        index=False, tablefmt="pipe", disable_numparse=True
    )


def _table(board: Board, columns: Sequence[Column], form: str, escape: Callable[[str], str], *, null: str) -> str:
    cells = [[_cell(column.text(row), escape, null) for column in columns] for row in board.rows]
    frame = pd.DataFrame(cells, columns=[escape(column.header) for column in columns], dtype=object)
    alignment = ["right" if column.number else "left" for column in columns]
    return frame.to_markdown(index=False, tablefmt=form, disable_numparse=True, colalign=alignment)


def _cell(text: str | None, escape: Callable[[str], str], null: str) -> str:
    return null if text is None else escape(text)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _markdown_text(text: str) -> str:
    for char, escaped in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), ("*", "\\*"), ("`", "\\`")):
        text = text.replace(char, escaped)
    return _one_line(text)


def _factory(render: Render) -> Callable[[object], Render]:
    """A renderer factory (``RendererRecord``): these take no parameters."""
    return lambda params: render


markdown = _factory(to_markdown)
latex = _factory(to_latex)
csv = _factory(to_csv)
json_text = _factory(to_json)
