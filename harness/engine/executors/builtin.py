"""The built-in executors as records. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.contract import ExecutorRecord, hookimpl


@dataclass(frozen=True)
class LocalParams:
    """Parameters of the ``local`` executor."""

    jobs: int | None = field(default=None, metadata={"help": "worker processes; null = one a device, or by cores"})
    device: str = field(default="auto", metadata={"help": "auto, cpu or cuda"})


@dataclass(frozen=True)
class TorchrunParams:
    """Parameters of the ``torchrun`` executor."""

    jobs: int | None = field(default=None, metadata={"help": "stages at a time; null = 1"})
    device: str = field(default="auto", metadata={"help": "auto, cpu or cuda"})
    processes: int | None = field(
        default=None, metadata={"help": "processes a stage; null = its share of the visible devices, without devices 2"}
    )


@dataclass(frozen=True)
class DaskParams:
    """Parameters of the ``dask`` executor."""

    address: str | None = field(default=None, metadata={"help": "scheduler address; null = DASK_SCHEDULER_ADDRESS"})
    jobs: int | None = field(default=None, metadata={"help": "stages at a time; null = one a Dask worker"})


@hookimpl
def wsss_executors() -> Iterator[ExecutorRecord]:
    """Processes on this machine, one or several a stage, and a Dask cluster that sees the same runs folder."""
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
