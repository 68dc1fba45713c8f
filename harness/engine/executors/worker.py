"""A worker process that makes one call after another: the caller's side, and the process's own.

* When the process ends, in whatever way, that is noticed, and the next call gets a new one.
* A process whose stage failed is replaced: what the stage left in memory, and what it started, goes with it.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from harness.engine.executors.processes import GRACE, Session, prepare

POLL = 0.1
"""Seconds between two looks whether the process lives, the time is up or ``stop`` was called."""

_retired = threading.Event()


class Worker:
    """One process at a time, started when it is first needed.

    Args:
        threads: CPU threads that it should use.
        device: Name for ``CUDA_VISIBLE_DEVICES``; ``None`` = as this process sees them.
    """

    def __init__(self, threads: int, device: str | None = None) -> None:
        self._threads, self._device = threads, device
        self._session: Session | None = None
        self._connection: Any = None
        self._stopped = False

    def call(self, function: Callable[..., Any], args: tuple[Any, ...], timeout: float | None) -> Any:
        """Return ``function(*args)``, computed in the process; raises as ``make``."""
        return self.make(pickle.dumps((function, args)), timeout)

    def make(self, call: bytes, timeout: float | None) -> Any:
        """Return what a pickled call returns in the process; what it raised is raised again.

        Raises:
            TimeoutError: It took longer than ``timeout`` seconds; the process is gone.
            ChildProcessError: The process ended before the call did; says how.
            CancelledError: ``stop`` was called.
        """
        session = self._ready()
        session.begin()
        with suppress(OSError):  # that the process has ended is found out below
            self._connection.send_bytes(call)
        try:
            succeeded, value, last = pickle.loads(self._answer(session, timeout))
        except BaseException:
            self._end()
            raise
        if last:
            self._end()
        if not succeeded:
            raise value
        return value

    def stop(self) -> None:
        """End the process; a call that is under way raises ``CancelledError``, and so does any later one."""
        self._stopped = True

    def close(self) -> None:
        """Let the process end; call it when no call is under way."""
        if self._session is not None and not self._stopped:
            self._connection.close()
            self._session.wait(GRACE)
        self._end()

    def _ready(self) -> Session:
        """The process, a new one unless the last one lives."""
        if self._stopped:
            raise CancelledError
        if self._session is not None and not self._session.running:
            self._end()
        if self._session is None:
            self._connection, theirs = Pipe()
            with theirs:
                run = f"import sys; sys.path[:] = {sys.path!r}; from harness.engine.executors.worker import main"
                start = f"main({theirs.fileno()}, {os.getpid()}, {self._threads}, {self._device!r})"
                self._session = Session([sys.executable, "-c", f"{run}; {start}"], pass_fds=[theirs.fileno()])
        return self._session

    def _answer(self, session: Session, timeout: float | None) -> bytes:
        limit = None if timeout is None else time.monotonic() + timeout
        while not self._connection.poll(POLL):
            if self._stopped:
                raise CancelledError
            if limit is not None and time.monotonic() > limit:
                raise TimeoutError(f"no result after {timeout:g} s")
            if not session.running and not self._connection.poll(0):  # a process that it forked holds the other end
                raise ChildProcessError(f"the worker {session.ending()}")
        try:
            given: bytes = self._connection.recv_bytes()
        except (EOFError, OSError):
            session.wait(GRACE)
            raise ChildProcessError(f"the worker {session.ending()}") from None
        return given

    def _end(self) -> None:
        if self._session is not None:
            self._connection.close()
            self._session.end()
            self._session = None


def retire() -> None:
    """Let this process make no further call after the present one."""
    _retired.set()


def main(handle: int, parent: int, threads: int, device: str | None) -> None:
    """What a worker process does: prepare itself, then make the calls that come in until the connection is closed."""
    os.set_inheritable(handle, False)
    logging.getLogger("harness.registry").setLevel(logging.ERROR)  # the command has told what it quarantined
    faulthandler.enable(file=2)  # a crash of C code leaves its traceback in the log of the stage
    prepare(parent, threads, device)
    with Connection(handle) as connection:
        while not _retired.is_set():
            try:
                call = connection.recv_bytes()
            except EOFError:
                return
            connection.send_bytes(answer(call))


def answer(call: bytes) -> bytes:
    """Make a pickled call; the answer says whether it succeeded, what it returned or raised, and whether to go on."""
    try:
        function, args = pickle.loads(call)
        value = function(*args)
        return pickle.dumps((True, value, _retired.is_set()))
    except Exception as error:
        retire()
        with suppress(Exception):  # an exception with arguments of its own may not survive the journey
            given = pickle.dumps((False, error, True))
            pickle.loads(given)
            return given
        return pickle.dumps((False, ChildProcessError(f"{type(error).__name__}: {error}"), True))
    except BaseException as error:
        retire()
        return pickle.dumps((False, ChildProcessError(f"the call raised {type(error).__name__}"), True))
