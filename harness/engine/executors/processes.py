"""A process that computes stages, and an end for everything that it started.

* A process leads a session of its own, so that no Ctrl-C of a terminal reaches it, and its environment holds a mark
  that whatever it starts inherits. By session or mark all of these are found, also those that outlived the process that
  started them or that moved into a session of their own.
* It ends with the process that started it, also when that is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

import psutil

from harness.engine.memory import REMEDY, Kills

MARK = "WSSS_SESSION"
"""Environment variable: the mark of the session that a process belongs to."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
WATCH_EACH = 0.5
"""Seconds between two looks for the process that started this one; a stage may outlive that by so much."""

GRACE = 10.0
"""Seconds that a process may take to end by itself once nothing more is wanted of it."""

ROUNDS = 20
"""How often a session is looked through for what was started while it was being ended."""


class Session:
    """A process that was started, with all that it starts.

    Args:
        command: What to run.
        environment: Variables besides those of this process.
        **options: As for ``subprocess.Popen``.
    """

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str] | None = None, **options: Any) -> None:
        self._mark = uuid4().hex
        self._ending = Ending()
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {}), MARK: self._mark},
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            **options,
        )

    def begin(self) -> None:
        """Call it before new work: what the kernel kills from now on concerns that."""
        self._ending = Ending()

    @property
    def running(self) -> bool:
        """Whether the process itself lives."""
        return self._process.poll() is None

    def wait(self, seconds: float) -> None:
        """Wait until the process has ended, at most so long."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def ending(self) -> str:
        """How a process ended that was not killed from here, as the rest of a sentence."""
        code = self._process.poll()
        return "closed its connection" if code is None else self._ending.told(code)

    def end(self) -> None:
        """Kill the process and everything that it started; what has ended by itself may have left something too."""
        if self.running:
            self._process.kill()
        self._process.wait()
        end_all(self._process.pid, self._mark)


class Ending:
    """Tells how a process ended; made before it does what may end it, to know whether the kernel had a part in it."""

    def __init__(self) -> None:
        self._kills = Kills.now()

    def told(self, code: int) -> str:
        """What a return code, negative for a signal, means, as the rest of a sentence."""
        if code >= 0:
            return f"ended with exit code {code}"
        if code == -signal.SIGKILL:
            reason = self._kills.grown()
            sure = f"was killed by the kernel for want of memory: {reason}" if reason else None
            return f"{sure or 'was killed by SIGKILL, most likely for want of memory'}; {REMEDY}"
        try:
            return f"was ended by {signal.Signals(-code).name} ({signal.strsignal(-code)})"
        except ValueError:
            return f"was ended by signal {-code}"


def end_all(leader: int, mark: str) -> None:
    """Kill every process but this one that is in the session of ``leader`` or carries ``mark``."""
    for _ in range(ROUNDS):
        alive = [process for process in psutil.process_iter() if _belongs(process, leader, mark)]
        if not alive:
            return
        for process in alive:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(alive, timeout=0.1)


def _belongs(process: psutil.Process, leader: int, mark: str) -> bool:
    if process.pid == os.getpid():
        return False
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return os.getsid(process.pid) == leader or process.environ().get(MARK) == mark
    except (psutil.Error, OSError):  # it has just ended, or is another user's
        return False


def prepare(parent: int, threads: int, device: str | None = None) -> None:
    """Make a fresh process a worker: thread limits, the GPU that it sees, and an end with ``parent``."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    threading.Thread(target=_end_with, args=(parent, os.environ.get(MARK, "")), daemon=True).start()


def is_worker() -> bool:
    """Whether this process was started to compute stages, so that no Ctrl-C of the user reaches it."""
    return MARK in os.environ


def _end_with(ancestor: int, mark: str) -> None:
    """End this process, and all of its session, as soon as ``ancestor`` is none of its ancestors any more."""
    while any(process.pid == ancestor for process in psutil.Process().parents()):
        time.sleep(WATCH_EACH)
    end_all(os.getpid(), mark)
    os._exit(1)
