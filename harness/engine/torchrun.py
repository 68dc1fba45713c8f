"""Stages whose training several GPUs of this machine share, each stage a group of processes under torchrun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from harness.contract.interfaces import Executor
from harness.engine.executors import Task, check_params, cores, visible_devices, worker_threads
from harness.engine.group import FOLDER
from harness.engine.records import TorchrunParams

PATIENCE = 10.0
"""Seconds that the other processes may take to end after the first has left its result."""

POLL = 0.1


class TorchrunExecutor(Executor):
    """Every stage a group of processes; the visible GPUs are divided among the stages that run at a time."""

    def __init__(self, params: TorchrunParams) -> None:
        check_params(params.device, params.jobs)
        devices = visible_devices() if params.device != "cpu" else []
        self._jobs = params.jobs or 1
        self._free = [shares(devices, self._jobs, number) for number in range(self._jobs)]
        self._processes = params.processes
        self._threads = ThreadPoolExecutor(self._jobs, thread_name_prefix="torchrun")
        self._running: set[subprocess.Popen[bytes]] = set()

    @property
    def slots(self) -> int:
        """Stages at a time."""
        return self._jobs

    def submit(self, function: Callable[..., Any], /, *args: Any, timeout: float | None = None) -> Future[Any]:
        """Run ``function(*args)`` in every process of a group; the result is that of the first."""
        return self._threads.submit(self._run, function, args, timeout)

    def shutdown(self, *, cancel: bool = False) -> None:
        """Wait for the groups, or end them."""
        if cancel:
            for process in tuple(self._running):
                end(process)
        self._threads.shutdown(wait=True, cancel_futures=cancel)

    def _run(self, function: Callable[..., Any], args: tuple[Any, ...], timeout: float | None) -> Any:
        devices = self._free.pop()
        count = self._processes or len(devices) or 2
        threads = max(1, min(worker_threads(), cores() // self._jobs) // count)
        try:
            with Task(function, args, threads=threads) as task:
                self._wait(task, count, devices, timeout)
                return task.value()
        finally:
            self._free.append(devices)

    def _wait(self, task: Task, count: int, devices: Sequence[str], timeout: float | None) -> None:
        launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}")
        visible = {"CUDA_VISIBLE_DEVICES": ",".join(devices)} if devices else {}
        environment = {**os.environ, **visible, FOLDER: str(task.folder), "OMP_NUM_THREADS": str(task.threads)}
        process = subprocess.Popen(
            [*launcher, *task.module],
            env=environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,  # a stage has its own log
            stderr=subprocess.DEVNULL,
        )
        self._running.add(process)
        try:
            finish(process, task, timeout)
        finally:
            self._running.discard(process)
            end(process)


def shares(devices: Sequence[str], jobs: int, number: int) -> tuple[str, ...]:
    """The devices of the stage at place ``number`` of ``jobs``: every jobs-th; more stages than devices share them."""
    if not devices:
        return ()
    return tuple(devices[number::jobs]) or (devices[number % len(devices)],)


def finish(process: subprocess.Popen[bytes], task: Task, timeout: float | None) -> None:
    """Wait until the group has ended, or until its first process has left a result and the others were waited for.

    Raises:
        TimeoutError: It took longer than ``timeout`` seconds.
    """
    limit = None if timeout is None else time.monotonic() + timeout
    patience = None
    while process.poll() is None:
        now = time.monotonic()
        if task.ended and patience is None:
            patience = now + PATIENCE
        if patience is not None and now > patience:
            return
        if patience is None and limit is not None and now > limit:
            raise TimeoutError(f"no result after {timeout:g} s")
        time.sleep(POLL)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a launcher; the processes that it started see it go and end themselves."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait()
