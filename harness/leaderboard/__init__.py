"""From run records to one result frame and its renderings. Light to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.common.lazy import lazy_face

if TYPE_CHECKING:
    from harness.leaderboard.board import build_board
    from harness.leaderboard.frame import Board, Row
    from harness.leaderboard.selection import select_settings
    from harness.leaderboard.terminal import to_rich
    from harness.records.reader import Run, load_runs

__all__ = ["Board", "Row", "Run", "build_board", "load_runs", "select_settings", "to_rich"]

__getattr__, __dir__ = lazy_face(__name__)
