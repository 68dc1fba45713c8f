"""What observers are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class RunEvent:
    """A benchmark run: its name, protocol fingerprint and the cells as (method, backbone, seed)."""

    benchmark: str
    fingerprint: str
    cells: tuple[tuple[str, str, int], ...]
    failed: int = 0


@dataclass(frozen=True)
class StageEvent:
    """One finished stage; ``seconds`` is wall time, ``peak_mib`` peak resident memory in MiB."""

    name: str
    key: str
    status: Literal["done", "cached", "failed"]
    seconds: float | None = None
    peak_mib: float | None = None
    error: str | None = None
