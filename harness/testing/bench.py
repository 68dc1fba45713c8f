"""Runs one method on the kit's eight images, stage by stage, in this process and with the engine's own code."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.contract import PluginError
from harness.engine.plan.layout import Plan, StageSpec, build_plan
from harness.engine.plan.rows import ResolvedRow, resolve_rows
from harness.engine.plan.unfit import unfit
from harness.engine.stage.worker import Job, execute
from harness.engine.store.store import Store
from harness.registry import PluginManager
from harness.testing import scenes

BACKBONE = "tiny"
"""What a row is trained on, unless its segmenter is made for others."""

OPTIM = {"iterations": 3, "batch_size": 4, "lr": 0.01}
AUGMENT = {"crop": 64}
OURS = ("predict", "score_labels", "score_predictions", "count_labels", "count_predictions")
"""Stages that run no code of a plugin."""

Digests = dict[str, str]


class StageFailed(Exception):
    """A stage of the method ended with an error; the text says which and why."""


@dataclass
class Bench:
    """A folder in which a row is run.

    Args:
        manager: Plugins, the kit's data set among them (``with_scenes``).
        row: An entry of ``methods`` in a benchmark file.
        folder: Where store and logs go; made when it is missing.
        poisoned: Whether undeclared masks are noise.
    """

    manager: PluginManager
    row: str | Mapping[str, Any]
    folder: Path
    poisoned: bool = False
    ticks: dict[str, int] = field(default_factory=dict)

    @cached_property
    def plan(self) -> Plan:
        """The plan of the one cell."""
        from harness.engine.plan.config import load_benchmark

        segmenter = str(Path(__file__).parent / "segmenter.py")
        benchmark = {
            "name": "conformance",
            "dataset": {"name": scenes.NAME, "params": {}},
            "backbones": [BACKBONE],
            "methods": [self.row],
            "protocol": {
                "classifier": {"optim": OPTIM, "augment": AUGMENT},
                "cam": {"scales": [1.0]},
                "segmenter": {"config": segmenter, "optim": OPTIM, "augment": AUGMENT},
            },
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "conformance.yaml"
        path.write_text(json.dumps(benchmark), encoding="utf-8")  # JSON is YAML
        registered = {kind: self.manager.records(kind) for kind in ("method", "backbone")}
        planned = load_benchmark(path, registered=registered)
        (row,) = resolve_rows(planned, self.manager)
        if backbone := next(self._fitting(row), None):
            planned = load_benchmark(path, registered=registered, backbones=[backbone])
        return build_plan(planned, self.manager)

    def _fitting(self, row: ResolvedRow) -> Iterator[str]:
        """Backbones that begin from random weights, and on which the row can be trained; the kit's own first."""
        known: Any = self.manager.records("backbone")
        others = (name for name, record in known.items() if record.init is None and record.family is None)
        for name in (BACKBONE, *others):
            if not unfit(row, name, self.manager, frozen=False):
                yield name

    @property
    def stages(self) -> list[StageSpec]:
        """The stages that make labels and weights, inputs first."""
        return [spec for spec in self.plan.stages.values() if spec.kind not in OURS]

    @property
    def names(self) -> str:
        """Names of the stages, for people; those of several rounds once."""
        return ", ".join(dict.fromkeys(spec.name for spec in self.stages))

    @property
    def store(self) -> Store:
        """The store; a new object verifies every checksum again."""
        return Store(self.folder)

    def run(self) -> dict[str, Digests]:
        """Compute what is missing.

        Returns:
            Stage key -> file -> SHA-256.

        Raises:
            StageFailed: A stage ended with an error.
        """
        return {spec.key: self.run_stage(spec) for spec in self.stages}

    def run_stage(self, spec: StageSpec, *, interrupt_after: int | None = None) -> Digests:
        """Compute one stage unless it is there.

        Args:
            spec: One of ``stages``.
            interrupt_after: Raise ``Interrupted`` after so many accesses to the data set.

        Raises:
            StageFailed: It ended with an error.
        """
        scenes.ALARM.set(interrupt_after)
        try:
            result = execute(self.job(spec))
        finally:
            self.ticks[spec.key] = max(self.ticks.get(spec.key, 0), scenes.ALARM.count)
            scenes.ALARM.set(None)
        if result.status not in ("done", "cached"):
            kind, text = result.error or (result.status, "no message")
            raise StageFailed(f"{spec.name}: {kind}: {text}")
        return self.digests(spec)

    def job(self, spec: StageSpec) -> Job:
        """What an executor is given to compute a stage."""
        needs = tuple(need for part in self.plan.cells[0].row.parts for need in part.needs)
        dataset = (scenes.NAME, scenes.described(self.poisoned, needs))
        return Job(spec, self.folder.resolve(), self.manager.spec, dataset, self.plan.dataset, device="cpu")

    def digests(self, spec: StageSpec) -> Digests:
        """File -> SHA-256 of a stage's artifact.

        Raises:
            StageFailed: The artifact is missing or damaged.
        """
        artifact = self.store.open(spec.key)
        if artifact is None:
            raise StageFailed(f"{spec.name}: its artifact was changed after it had been published")
        return {name: entry["sha256"] for name, entry in artifact.files.items()}

    def forget(self, spec: StageSpec) -> None:
        """Remove a stage's artifact."""
        shutil.rmtree(self.store.folder(spec.key))


def with_scenes(manager: PluginManager) -> PluginManager:
    """The same plugins and the kit's data set.

    Raises:
        PluginError: Another plugin claims the data set's name.
    """
    from harness.registry import manager_from_spec

    spec = manager.spec
    if scenes.__name__ not in spec.builtins:
        spec = replace(spec, builtins=(*spec.builtins, scenes.__name__))
    log = logging.getLogger("harness.registry")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        extended = manager_from_spec(spec)
    finally:
        log.setLevel(level)
    if scenes.NAME not in extended.records("dataset"):
        raise PluginError(f"data set {scenes.NAME!r} of the conformance kit cannot be registered")
    return extended


@contextmanager
def frequent_checkpoints() -> Iterator[None]:
    """Let the harness's training keep a checkpoint after every step, so that an interruption finds one."""
    training: Any = sys.modules.get("harness.modelling.training")
    if training is None:
        yield
        return
    before, training.CHECKPOINT_SECONDS = training.CHECKPOINT_SECONDS, 0.0
    try:
        yield
    finally:
        training.CHECKPOINT_SECONDS = before
