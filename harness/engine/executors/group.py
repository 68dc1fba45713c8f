"""Processes that torchrun started to compute one stage together, and how they agree on it.

The first holds the stage's lock and publishes. It alone decides whether there is something to train; the others wait
for its call, train with it, and what they write is thrown away.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

FOLDER = "WSSS_GROUP"
"""Environment variable: a folder that the processes of a group share."""

CALL, RESULT, ENDED = "call", "result", "ended-"
POLL = 0.1
VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")


def rank() -> int:
    """Number of this process in its group; 0 is the one that publishes, and every process that is in none."""
    return int(os.environ.get("RANK", "0")) if FOLDER in os.environ else 0


def local_rank() -> int:
    """Number of this process on its machine, which is that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0")) if FOLDER in os.environ else 0


def call() -> None:
    """Tell the others to train along; no group, no call."""
    if FOLDER in os.environ:
        Path(os.environ[FOLDER], CALL).touch()


def called() -> bool:
    """Wait for the call of the first process; ``False`` when it has ended without one."""
    folder = Path(os.environ[FOLDER])
    while not (folder / CALL).exists():
        if (folder / RESULT).exists():
            return False
        time.sleep(POLL)
    return True


def leave() -> None:
    """Work on alone: nothing that this process calls takes it for one of several."""
    if FOLDER in os.environ:
        for name in VARIABLES:
            os.environ.pop(name, None)
