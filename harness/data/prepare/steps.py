"""Steps that can be repeated, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from harness.contract import ConfigError, DataError

Progress = Callable[[str, int, int], None]
"""Told step, amount done and amount in all."""

Tick = Callable[[int, int], None]
"""Told amount done and amount in all."""

State = Literal["done before", "done now", "missing", "failed", "waiting"]


class MissingFile(DataError):
    """A file that only the user can bring; the sentence says which, from where, and where to put it."""


@dataclass(frozen=True)
class Step:
    """One thing to do.

    Attributes:
        name: The file or folder that it makes.
        found: What shows that there is nothing left to do, or ``None``; cheap.
        run: Does it and says what was done; raises ``DataError`` or ``OSError``.
        after: Steps without which it cannot be done.
    """

    name: str
    found: Callable[[], str | None]
    run: Callable[[Tick], str]
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of a step.

    Attributes:
        step: Its name.
        state: One word or two; ``waiting`` for a step that is missing.
        text: What was found or done, or one sentence that says what is wrong.
    """

    step: str
    state: State
    text: str

    @property
    def ok(self) -> bool:
        """Whether the step is done."""
        return self.state in ("done before", "done now")


def run_steps(steps: Iterable[Step], lock: Path, *, progress: Progress | None = None) -> Iterator[Outcome]:
    """Do what is not done yet, in order.

    Args:
        steps: Each after those that it needs.
        lock: File that keeps a second process away.
        progress: Told step, amount done and amount in all.

    Raises:
        ConfigError: Another process holds the lock, or the folder is read-only.
    """
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise ConfigError(f"{lock}: another process is preparing this data set") from None
    except OSError as error:
        raise ConfigError(f"{lock}: cannot be written: {error}") from None
    lacking: set[str] = set()
    try:
        for step in steps:
            outcome = _outcome(step, lacking, progress)
            if not outcome.ok:
                lacking.add(step.name)
            yield outcome
    finally:
        held.release()


def _outcome(step: Step, lacking: set[str], progress: Progress | None) -> Outcome:
    try:
        if (text := step.found()) is not None:
            return Outcome(step.name, "done before", text)
        if waits := [name for name in step.after if name in lacking]:
            return Outcome(step.name, "waiting", f"for {', '.join(waits)}")
        tick = partial(progress, step.name) if progress else lambda done, total: None
        return Outcome(step.name, "done now", step.run(tick))
    except MissingFile as error:
        return Outcome(step.name, "missing", str(error))
    except (DataError, OSError) as error:
        return Outcome(step.name, "failed", str(error))


def never() -> None:
    """``found`` of a step that is repeated every time."""
