"""Stages whose training several GPUs of this machine share, each stage a group of processes under torchrun."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.contract.interfaces import Executor
from harness.engine.executors.builtin import TorchrunParams
from harness.engine.executors.group import ENDED, FOLDER, RESULT
from harness.engine.executors.local import cores, refuse_torchrun, visible_devices, worker_threads
from harness.engine.executors.processes import Session

PATIENCE = 10.0
"""Seconds that the other processes may take to end after the first has left its result."""

POLL = 0.1


class TorchrunExecutor(Executor):
    """Every stage a group of processes; the visible GPUs are divided among the stages that run at a time."""

    def __init__(self, params: TorchrunParams) -> None:
        refuse_torchrun()
        devices = visible_devices() if params.device != "cpu" else []
        self._jobs = params.jobs or 1
        self._free = [shares(devices, self._jobs, number) for number in range(self._jobs)]
        self._processes = params.processes
        self._threads = ThreadPoolExecutor(self._jobs, thread_name_prefix="torchrun")
        self._stopped = threading.Event()

    @property
    def slots(self) -> int:
        """Stages at a time."""
        return self._jobs

    def submit(self, function: Callable[..., Any], /, *args: Any, timeout: float | None = None) -> Future[Any]:
        """Run ``function(*args)`` in every process of a group; the result is that of the first."""
        return self._threads.submit(self._run, function, args, timeout)

    def shutdown(self, *, cancel: bool = False) -> None:
        """Wait for the groups, or end them; in either case nothing that they started is left."""
        if cancel:
            self._stopped.set()
        self._threads.shutdown(wait=True, cancel_futures=cancel)

    def _run(self, function: Callable[..., Any], args: tuple[Any, ...], timeout: float | None) -> Any:
        devices = self._free.pop()
        count = self._processes or len(devices) or 2
        threads = max(1, min(worker_threads(), cores() // self._jobs) // count)
        try:
            with Task(function, args, threads=threads) as task:
                launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}")
                visible = {"CUDA_VISIBLE_DEVICES": ",".join(devices)} if devices else {}
                session = Session(
                    [*launcher, *task.module],
                    environment={**visible, FOLDER: str(task.folder), "OMP_NUM_THREADS": str(threads)},
                    stdout=subprocess.DEVNULL,  # a stage has its own log
                    stderr=subprocess.DEVNULL,
                )
                try:
                    finish(session, task, timeout, self._stopped)
                finally:
                    session.end()
                return task.value()
        finally:
            self._free.append(devices)


class Task:
    """A pickled call in a folder of its own, for the processes of a group, each of which runs ``isolated``.

    Attributes:
        folder: Where call and result lie while the context is open.
        threads: CPU threads of each process.
    """

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], *, threads: int) -> None:
        self._function, self._args, self.threads = function, args, threads
        self._temporary = tempfile.TemporaryDirectory(prefix="wsss-", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        self._result = self.folder / RESULT

    def __enter__(self) -> Self:
        with (self.folder / "task").open("wb") as file:
            pickle.dump((sys.path, os.getpid(), self.threads), file)
            pickle.dump((self._function, self._args), file)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._temporary.cleanup()

    @property
    def module(self) -> tuple[str, ...]:
        """Arguments of the interpreter."""
        return ("-m", "harness.engine.executors.isolated", str(self.folder / "task"), str(self._result))

    @property
    def ended(self) -> bool:
        """Whether the call left a result."""
        return self._result.exists()

    def value(self) -> Any:
        """What the call returned; what it raised is raised again.

        Raises:
            ChildProcessError: The group ended without a result; says which process ended first, and how.
        """
        if not self.ended:
            first = min(self.folder.glob(f"{ENDED}*"), key=lambda path: path.stat().st_mtime_ns, default=None)
            raise ChildProcessError(first.read_text() if first else "the processes ended without a result")
        succeeded, value, _ = pickle.loads(self._result.read_bytes())
        if not succeeded:
            raise value
        return value


def shares(devices: Sequence[str], jobs: int, number: int) -> tuple[str, ...]:
    """The devices of the stage at place ``number`` of ``jobs``: each ``jobs``-th; stages may have to share one."""
    if not devices:
        return ()
    return tuple(devices[number::jobs]) or (devices[number % len(devices)],)


def finish(session: Session, task: Task, timeout: float | None, stopped: threading.Event) -> None:
    """Wait until the group has ended, or until its first process has left a result and the others were waited for.

    Raises:
        TimeoutError: It took longer than ``timeout`` seconds.
        CancelledError: It was stopped.
    """
    limit = None if timeout is None else time.monotonic() + timeout
    patience = None
    while session.running:
        now = time.monotonic()
        if task.ended and patience is None:
            patience = now + PATIENCE
        if patience is not None and now > patience:
            return
        if patience is None and limit is not None and now > limit:
            raise TimeoutError(f"no result after {timeout:g} s")
        if stopped.wait(POLL):
            raise CancelledError
