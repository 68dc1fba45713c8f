"""Recognises a want of memory, be it told by the kernel that killed a process, by Python or by CUDA."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REMEDY = "give it more memory, or use fewer --jobs, a smaller batch_size or a smaller crop"

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
_COUNT = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_REFUSED = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory", "alloc_failed")


@dataclass(frozen=True)
class Kills:
    """How many processes the kernel has killed for want of memory: in our control group, and on the whole machine.

    ``None`` where the kernel does not say.
    """

    group: int | None
    machine: int | None

    @classmethod
    def now(cls) -> Kills:
        """The counts of this moment; they never fall."""
        events = next((path for path in _group_files() if path.is_file()), _CGROUPS / "memory.events")
        return cls(_count(events), _count(_PROC / "vmstat"))

    def grown(self) -> str | None:
        """Which of the kernel's counts rose since, as the rest of a sentence, or ``None``."""
        now = Kills.now()
        if self.group is not None and now.group is not None and now.group > self.group:
            return "the memory limit of its control group was reached"
        if self.machine is not None and now.machine is not None and now.machine > self.machine:
            return "the machine had no memory left"
        return None


def wants_memory(error: BaseException, message: str) -> bool:
    """Whether an exception, with its message, says that main or GPU memory ran out."""
    text = message.lower()
    certain = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return certain or (isinstance(error, RuntimeError | OSError) and any(phrase in text for phrase in _REFUSED))


def _group_files() -> Iterator[Path]:
    """Where the kernel may count for our control group, of version 2 or 1.

    That is below the group that it names, or at the top, where a container sees its own group.
    """
    try:
        lines = (_PROC / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        for place in (group.lstrip("/"), ""):
            if "memory" in controllers.split(","):
                yield _CGROUPS / "memory" / place / "memory.oom_control"
            elif not controllers:
                yield _CGROUPS / place / "memory.events"


def _count(path: Path) -> int | None:
    try:
        match = _COUNT.search(path.read_text(encoding="utf-8"))
    except OSError:
        return None
    return int(match[1]) if match else None
