"""The built-in executors as records. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.contract import ConfigError, ExecutorRecord, hookimpl

DEVICES = ("auto", "cpu", "cuda")


def _check(device: str = "auto", **counts: int | None) -> None:
    """Refuse an unknown device, and a number of jobs or processes below one."""
    if device not in DEVICES:
        raise ConfigError(f"parameter 'device': {device!r} is none of {', '.join(DEVICES)}")
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ConfigError(f"parameter {name!r}: must be at least 1, got {count}")


@dataclass(frozen=True)
class LocalParams:
    """Parameters of the ``local`` executor."""

    jobs: int | None = field(default=None, metadata={"help": "worker processes; null = one per device, or by cores"})
    device: str = field(default="auto", metadata={"help": "auto, cpu or cuda"})

    def __post_init__(self) -> None:
        """Check the values."""
        _check(self.device, jobs=self.jobs)


@dataclass(frozen=True)
class TorchrunParams:
    """Parameters of the ``torchrun`` executor."""

    jobs: int | None = field(default=None, metadata={"help": "stages at a time; null = 1"})
    device: str = field(default="auto", metadata={"help": "auto, cpu or cuda"})
    processes: int | None = field(
        default=None, metadata={"help": "processes per stage; null = its share of the visible devices, else 2"}
    )

    def __post_init__(self) -> None:
        """Check the values."""
        _check(self.device, jobs=self.jobs, processes=self.processes)


@dataclass(frozen=True)
class DaskParams:
    """Parameters of the ``dask`` executor."""

    address: str | None = field(default=None, metadata={"help": "scheduler address; null = DASK_SCHEDULER_ADDRESS"})
    jobs: int | None = field(default=None, metadata={"help": "stages at a time; null = one per Dask worker"})

    def __post_init__(self) -> None:
        """Check the values."""
        _check(jobs=self.jobs)


@hookimpl
def wsss_executors() -> Iterator[ExecutorRecord]:
    """Processes on this machine, one or several for each stage, and a Dask cluster that sees the same runs folder."""
    yield ExecutorRecord(
        "local",
        factory="harness.engine.executors.local:LocalExecutor",
        params=LocalParams,
        summary="worker processes on this machine",
    )
    yield ExecutorRecord(
        "torchrun",
        factory="harness.engine.executors.torchrun:TorchrunExecutor",
        params=TorchrunParams,
        summary="every stage trained by all GPUs of this machine together, or by its share of them",
    )
    yield ExecutorRecord(
        "dask",
        factory="harness.engine.executors.local:DaskExecutor",
        params=DaskParams,
        summary="a Dask cluster whose machines share the runs folder (needs the package distributed)",
    )
