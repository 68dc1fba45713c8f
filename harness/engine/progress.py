"""Where a sweep is: on the terminal, and in a status file that any other terminal can read."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psutil

from harness.common.atomic import write_atomically
from harness.common.files import read_json
from harness.common.text import printable
from harness.contract.errors import StoreError, WsssError
from harness.engine.stage.worker import report_path

if TYPE_CHECKING:
    from rich.console import Console, Group

    from harness.engine.plan.layout import Cell, Plan

WRITE_EACH, LINE_EACH = 1.0, 30.0
"""Seconds between two status files, and between two lines where nobody watches: a log should stay short."""

MOST_LINES = 40
"""Cells that the drawing shows; a higher one would scroll on most terminals."""

log = logging.getLogger(__name__)


@dataclass
class CellState:
    """Progress of one cell.

    Attributes:
        status: ``waiting``, ``running``, ``ok``, ``failed`` or ``timeout``.
        done: Finished stages.
        total: Stages of the cell.
        stage: What runs now.
        share: How far that stage is, 0 to 1.
        begun: When it began, seconds since the epoch.
    """

    __pydantic_config__ = {"allow_inf_nan": False}

    name: str
    total: int
    status: str = "waiting"
    done: int = 0
    stage: str | None = None
    share: float = 0.0
    begun: float | None = None
    note: str = ""

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in ("ok", "failed", "timeout")

    def remaining(self, now: float) -> float | None:
        """Seconds until the running stage ends at its present pace."""
        if self.begun is None or self.share <= 0:
            return None
        return (now - self.begun) * (1 - self.share) / self.share


@dataclass
class Sweep:
    """Progress of a run, as the status file holds it."""

    __pydantic_config__ = {"allow_inf_nan": False}

    benchmark: str
    records: str
    pid: int = field(default_factory=os.getpid)
    host: str = field(default_factory=socket.gethostname)
    started: float = field(default_factory=time.time)
    finished: bool = False
    cells: list[CellState] = field(default_factory=list)

    @property
    def alive(self) -> bool | None:
        """Whether the run's process lives; ``None`` when it runs on another machine."""
        if self.host != socket.gethostname():
            return None
        try:
            return psutil.Process(self.pid).create_time() <= self.started + 1
        except (psutil.Error, ValueError, OverflowError):  # gone, or a number that no process has
            return False

    def replaces(self, other: Sweep) -> bool:
        """Whether ``other`` has ended and this later sweep tells of all of its cells."""
        over = other.finished or other.alive is False
        names = {cell.name for cell in self.cells}
        return over and self.records == other.records and names.issuperset(cell.name for cell in other.cells)


