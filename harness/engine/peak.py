"""Peak resident memory of a piece of work."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_RESET_PEAK = "5"
_SAMPLE_EACH = 0.05


class PeakMemory:
    """A context manager that measures the process's peak resident memory while it is open.

    Linux keeps the peak itself and can reset it; elsewhere a thread samples.

    Attributes:
        mib: The peak in MiB, after the context was left.
    """

    def __init__(self) -> None:
        self.mib = 0.0
        self._done = threading.Event()
        self._sampler: threading.Thread | None = None

    def __enter__(self) -> Self:
        try:
            _CLEAR.write_text(_RESET_PEAK)
        except OSError:
            self._sampler = threading.Thread(target=self._sample, daemon=True)
            self._sampler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sampler is None:
            self.mib = _high_water_mark()
            return
        self._done.set()
        self._sampler.join()

    def _sample(self) -> None:
        process = psutil.Process()
        finished = False
        while not finished:
            self.mib = max(self.mib, process.memory_info().rss / 2**20)
            finished = self._done.wait(_SAMPLE_EACH)


def _high_water_mark() -> float:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
