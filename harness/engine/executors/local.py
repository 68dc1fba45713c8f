"""Where stages run: worker processes on this machine, or a Dask cluster.

* Workers are fresh interpreters, not forks: a fork of a process that holds CUDA or threads is undefined.
* A worker sets the thread limits before anything imports numpy or torch, and ends when its parent does.
* A worker sees one GPU: ``CUDA_VISIBLE_DEVICES`` is narrowed before CUDA starts, and a worker that replaces a crashed
  one gets the same.
* A timeout kills the worker, with everything that it runs; so does the end of the run.
"""

from __future__ import annotations

import importlib
import os
import pickle
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from harness.contract.errors import ConfigError, PluginError
from harness.contract.interfaces import Executor
from harness.engine.executors.builtin import DaskParams, LocalParams
from harness.engine.executors.processes import THREAD_VARIABLES
from harness.engine.executors.worker import Worker

MIB_EACH = 3072
"""Main memory that one worker is reckoned with, so that workers do not push each other out of it."""

MOST_JOBS = 8
"""Workers on a machine without devices, where nobody names a number: each trains with several threads."""

LOOK_EACH, LONELY = 2.0, 60.0
"""Seconds between two counts of the workers of a Dask cluster, and for how long it may have none."""


class LocalExecutor(Executor):
    """N worker processes, each started when it is first needed and replaced when it ends or its stage fails."""

    def __init__(self, params: LocalParams) -> None:
        refuse_torchrun()
        self._jobs = params.jobs or default_jobs(params.device)
        devices = visible_devices() if params.device != "cpu" else []
        threads = max(1, min(worker_threads(), cores() // self._jobs))
        self._places = [_Place(Worker(threads, device_of(number, devices))) for number in range(self._jobs)]

    @property
    def slots(self) -> int:
        """Worker processes."""
        return self._jobs

    def submit(self, function: Callable[..., Any], /, *args: Any, timeout: float | None = None) -> Future[Any]:
        """Run ``function(*args)`` in the worker with the least to do; after ``timeout`` seconds it is killed."""
        return min(self._places, key=_Place.waiting).submit(function, args, timeout)

    def shutdown(self, *, cancel: bool = False) -> None:
        """Wait for the workers, or stop them; in either case nothing that they started is left."""
        for place in self._places if cancel else ():
            place.worker.stop()
        for place in self._places:
            place.shutdown(cancel=cancel)


class _Place:
    """A worker and the thread that waits for it."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="worker")
        self._futures: list[Future[Any]] = []

    def waiting(self) -> int:
        """Calls that have not ended."""
        self._futures = [future for future in self._futures if not future.done()]
        return len(self._futures)

    def submit(self, function: Callable[..., Any], args: tuple[Any, ...], timeout: float | None) -> Future[Any]:
        future = self._thread.submit(self.worker.call, function, args, timeout)
        self._futures.append(future)
        return future

    def shutdown(self, *, cancel: bool) -> None:
        self._thread.shutdown(cancel_futures=cancel)
        self.worker.close()


class DaskExecutor(Executor):
    """Stages on the workers of a Dask cluster; every stage is a process of its own there, so that timeouts hold."""

    def __init__(self, params: DaskParams) -> None:
        try:
            distributed = importlib.import_module("distributed")
        except ImportError:
            raise PluginError("executor 'dask' needs the package distributed, which is not installed") from None
        self._client = distributed.Client(params.address) if params.address else distributed.Client()
        self._executor = self._client.get_executor(pure=False, retries=0)
        self._jobs = params.jobs or max(1, len(self._client.nthreads()))
        self._owner = uuid4().hex
        self._threads = ThreadPoolExecutor(self._jobs, thread_name_prefix="dask")

    @property
    def slots(self) -> int:
        """Dask workers, or as many stages at a time as were asked for."""
        return self._jobs

    def submit(self, function: Callable[..., Any], /, *args: Any, timeout: float | None = None) -> Future[Any]:
        """Run ``function(*args)`` in a process of its own on a Dask worker.

        Only bytes pass through Dask: they may refer to a plugin file, which a Dask worker never loads.
        """
        return self._threads.submit(self._wait, pickle.dumps((function, args)), timeout)

    def _wait(self, call: bytes, timeout: float | None) -> Any:
        """Wait for a call, and give it up when the cluster has had no worker for a while: Dask would wait for ever."""
        future: Future[Any] = self._executor.submit(run_isolated, call, timeout, self._owner)
        seen = time.monotonic()
        while not wait([future], LOOK_EACH).done:
            if self._client.nthreads():
                seen = time.monotonic()
            elif time.monotonic() - seen > LONELY:
                raise ChildProcessError(f"the Dask cluster has had no worker for {LONELY:g} s")
        return future.result()

    def shutdown(self, *, cancel: bool = False) -> None:
        """Leave the cluster once all calls have returned, or end them there."""
        self._threads.shutdown(wait=not cancel, cancel_futures=cancel)
        self._executor.shutdown(wait=not cancel)
        try:
            if cancel:
                self._client.run(end_calls, self._owner)
        finally:
            self._client.close()


def worker_threads() -> int:
    """CPU threads that this process should use: the limit that the user or ``start_worker`` set, or all cores."""
    limit = os.environ.get(THREAD_VARIABLES[0], "")
    return int(limit) if limit.isdecimal() and int(limit) > 0 else cores()


def refuse_torchrun() -> None:
    """Check that no torchrun started this sweep, which each of its processes would then compute.

    Raises:
        ConfigError: One did.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("--executor: start wsss once, not under torchrun; --executor torchrun gives a stage all GPUs")


def default_jobs(device: str) -> int:
    """One worker for each visible device; without devices as many as cores and memory carry."""
    if device != "cpu" and (devices := visible_devices()):
        return len(devices)
    memory = int(psutil.virtual_memory().total / 2**20 / MIB_EACH)
    return max(1, min(cores(), memory, MOST_JOBS))


def visible_devices() -> list[str]:
    """Names of the NVIDIA devices that this process may use, found without torch.

    They are what ``CUDA_VISIBLE_DEVICES`` holds (numbers, ``GPU-`` and ``MIG-`` identifiers; CUDA stops reading at the
    first ``-1``), without it the numbers of all devices.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        files = [path for path in Path("/dev").glob("nvidia*") if path.name.removeprefix("nvidia").isdecimal()]
        return [str(number) for number in range(len(files))]
    names = [name.strip() for name in chosen.split(",") if name.strip()]
    return names[: names.index("-1")] if "-1" in names else names


def device_of(worker: int, devices: Sequence[str]) -> str | None:
    """The device of a worker, by its number; more workers than devices share them in turn."""
    return devices[worker % len(devices)] if devices else None


_calls: dict[str, set[Worker]] = {}
"""Calls that this process has running for others, by owner."""

_ended: set[str] = set()


def run_isolated(call: bytes, timeout: float | None, owner: str = "") -> Any:
    """Make a call in a new interpreter and return its result.

    Args:
        call: The pickled pair of a function and its arguments.
        timeout: Seconds that it may take.
        owner: For whom, so that ``end_calls`` can end it.

    Raises:
        TimeoutError: It took longer than ``timeout`` seconds.
        ChildProcessError: The process ended without a result.
        CancelledError: The owner's calls were ended.
    """
    worker = Worker(cores())
    _calls.setdefault(owner, set()).add(worker)
    try:
        if owner in _ended:
            raise CancelledError
        return worker.make(call, timeout)
    finally:
        _calls[owner].discard(worker)
        worker.close()


def end_calls(owner: str) -> None:
    """End the calls of an owner in this process, now and in future."""
    _ended.add(owner)
    for worker in tuple(_calls.get(owner, ())):
        worker.stop()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
