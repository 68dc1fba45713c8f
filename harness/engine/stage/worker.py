"""Runs one stage in a worker: lock, look, compute, check, publish.

* Every outcome is a ``Result``, also a failure: an exception never travels between processes.
* Of a group of processes the first does all that; the others train along where the harness trains.
* What a stage writes goes to its own log file, below the level of Python, so that libraries land there too.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from harness.common.atomic import explain, writing
from harness.common.files import file_problem
from harness.common.text import one_line, printable
from harness.contract.errors import StoreError, WsssError
from harness.contract.shared import CLASSIFIER
from harness.engine.code.check import check_code, check_imports, loaded
from harness.engine.environment import environment
from harness.engine.executors import group
from harness.engine.executors.local import worker_threads
from harness.engine.executors.processes import is_worker
from harness.engine.executors.worker import retire
from harness.engine.memory import REMEDY, wants_memory
from harness.engine.peak import PeakMemory
from harness.engine.plan.inputs import check_inputs
from harness.engine.plan.keys import as_given
from harness.engine.plan.layout import StageSpec
from harness.engine.recorded_data import check_dataset
from harness.engine.stage.context import StageContext
from harness.engine.stage.kinds.stage import Stage, fix_global_seeds
from harness.engine.stage.meter import ReadLog, mend
from harness.engine.store.store import Artifact, Store

if TYPE_CHECKING:
    from harness.contract.interfaces import Dataset
    from harness.contract.run_record import DatasetInfo
    from harness.registry import PluginManager, PluginSpec


LONGEST = 1000
"""Characters of an exception's message that a record takes."""


@dataclass(frozen=True)
class Job:
    """A stage and all that a worker needs to run it; picklable.

    Attributes:
        runs: Folder of the store.
        plugins: How to build the same plugin manager.
        dataset: Name and parameters of the data set, mappings in the order of the file.
        planned: What the plan knows of the data set; a worker that opens another refuses the stage.
        device: ``auto``, ``cpu`` or ``cuda``.
        slot: Number of the worker.
    """

    spec: StageSpec
    runs: Path
    plugins: PluginSpec
    dataset: tuple[str, Mapping[str, Any]]
    planned: DatasetInfo
    device: str = "auto"
    slot: int = 0

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels as bytes that are read once the plugins are loaded: a stage may refer to what a plugin file holds."""
        return _arrived, (self.plugins, pickle.dumps([getattr(self, field.name) for field in fields(self)]))


def _arrived(plugins: PluginSpec, packed: bytes) -> Job:
    from harness.registry import manager_from_spec

    manager_from_spec(plugins)
    return Job(*pickle.loads(packed))


@dataclass(frozen=True)
class Result:
    """What became of a stage.

    Attributes:
        status: ``busy`` when another process computes it, ``missing`` when inputs turned out to be damaged.
        error: Exception class and sentence of a failure.
        missing: Keys of damaged inputs.
    """

    status: Literal["done", "cached", "busy", "missing", "failed"]
    seconds: float | None = None
    peak_mib: float | None = None
    error: tuple[str, str] | None = None
    missing: tuple[str, ...] = ()


def log_path(spec: StageSpec) -> Path:
    """Log file of a stage, relative to the runs folder."""
    return log_of(spec.name, spec.key)


def log_of(name: str, key: str) -> Path:
    """Log file of the stage of that name and key, relative to the runs folder."""
    return Path("logs", f"{re.sub('[^A-Za-z0-9_.-]+', '-', name)}-{key[:12]}.log")


def report_path(runs: Path, key: str) -> Path:
    """Progress file of a running stage."""
    return runs / "status" / "stages" / f"{key}.json"


def execute(job: Job) -> Result:
    """Compute the artifact of a stage unless it is there; called in a worker process, or in all of a group."""
    store, spec = store_of(job.runs), job.spec
    if group.rank() > 0:
        _assist(job, store)
        return Result("busy")
    if not _shared_training(spec):
        group.leave()
    try:
        with store.lock(spec.key) as mine:
            if not mine:
                return Result("busy")
            if store.open(spec.key, held=True):
                return Result("cached")
            missing = tuple(key for key in spec.inputs.values() if store.open(key) is None)
            if missing:
                return Result("missing", missing=missing)
            return _compute(job, store)
    except WsssError as error:
        return Result("failed", error=(type(error).__name__, str(error)))


@lru_cache(maxsize=1)
def store_of(runs: Path) -> Store:
    """The store of this process, which remembers what it has verified."""
    return Store(runs)


def _compute(job: Job, store: Store) -> Result:
    spec = job.spec
    report = report_path(job.runs, spec.key)
    log = job.runs / log_path(spec)
    with writing(log):
        report.parent.mkdir(parents=True, exist_ok=True)
        log.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(log) and (problem := file_problem(log)):
        raise StoreError(f"{printable(log)}: {problem}")
    reads = _reads_path(job)
    if not mend(reads):  # nobody knows what the interrupted attempt had read: begin from the start
        with writing(reads):
            shutil.rmtree(reads) if reads.is_dir() and not reads.is_symlink() else reads.unlink()
        shutil.rmtree(store.work(spec.key), ignore_errors=True)
    built = store.build(spec.key)
    try:
        with _logged(log) as file:
            try:
                artifact = _measured(job, store, built)
            except BaseException as error:
                traceback.print_exc(file=file)
                shutil.rmtree(built, ignore_errors=True)
                if not is_worker() and not isinstance(error, Exception | SystemExit):
                    raise  # the user's Ctrl-C; a worker gets none, there a plugin has raised it
                retire()
                return Result("failed", error=_failure(error, spec))
    finally:
        with suppress(OSError):
            report.unlink(missing_ok=True)
    return Result("done", artifact.seconds, artifact.peak_mib)


def _measured(job: Job, store: Store, built: Path) -> Artifact:
    """Run the stage, measure it and publish what it wrote."""
    spec, ctx = job.spec, _context(job, store, built, report=report_path(job.runs, job.spec.key))
    with _read_log(job) as reads, PeakMemory() as peak:
        stage = Stage(spec, ctx, *_worker_state(job), reads)
        imported = set(sys.modules)
        work = loaded(stage)
        fix_global_seeds(spec)
        group.call()
        begun = time.monotonic()
        work(stage)
        seconds = time.monotonic() - begun
        check_imports(spec, imported)
        check_code(spec)
        check_inputs(spec.part.params if spec.part else spec.params, spec.name)
    events = job.runs / "tensorboard" / log_path(spec).stem
    for path in sorted(ctx.work.rglob("events.out.tfevents.*")):  # they outlive the work folder
        events.mkdir(parents=True, exist_ok=True)
        shutil.move(path, events / path.name)
    artifact = store.publish(
        built,
        lambda files: Artifact(
            key=spec.key,
            name=spec.name,
            kind=spec.kind,
            inputs=spec.key_inputs,
            files=files,
            seconds=seconds,
            peak_mib=peak.mib,
            peak_gpu_mib=None if ctx.device_name == "cpu" else peak.gpu_mib,
            device=ctx.device_name,
            meter=reads.ids(),
            environment=environment(),
        ),
    )
    reads.remove()
    return artifact


def _shared_training(spec: StageSpec) -> bool:
    """Whether all processes of a group compute the stage: the harness's own trainings, which divide each batch."""
    return spec.kind == "segmenter" or spec.run == CLASSIFIER.run