class ProgressDisplay:
    """Collects progress, draws it and mirrors it to the status file.

    Args:
        plan: What is run.
        runs: The runs folder.
        console: Where to draw; ``None`` = nowhere.
    """

    def __init__(self, plan: Plan, runs: Path, console: Console | None = None) -> None:
        self._runs, self._console = runs, console
        self._path = runs / "status" / f"{plan.folder}-{uuid4().hex[:8]}.json"
        self._cells = {cell.stem: CellState(cell.stem, len(cell.stages)) for cell in plan.cells}
        self.sweep = Sweep(plan.benchmark.name, f"records/{plan.folder}", cells=list(self._cells.values()))
        self._written = self._printed = 0.0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw while the run lasts."""
        self._write()
        for path, earlier in _statuses(self._runs):
            if path != self._path and self.sweep.replaces(earlier):
                with suppress(OSError):
                    path.unlink()
        try:
            if self._console is not None and self._console.is_terminal:
                from rich.live import Live

                with Live(get_renderable=lambda: table(self.sweep), console=self._console, refresh_per_second=4):
                    yield
            else:
                yield
        finally:
            self.sweep.finished = all(cell.finished for cell in self._cells.values())
            self._write()

    def cell(self, cell: Cell, *, status: str, note: str = "") -> None:
        """A cell changed its status."""
        state = self._cells[cell.stem]
        state.status, state.note = status, note
        if state.finished:
            state.stage, state.begun = None, None
            state.done = state.total if status == "ok" else state.done
            if self._console is not None and not self._console.is_terminal:
                text = printable(f"{cell.stem}: {status}{f' ({note})' if note else ''}")
                self._console.print(text, highlight=False, markup=False)

    def stages(self, cell: Cell, *, done: int, running: str | None, key: str | None, begun: float | None) -> None:
        """The stages of a cell moved on."""
        state = self._cells[cell.stem]
        if state.finished:
            return
        state.done, state.stage, state.begun = done, running, begun
        state.share = 0.0
        if key is not None:
            with suppress(StoreError, ValueError, OverflowError, KeyError, TypeError):  # not there yet, or damaged
                progress = read_json(report_path(self._runs, key), error=StoreError)
                state.share = float(min(progress["done"] / max(progress["total"], 1), 1.0))
        state.status = "running" if running else "waiting"

    def tick(self) -> None:
        """Called often; writes and prints at its own pace. A status file that cannot be written stops nothing."""
        now = time.monotonic()
        if now - self._written >= WRITE_EACH:
            self._written = now
            self._write()
        if self._console is not None and not self._console.is_terminal and now - self._printed >= LINE_EACH:
            self._printed = now
            self._console.print(summary(self.sweep), highlight=False)

    def _write(self) -> None:
        with suppress(WsssError, OSError):
            write_atomically(self._path, json.dumps(asdict(self.sweep)))


def read_status(runs: Path) -> list[Sweep]:
    """Every sweep that left a status file below ``runs`` and was not repeated since, latest first."""
    return sorted((sweep for _, sweep in _statuses(runs)), key=lambda sweep: -sweep.started)


def _statuses(runs: Path) -> Iterator[tuple[Path, Sweep]]:
    """Status files with what they hold; a damaged one is named in a warning and left out."""
    from pydantic import TypeAdapter, ValidationError

    shape = TypeAdapter(Sweep)
    for path in sorted((runs / "status").glob("*.json")):
        try:
            yield path, shape.validate_python(read_json(path, error=StoreError))
        except StoreError as error:
            if os.path.lexists(path):  # else another run has just taken it away
                log.warning("%s (not shown)", error)
        except ValidationError as error:
            field = ".".join(map(str, error.errors()[0]["loc"]))
            log.warning("%s: %s: %s (not shown)", path, printable(field), error.errors()[0]["msg"].lower())


def summary(sweep: Sweep) -> str:
    """One line: how many cells are where, and what runs."""
    counts: dict[str, int] = {}
    for cell in sweep.cells:
        counts[cell.status] = counts.get(cell.status, 0) + 1
    running = sorted({cell.stage for cell in sweep.cells if cell.stage})
    parts = [f"{count} {status}" for status, count in counts.items()]
    return printable(f"{sweep.benchmark}: {', '.join(parts)}" + (f"; now {', '.join(running)}" if running else ""))


def table(sweep: Sweep) -> Group:
    """A line for each cell, the running ones first, as many as fit."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    order = {"running": 0, "failed": 1, "timeout": 1, "waiting": 2, "ok": 3}
    cells = sorted(sweep.cells, key=lambda cell: order.get(cell.status, 2))
    now = time.time()
    for cell in cells[:MOST_LINES]:
        share = min((cell.done + cell.share) / max(cell.total, 1), 1.0)
        left = cell.remaining(now)
        grid.add_row(
            Text(printable(cell.name)),
            Text(printable(cell.status), style=_COLOURS.get(cell.status, "dim")),
            ProgressBar(total=1.0, completed=share, width=20),
            f"{cell.done}/{cell.total}",
            Text(printable(cell.stage or cell.note), overflow="ellipsis", no_wrap=True),
            f"{duration(left)} left" if left is not None else "",
        )
    hidden = f" ({len(cells) - MOST_LINES} more)" if len(cells) > MOST_LINES else ""
    return Group(grid, Text(summary(sweep) + hidden))


_COLOURS: Mapping[str, str] = {"ok": "green", "running": "cyan", "failed": "red", "timeout": "red"}


def duration(seconds: float) -> str:
    """For example ``42 s``, ``3 min``, ``2 h 10 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
