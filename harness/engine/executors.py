"""Where stages run: worker processes on this machine, or a Dask cluster.

* Workers are spawned, not forked: a fork of a process that holds CUDA or threads is undefined.
* A worker sets the thread limits before anything imports numpy or torch, and ends when its parent does.
* A timeout kills the worker, with everything that it runs.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import psutil
from pebble import ProcessPool

from harness.contract.errors import ConfigError, PluginError
from harness.contract.interfaces import Executor
from harness.engine.records import DaskParams, LocalParams

MIB_EACH = 3072
MOST_JOBS = 8
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class LocalExecutor(Executor):
    """N spawned processes, replaced one by one when they crash or time out."""

    def __init__(self, params: LocalParams) -> None:
        if params.device not in ("auto", "cpu", "cuda"):
            raise ConfigError(f"--device: {params.device!r} is none of auto, cpu, cuda")
        if params.jobs is not None and params.jobs < 1:
            raise ConfigError(f"--jobs: must be at least 1, got {params.jobs}")
        self._jobs = params.jobs or default_jobs(params.device)
        self._pool = self._new_pool()

    def _new_pool(self) -> Any:
        return ProcessPool(
            max_workers=self._jobs,
            initializer=start_worker,
            initargs=(os.getpid(), max(1, min(worker_threads(), cores() // self._jobs))),
            context=multiprocessing.get_context("spawn"),
        )

    @property
    def slots(self) -> int:
        """Worker processes."""
        return self._jobs

    def submit(self, function: Callable[..., Any], /, *args: Any, timeout: float | None = None) -> Future[Any]:
        """Run ``function(*args)`` in a worker; after ``timeout`` seconds the worker is killed."""
        try:
            future: Future[Any] = self._pool.schedule(function, args=args, timeout=timeout)
        except RuntimeError:  # the pool gives up when a worker dies between two stages
            self._pool = self._new_pool()
            future = self._pool.schedule(function, args=args, timeout=timeout)
        return future

    def shutdown(self, *, cancel: bool = False) -> None:
        """Wait for the workers, or stop them."""
        if cancel:
            self._pool.stop()
        else:
            self._pool.close()
        self._pool.join()


class DaskExecutor(Executor):
    """Stages on the workers of a Dask cluster; every stage is a process of its own there, so that timeouts hold."""

    def __init__(self, params: DaskParams) -> None:
        try:
            distributed = importlib.import_module("distributed")
        except ImportError:
            raise PluginError("executor 'dask' needs the package distributed, which is not installed") from None
        self._client = distributed.Client(params.address) if params.address else distributed.Client()
        self._executor = self._client.get_executor(pure=False, retries=0)
        self._jobs = params.jobs or max(1, len(self._client.scheduler_info()["workers"]))

    @property
    def slots(self) -> int:
        """Dask workers, or as many stages at a time as were asked for."""
        return self._jobs

    def submit(self, function: Callable[..., Any], /, *args: Any, timeout: float | None = None) -> Future[Any]:
        """Run ``function(*args)`` in a process of its own on a Dask worker."""
        future: Future[Any] = self._executor.submit(run_isolated, function, args, timeout)
        return future

    def shutdown(self, *, cancel: bool = False) -> None:
        """Leave the cluster; what still runs is finished there unless ``cancel``."""
        self._executor.shutdown(wait=not cancel)
        self._client.close()


def worker_threads() -> int:
    """CPU threads that this process should use: the limit that the user or ``start_worker`` set, or all cores."""
    limit = os.environ.get(THREAD_VARIABLES[0], "")
    return int(limit) if limit.isdecimal() and int(limit) > 0 else cores()


def default_jobs(device: str) -> int:
    """One worker a visible device; without devices as many as cores and memory carry."""
    if device != "cpu" and (devices := visible_devices()):
        return devices
    memory = int(psutil.virtual_memory().total / 2**20 / MIB_EACH)
    return max(1, min(cores(), memory, MOST_JOBS))


def visible_devices() -> int:
    """NVIDIA devices that a worker may use, counted without torch."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return len([name for name in chosen.split(",") if name.strip() and name.strip() != "-1"])
    return len([path for path in Path("/dev").glob("nvidia*") if path.name.removeprefix("nvidia").isdecimal()])


def start_worker(parent: int, threads: int) -> None:
    """Prepare a fresh worker process: thread limits, and an end with its parent."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def run_isolated(function: Callable[..., Any], args: tuple[Any, ...], timeout: float | None) -> Any:
    """Run ``function(*args)`` in a new interpreter and return its result.

    Raises:
        TimeoutError: It took longer than ``timeout`` seconds.
        ChildProcessError: The process ended without a result.
    """
    with tempfile.TemporaryDirectory() as folder:
        task, result = Path(folder, "task"), Path(folder, "result")
        task.write_bytes(pickle.dumps((sys.path, os.getpid())))
        with task.open("ab") as file:
            pickle.dump((function, args), file)
        command = [sys.executable, "-m", "harness.engine.isolated", str(task), str(result)]
        try:
            code = subprocess.run(command, timeout=timeout, check=False).returncode
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"no result after {timeout:g} s") from None
        if not result.exists():
            raise ChildProcessError(f"the process ended with code {code} and no result")
        succeeded, value = pickle.loads(result.read_bytes())
    if not succeeded:
        raise value
    return value


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
