"""Where stages run: worker processes on this machine, or a Dask cluster.

* Workers are spawned, not forked: a fork of a process that holds CUDA or threads is undefined.
* A worker sets the thread limits before anything imports numpy or torch, and ends when its parent does.
* A worker sees one GPU: ``CUDA_VISIBLE_DEVICES`` is narrowed before CUDA starts, and a worker that replaces a crashed
  one gets the same.
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
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
from pebble import ProcessPool

from harness.contract.errors import ConfigError, PluginError
from harness.contract.interfaces import Executor
from harness.engine.group import RESULT
from harness.engine.records import DaskParams, LocalParams

MIB_EACH = 3072
MOST_JOBS = 8
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class LocalExecutor(Executor):
    """N spawned processes, each started when it is first needed and replaced when it crashes or times out."""

    def __init__(self, params: LocalParams) -> None:
        check_params(params.device, params.jobs)
        self._jobs = params.jobs or default_jobs(params.device)
        devices = visible_devices() if params.device != "cpu" else []
        threads = max(1, min(worker_threads(), cores() // self._jobs))
        self._workers = [_Worker(threads, device_of(number, devices)) for number in range(self._jobs)]

    @property
    def slots(self) -> int:
        """Worker processes."""
        return self._jobs

    def submit(self, function: Callable[..., Any], /, *args: Any, timeout: float | None = None) -> Future[Any]:
        """Run ``function(*args)`` in the worker with the least to do; after ``timeout`` seconds it is killed."""
        return min(self._workers, key=_Worker.waiting).submit(function, args, timeout)

    def shutdown(self, *, cancel: bool = False) -> None:
        """Wait for the workers, or stop them."""
        for worker in self._workers:
            worker.stop() if cancel else worker.close()
        for worker in self._workers:
            worker.join()


class _Worker:
    """One process and the GPU that it sees.

    Args:
        threads: CPU threads that it should use.
        device: Name for ``CUDA_VISIBLE_DEVICES``; ``None`` = as the parent sees them.
    """

    def __init__(self, threads: int, device: str | None) -> None:
        self._threads, self._device = threads, device
        self._futures: list[Future[Any]] = []
        self._pool = self._new_pool()

    def _new_pool(self) -> Any:
        return ProcessPool(
            max_workers=1,
            initializer=start_worker,
            initargs=(os.getpid(), self._threads, self._device),
            context=multiprocessing.get_context("spawn"),
        )

    def waiting(self) -> int:
        """Calls that have not ended."""
        self._futures = [future for future in self._futures if not future.done()]
        return len(self._futures)

    def submit(self, function: Callable[..., Any], args: tuple[Any, ...], timeout: float | None) -> Future[Any]:
        try:
            future: Future[Any] = self._pool.schedule(function, args=args, timeout=timeout)
        except RuntimeError:  # the pool gives up when its process dies between two stages
            self._pool = self._new_pool()
            future = self._pool.schedule(function, args=args, timeout=timeout)
        self._futures.append(future)
        return future

    def stop(self) -> None:
        self._pool.stop()

    def close(self) -> None:
        self._pool.close()

    def join(self) -> None:
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


def check_params(device: str, jobs: int | None) -> None:
    """Refuse an unknown device, a number of jobs below one, and a sweep that torchrun started.

    Raises:
        ConfigError: One sentence that names the option.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"--device: {device!r} is none of auto, cpu, cuda")
    if jobs is not None and jobs < 1:
        raise ConfigError(f"--jobs: must be at least 1, got {jobs}")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("--executor: start wsss once, not under torchrun; --executor torchrun gives a stage all GPUs")


def default_jobs(device: str) -> int:
    """One worker a visible device; without devices as many as cores and memory carry."""
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


def start_worker(parent: int, threads: int, device: str | None = None) -> None:
    """Prepare a fresh worker process: thread limits, the GPU that it sees, and an end with its parent."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


class Task:
    """A pickled call in a folder of its own, for a process that ``harness.engine.isolated`` runs in.

    Attributes:
        folder: Where call and result lie while the context is open.
        threads: CPU threads of the process.
    """

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], *, threads: int) -> None:
        self._function, self._args, self.threads = function, args, threads
        self._temporary = tempfile.TemporaryDirectory(prefix="wsss-")
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
        return ("-m", "harness.engine.isolated", str(self.folder / "task"), str(self._result))

    @property
    def ended(self) -> bool:
        """Whether the call left a result."""
        return self._result.exists()

    def value(self) -> Any:
        """What the call returned; what it raised is raised again.

        Raises:
            ChildProcessError: The process ended without a result.
        """
        if not self.ended:
            raise ChildProcessError("the process ended without a result")
        succeeded, value = pickle.loads(self._result.read_bytes())
        if not succeeded:
            raise value
        return value


def run_isolated(function: Callable[..., Any], args: tuple[Any, ...], timeout: float | None) -> Any:
    """Run ``function(*args)`` in a new interpreter and return its result.

    Raises:
        TimeoutError: It took longer than ``timeout`` seconds.
        ChildProcessError: The process ended without a result.
    """
    with Task(function, args, threads=cores()) as task:
        try:
            code = subprocess.run([sys.executable, *task.module], timeout=timeout, check=False).returncode
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"no result after {timeout:g} s") from None
        if not task.ended:
            raise ChildProcessError(f"the process ended with code {code} and no result")
        return task.value()


def _end_with(ancestor: int) -> None:
    """End this process when ``ancestor`` is none of it any more, also when what stood between them was killed."""
    while any(process.pid == ancestor for process in psutil.Process().parents()):
        time.sleep(0.5)
    os._exit(1)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
