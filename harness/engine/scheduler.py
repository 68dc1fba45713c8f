"""Runs a plan: what is ready goes to the executor, critical path first.

* Only what a missing record needs is computed; a finished benchmark starts no worker.
* A stage that fails takes the cells down that depend on it, and nothing else.
* A stage that another process computes is asked for again later; a damaged artifact is computed again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.contract.events import RunEvent, StageEvent
from harness.contract.run_record import Failure
from harness.engine.record_writer import Records
from harness.engine.recorded_data import note_dataset
from harness.engine.stage.worker import Job, Result, execute, log_path
from harness.engine.store.store import Store

if TYPE_CHECKING:
    from harness.contract.interfaces import Executor
    from harness.engine.plan.layout import Cell, Plan, StageSpec
    from harness.engine.progress import ProgressDisplay
    from harness.registry import PluginManager

BUSY_WAIT = 0.5
"""Seconds until a stage that another process computes is asked for again."""

POLL = 0.2
"""Seconds until progress is drawn again, also when nothing has ended."""

WEIGHT: Mapping[str, float] = {"segmenter": 20.0, "shared": 10.0, "fit": 10.0}
"""Rough cost of a kind of stage against all others, for the order of work."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: cells by status, where their records are, and the failures among them by file stem."""

    ok: int
    failed: int
    records: Path
    failures: Mapping[str, Failure] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 when every cell has numbers, else 3."""
        return 3 if self.failed else 0


def run_plan(
    plan: Plan,
    *,
    runs: Path,
    manager: PluginManager,
    make_executor: Callable[[], Executor],
    progress: ProgressDisplay,
    device: str = "auto",
) -> Outcome:
    """Compute every cell of the plan and write its record.

    Args:
        plan: What to run.
        runs: Folder of store and records.
        manager: Plugins; observers among them are told what happens.
        make_executor: Called when there is something to compute.
        progress: Where progress is shown.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        StoreError: A record cannot be written.
    """
    return _Runner(plan, Store(runs), manager, make_executor, progress, device).run()


@dataclass
class _Runner:
    plan: Plan
    store: Store
    manager: PluginManager
    make_executor: Callable[[], Executor]
    progress: ProgressDisplay
    device: str
    waiting: dict[str, float] = field(default_factory=dict)
    running: dict[Future[Result], tuple[str, int, float]] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    open_cells: list[Cell] = field(default_factory=list)
    failures: dict[str, Failure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.records = Records(self.plan, self.store, self.manager)
        self.rest = _rest(self.plan.stages)

    def run(self) -> Outcome:
        self._notify_run("wsss_run_started")
        note_dataset(self.store, self.plan.fingerprint, self.plan.benchmark.dataset)
        with self.store.lease(self.plan.folder, self.plan.stages), self.progress.shown():
            for cell in self.plan.cells:
                if self.records.current(cell):
                    self.progress.cell(cell, status="ok", note="was there")
                    continue
                self.records.drop(cell)
                self.open_cells.append(cell)
                for key in cell.targets:
                    if self.store.open(key):
                        self._finish(key, "cached")
                    else:
                        self._need(key)
                for key in self._untold(cell):
                    self._need(key)
            if self.open_cells:
                self._work()
        self._notify_run("wsss_run_finished")
        failed = len(self.failures)
        return Outcome(len(self.plan.cells) - failed, failed, self.records.folder, self.failures)

    def _untold(self, cell: Cell) -> list[str]:
        """Stages whose artifact is gone though their scores are there: a record tells what each of them read."""
        return [key for _, key in cell.stages if self.store.find(key) is None]

    def _need(self, key: str) -> None:
        """Queue a stage and what it lacks; an artifact that is there ends the descent."""
        if key in self.waiting or key in self.done or any(key == busy for busy, _, _ in self.running.values()):
            return
        self.waiting[key] = 0.0
        for upstream in self.plan.stages[key].inputs.values():
            if upstream in self.done:
                continue
            if self.store.has(upstream):
                self._finish(upstream, "cached")
            else:
                self._need(upstream)

    def _work(self) -> None:
        self._close_cells()
        if not self.waiting:
            return
        executor = self.make_executor()
        try:
            while self.waiting or self.running:
                self._submit(executor)
                ended: set[Future[Result]] = set()
                if self.running:
                    ended, _ = wait(self.running, timeout=POLL, return_when=FIRST_COMPLETED)
                else:
                    time.sleep(POLL)  # another process computes all that is left
                for future in ended:
                    key, _, _ = self.running.pop(future)
                    self._take(key, future)
                self._show()
        except BaseException:
            executor.shutdown(cancel=True)
            raise
        executor.shutdown(cancel=False)

    def _submit(self, executor: Executor) -> None:
        free = sorted(set(range(executor.slots)) - {slot for _, slot, _ in self.running.values()})
        now = time.monotonic()
        due = [key for key, after in self.waiting.items() if after <= now]
        ready = [key for key in due if self.done.issuperset(self.plan.stages[key].inputs.values())]
        ready.sort(key=lambda key: -self.rest[key])
        for key, slot in zip(ready, free, strict=False):
            del self.waiting[key]
            config = self.plan.benchmark
            job = Job(
                spec=self.plan.stages[key],
                runs=self.store.runs.resolve(),
                plugins=self.manager.spec,
                dataset=(config.dataset.name, config.dataset.params),
                planned=self.plan.dataset,
                device=self.device,
                slot=slot,
            )
            future = executor.submit(execute, job, timeout=config.timeout)
            self.running[future] = (key, slot, time.time())

    def _take(self, key: str, future: Future[Result]) -> None:
        try:
            result = future.result()
        except TimeoutError:
            limit = self.plan.benchmark.timeout
            self._fail(key, "timeout", ("TimeoutError", f"no result after {limit:g} s" if limit else "timed out"))
            return
        except Exception as error:  # CancelledError among them: a cluster gave the stage up
            self._fail(key, "failed", (type(error).__name__, " ".join(str(error).split()) or "the worker was lost"))
            return
        if result.status == "busy":
            self.waiting[key] = time.monotonic() + BUSY_WAIT
        elif result.status == "missing":
            self.done -= set(result.missing)
            self._need(key)
            self.waiting[key] = time.monotonic() + BUSY_WAIT
        elif result.status == "failed":
            self._fail(key, "failed", result.error or ("Exception", "no message"))
        else:
            self._finish(key, "done" if result.status == "done" else "cached", result)
            self._close_cells()

    def _finish(self, key: str, status: Literal["done", "cached"], result: Result | None = None) -> None:
        if key in self.done:
            return
        self.done.add(key)
        seconds, peak = (result.seconds, result.peak_mib) if result else (None, None)
        self._notify_stage(StageEvent(self.plan.stages[key].name, key, status, seconds, peak))

    def _fail(self, key: str, status: Literal["failed", "timeout"], error: tuple[str, str]) -> None:
        """Write off the cells that need ``key``, and the stages that only they wait for."""
        spec = self.plan.stages[key]
        self._notify_stage(StageEvent(spec.name, key, "failed", error=f"{error[0]}: {error[1]}"))
        log = log_path(spec)
        for cell in [cell for cell in self.open_cells if key in dict(cell.stages).values()]:
            role = next(role for role, stage in cell.stages if stage == key)
            shown = log.as_posix() if (self.store.runs / log).exists() else None
            failure = Failure(stage=role, kind=error[0], message=error[1], log=shown)
            self.records.write_failure(cell, status, failure)
            self.progress.cell(cell, status=status, note=f"{role}: {error[0]}: {error[1]}")
            self.open_cells.remove(cell)
            self.failures[cell.stem] = failure
        wanted = {stage for cell in self.open_cells for _, stage in cell.stages}
        self.waiting = {stage: after for stage, after in self.waiting.items() if stage in wanted}

    def _close_cells(self) -> None:
        """Write the record of every cell whose scores are there."""
        for cell in [cell for cell in self.open_cells if all(self._behind(key) for _, key in cell.stages)]:
            damaged = [key for key in cell.targets if self.store.open(key) is None] + self._untold(cell)
            if damaged:
                self.done.difference_update(damaged)
                for key in damaged:
                    self._need(key)
                continue
            self.records.write_scores(cell)
            self.progress.cell(cell, status="ok")
            self.open_cells.remove(cell)

    def _show(self) -> None:
        began = {key: begun for key, _, begun in self.running.values()}
        for cell in self.open_cells:
            keys = [key for _, key in cell.stages]
            current = next(((role, key) for role, key in cell.stages if key in began), (None, None))
            done = sum(self._behind(key) for key in keys)
            self.progress.stages(cell, done=done, running=current[0], key=current[1], begun=began.get(current[1] or ""))
        self.progress.tick()

    def _behind(self, key: str) -> bool:
        """Whether nothing is left to do for a stage: it is done, or nobody asked for it."""
        return key not in self.waiting and all(key != busy for busy, _, _ in self.running.values())

    def _notify_run(self, event: str) -> None:
        cells = tuple((cell.row.label, cell.backbone.name, cell.seed) for cell in self.plan.cells)
        run = RunEvent(self.plan.benchmark.name, self.plan.fingerprint, cells, len(self.failures))
        self.manager.notify(event, run=run)

    def _notify_stage(self, stage: StageEvent) -> None:
        self.manager.notify("wsss_stage_finished", stage=stage)


def _rest(stages: Mapping[str, StageSpec]) -> dict[str, float]:
    """For each stage the cost of the longest way from it to the end."""
    below: dict[str, list[str]] = {key: [] for key in stages}
    for key, spec in stages.items():
        for upstream in spec.inputs.values():
            below[upstream].append(key)
    rest: dict[str, float] = {}
    for key in reversed(list(stages)):  # the plan lays out inputs before what reads them
        rest[key] = WEIGHT.get(stages[key].kind, 1.0) + max((rest[child] for child in below[key]), default=0.0)
    return rest
