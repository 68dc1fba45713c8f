"""From run records to one result frame and its renderings. Light to import."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.leaderboard.board import build_board
    from harness.leaderboard.frame import Board, Row
    from harness.leaderboard.loading import Run, load_runs
    from harness.leaderboard.selection import select_settings
    from harness.leaderboard.terminal import to_rich

__all__ = ["Board", "Row", "Run", "build_board", "load_runs", "select_settings", "to_rich"]

_HOMES = {
    "build_board": "board",
    "Board": "frame",
    "Row": "frame",
    "Run": "loading",
    "load_runs": "loading",
    "select_settings": "selection",
    "to_rich": "terminal",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
