"""What a run would compute, and how long equal stages took before."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from harness.contract.shared import FEATURES
from harness.engine.estimate import GpuEstimate, estimate
from harness.engine.plan.freeze import feature_bytes, predicted_bytes
from harness.engine.plan.reasons import reasons, told
from harness.engine.record_writer import Records

if TYPE_CHECKING:
    from harness.engine.plan.layout import Plan, StageSpec
    from harness.engine.store.store import Store
    from harness.registry import PluginManager


@dataclass
class Line:
    """Stages of one name: how many are missing and cached, and the time the missing ones may take.

    Attributes:
        why: In what missing stages differ from stored ones of that name; nothing where none is stored.
    """

    name: str
    missing: int = 0
    cached: int = 0
    seconds: float | None = None
    why: tuple[str, ...] = ()


@dataclass(frozen=True)
class Forecast:
    """What ``wsss plan`` shows.

    Attributes:
        unknown: How many of the missing stages have a name that was never timed.
        seconds: Expected time of all others, one after another.
        features_mib: Room that the missing stages need for the features of frozen backbones.
        gpu: GPU hours of the missing network stages from counted operations; ``None`` below the scale of a GPU.
    """

    lines: tuple[Line, ...]
    finished_cells: int
    missing: int
    cached: int
    unknown: int
    seconds: float
    disk_mib: float
    free_mib: float
    features_mib: float
    gpu: GpuEstimate | None


def forecast(plan: Plan, store: Store, manager: PluginManager, *, tflops: float) -> Forecast:
    """Look up every stage of the plan in the store; nothing is computed or written.

    Args:
        plan: What is to be run.
        store: Where artifacts lie.
        manager: Plugins of the plan.
        tflops: Throughput of a GPU, in 10^12 operations per second, for the estimate of its hours.
    """
    records = Records(plan, store, manager)
    finished = [records.current(cell) for cell in plan.cells]
    unfinished = [cell for cell, done in zip(plan.cells, finished, strict=True) if not done]
    needed = {key for cell in unfinished for _, key in cell.stages}
    wanted = {key for key in needed if store.find(key) is None}
    timed: dict[str, list[float]] = {}
    stored = list(store.artifacts())
    why = reasons(plan, wanted, stored)
    for artifact in stored:
        timed.setdefault(artifact.name, []).append(artifact.seconds)
    lines: dict[str, Line] = {}
    for key, spec in plan.stages.items():
        line = lines.setdefault(spec.name, Line(spec.name))
        if key in wanted:
            line.missing += 1
            if (reason := told(why[key])) and reason not in line.why:
                line.why = (*line.why, reason)
        else:
            line.cached += 1
    for line in lines.values():
        if line.name in timed:
            line.seconds = fmean(timed[line.name]) * line.missing
    timed_lines = [line for line in lines.values() if line.seconds is not None]
    folder = store.runs.resolve()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    return Forecast(
        lines=tuple(lines.values()),
        finished_cells=sum(finished),
        missing=len(wanted),
        cached=len(plan.stages) - len(wanted),
        unknown=len(wanted) - sum(line.missing for line in timed_lines),
        seconds=sum(line.seconds or 0.0 for line in timed_lines),
        disk_mib=_size(store.runs) / 2**20,
        free_mib=shutil.disk_usage(nearest).free / 2**20,
        features_mib=_features(plan, wanted, manager) / 2**20,
        gpu=estimate(plan, wanted, manager, tflops),
    )


def _features(plan: Plan, wanted: set[str], manager: PluginManager) -> int:
    """Bytes of the stored features that are missing."""
    protocol, images, total = plan.benchmark.protocol, plan.dataset.images, 0
    for spec in plan.stages.values():
        if protocol.freeze is None or spec.key not in wanted:
            continue
        if spec.run == FEATURES.run:
            total += feature_bytes(protocol.freeze, _channels(spec, manager), images["train"])
        if spec.kind == "predicted_features":
            scored = round(images["val"] * (1 - protocol.scoring.dev_fraction))
            total += predicted_bytes(protocol.freeze, protocol.test, _channels(spec, manager), scored)
    return total


def _channels(spec: StageSpec, manager: PluginManager) -> tuple[int, ...]:
    backbone: Any = spec.settings["backbone"]
    record: Any = manager.records("backbone")[backbone.name]
    return tuple(record.channels)


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # a run beside this one has just taken it away
            total += path.stat().st_size if path.is_file() else 0
    return total
