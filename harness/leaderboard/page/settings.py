"""The settings that all rows share, as names and values for the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.leaderboard.frame import Board


def identity_of(board: Board) -> list[tuple[str, str]]:
    """Benchmark, data set, fingerprints and initial weights of the table."""
    pairs = [("benchmark", board.benchmark)]
    if board.dataset is not None:
        pairs.append(("data set", board.dataset.name))
        pairs.append(("classes", ", ".join(board.dataset.classes)))
    fingerprints = sorted({row.fingerprint for row in board.rows})
    pairs += [("fingerprint" if len(fingerprints) == 1 else "one of the fingerprints", value) for value in fingerprints]
    weights = sorted({(row.backbone, row.init, row.init_sha256 or "") for row in board.rows})
    pairs += [(f"weights of {name}", f"{init} {sha256}".strip()) for name, init, sha256 in weights]
    return pairs


def settings_of(board: Board) -> list[tuple[str, list[tuple[str, str]]]]:
    """Sections of the protocol with their fields in dotted form; none for a mixed table."""
    return [
        (name, list(_fields(section)) if isinstance(section, Mapping) else [("value", _text(section))])
        for name, section in sorted((board.protocol or {}).items())
    ]


def _fields(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in sorted(section.items()):
        if isinstance(value, Mapping):
            yield from _fields(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "—"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "—"
    return str(value)
