"""Peak memory of a piece of work: resident, and on the GPU."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_RESET_PEAK = "5"
"""What Linux wants to read in ``clear_refs`` before it begins a new peak (proc_pid_clear_refs(5))."""

_SAMPLE_EACH = 0.05
"""Seconds between two looks where Linux keeps no peak; shorter ones would take time from the work itself."""


class PeakMemory:
    """A context manager that measures the process's peak memory while it is open.

    Linux keeps the peak of the resident memory itself and can reset it; elsewhere a thread samples. What torch
    allocates on the GPU it counts itself.

    Attributes:
        mib: The resident peak in MiB, after the context was left.
        gpu_mib: The largest allocated peak of any GPU in MiB; ``None`` when CUDA was never started.
    """

    def __init__(self) -> None:
        self.mib = 0.0
        self.gpu_mib: float | None = None
        self._done = threading.Event()
        self._sampler: threading.Thread | None = None

    def __enter__(self) -> Self:
        if (cuda := _started_cuda()) is not None:
            for index in range(cuda.device_count()):
                cuda.reset_peak_memory_stats(index)
        try:
            _CLEAR.write_text(_RESET_PEAK)
        except OSError:
            self._sampler = threading.Thread(target=self._sample, daemon=True)
            self._sampler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (cuda := _started_cuda()) is not None:
            self.gpu_mib = max(cuda.max_memory_allocated(index) for index in range(cuda.device_count())) / 2**20
        if self._sampler is not None:
            self._done.set()
            self._sampler.join()
            return
        marks = [line.split()[1] for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM")]
        self.mib = int(marks[0]) / 1024 if marks else psutil.Process().memory_info().rss / 2**20

    def _sample(self) -> None:
        process = psutil.Process()
        finished = False
        while not finished:
            self.mib = max(self.mib, process.memory_info().rss / 2**20)
            finished = self._done.wait(_SAMPLE_EACH)


def _started_cuda() -> Any:
    """``torch.cuda`` if this process uses it already; asking starts neither."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None