def _assist(job: Job, store: Store) -> None:
    """Train with the first process of the group when it calls; what is written here is thrown away."""
    if not _shared_training(job.spec) or not group.called():
        return
    log = job.runs / log_path(job.spec)
    with tempfile.TemporaryDirectory(prefix="wsss-") as out, _logged(log) as file, _read_log(job) as reads:
        try:
            stage = Stage(job.spec, _context(job, store, Path(out)), *_worker_state(job), reads)
            work = loaded(stage)
            fix_global_seeds(job.spec)
            work(stage)
        except BaseException:
            traceback.print_exc(file=file)
            raise


def _context(job: Job, store: Store, out: Path, *, report: Path | None = None) -> StageContext:
    return StageContext(
        job.spec,
        out=out,
        work=store.work(job.spec.key),
        inputs={name: store.folder(key) for name, key in job.spec.inputs.items()},
        device=job.device,
        slot=job.slot,
        threads=worker_threads(),
        report=report,
    )


def _read_log(job: Job) -> ReadLog:
    return ReadLog(_reads_path(job))


def _reads_path(job: Job) -> Path:
    return job.runs / "work" / f"{job.spec.key}.reads"


def _worker_state(job: Job) -> tuple[PluginManager, Dataset]:
    """Plugins and data set of this process, made once.

    Raises:
        DataError: The data set is not the one that was planned.
    """
    from harness.registry import manager_from_spec

    manager = manager_from_spec(job.plugins)
    name, params = job.dataset
    dataset = _dataset(job.plugins, name, as_given(params))
    check_dataset(dataset, job.planned, where=f"data set {name!r}", other="the plan")
    return manager, dataset


@lru_cache(maxsize=2)
def _dataset(plugins: PluginSpec, name: str, params: str) -> Dataset:
    from harness.engine.plan.rows import open_data
    from harness.registry import manager_from_spec

    return open_data(manager_from_spec(plugins), name, json.loads(params), where="dataset")


_BUGS = (NameError, AttributeError, TypeError, LookupError, AssertionError, ArithmeticError, ImportError)
"""What a mistake in code raises, whose message says too little without file and line."""


def _place(error: BaseException, spec: StageSpec) -> str:
    """File and line of the last frame in a plugin's code, where ``error`` is a mistake in code; else nothing."""
    if not isinstance(error, _BUGS):
        return ""
    names = [name for name in spec.key_inputs["code"] if not name.startswith("harness/")]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        for name in names:
            if f"/{Path(frame.filename).as_posix()}".endswith(f"/{name}"):
                return f" ({name}, line {frame.lineno})"
    return ""


def _failure(error: BaseException, spec: StageSpec) -> tuple[str, str]:
    """Exception class and one sentence; a full disk and a want of memory are named wherever they occurred."""
    reason = explain(error) if isinstance(error, OSError) else None
    if reason is not None:
        name = getattr(error, "filename", None)
        return StoreError.__name__, f"{name or 'runs folder'}: cannot be written, {reason}"
    try:  # on one line that is safe to print; the log has all of it
        message = one_line(error)
    except Exception:  # a plugin's exception may have a __str__ of any kind
        message = "its message cannot be printed"
    if len(message) > LONGEST:
        message = f"{message[:LONGEST]}..."
    message = (message or "no message") + _place(error, spec)
    return type(error).__name__, f"{message} ({REMEDY})" if wants_memory(error, message) else message


@contextmanager
def _logged(path: Path) -> Iterator[IO[str]]:
    """Send everything that the process prints to ``path``, also what libraries print below Python."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with path.open("a", encoding="utf-8") as file:
        try:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            yield file
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for handle, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, handle)
                os.close(copy)
