"""Computing a benchmark: what ``wsss run`` and ``harness.run`` both do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.shipped import benchmark_file
from harness.common.text import DIGITS
from harness.contract.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from harness.api.results import Runs
    from harness.engine.plan.layout import Plan
    from harness.engine.scheduler import Outcome
    from harness.registry import PluginManager

Names = str | Sequence[str] | None
"""Names as a list, or as one text with commas; ``None`` for all."""

Overrides = Sequence[str] | Mapping[str, object]
"""``["protocol.segmenter.optim.lr=0.01"]``, or ``{"protocol.segmenter.optim.lr": 0.01}``."""

DEVICES = ("auto", "cpu", "cuda")


def run(
    benchmark: str | Path,
    *,
    methods: Names = None,
    backbones: Names = None,
    seeds: str | Sequence[int] | None = None,
    overrides: Overrides = (),
    device: str = "auto",
    jobs: int | str = "auto",
    executor: str | None = None,
    executor_options: Overrides = (),
    plugins: Sequence[str | Path] = (),
    runs: str | Path = "runs",
    timeout: float | None = None,
    strict_plugins: bool = False,
    progress: Console | None = None,
) -> Runs:
    """Compute what is missing of a benchmark, like ``wsss run``, and open its records.

    A row that fails is a row of the result, with its reason; the others go on.

    Args:
        benchmark: Benchmark file (YAML), or the name of a shipped one such as ``demo``.
        methods: Rows to keep, ``*`` and ``?`` allowed, or registered methods; all by default.
        backbones: Backbones to keep, likewise.
        seeds: Seeds in place of the file's.
        overrides: Fields of the file to change, as texts ``key=value`` or as a mapping.
        device: ``auto``, ``cpu`` or ``cuda``.
        jobs: Stages at a time, or ``auto``.
        executor: Where stages run; by default the file's, else ``local``.
        executor_options: Parameters of the executor, as texts ``key=value`` or as a mapping.
        plugins: Plugin files to load as well.
        runs: Folder of store and records.
        timeout: Seconds that one stage may take.
        strict_plugins: A faulty plugin is an error.
        progress: A console of rich to draw the progress on; by default nothing is shown.

    Raises:
        ConfigError: The file, a selection, or an override is wrong.
        DataError: The data set is missing or broken.
        PluginError: A plugin file that was asked for does not load.
        StoreError: The folder of runs cannot be written.
    """
    from harness.api.results import load

    plan, manager = prepare(
        benchmark,
        runs=runs,
        overrides=overrides,
        methods=methods,
        backbones=backbones,
        seeds=seeds,
        plugins=plugins,
        strict_plugins=strict_plugins,
        timeout=timeout,
    )
    outcome = compute(
        plan,
        manager,
        runs=runs,
        device=device,
        jobs=jobs,
        executor=executor,
        executor_options=_texts(executor_options),
        progress=progress,
    )
    return load(outcome.records, plugins=plugins)


def prepare(
    benchmark: str | Path,
    *,
    runs: str | Path = "runs",
    overrides: Overrides = (),
    methods: Names = None,
    backbones: Names = None,
    seeds: str | Sequence[int] | None = None,
    plugins: Sequence[str | Path] = (),
    strict_plugins: bool = False,
    timeout: float | None = None,
) -> tuple[Plan, PluginManager]:
    """The plan of what was asked for, and the plugins that it names; the arguments are those of ``run``."""
    from harness.api.runs import planned
    from harness.registry import manager as make_manager

    config = benchmark_file(Path(benchmark))
    manager = make_manager(
        plugin_files=[Path(file) for file in plugins], config_dir=config.parent, strict=strict_plugins
    )
    numbers = _names(seeds)
    for name in numbers or ():
        if not name.isdecimal() or len(name) > DIGITS:
            raise ConfigError(f"--seeds: {name!r} is no number; write them like 0,1,2")
    plan = planned(
        config,
        Path(runs),
        manager,
        overrides=[*_texts(overrides), *([f"timeout={timeout}"] if timeout is not None else ())],
        methods=_names(methods),
        backbones=_names(backbones),
        seeds=None if numbers is None else [int(name) for name in numbers],
    )
    return plan, manager


def compute(
    plan: Plan,
    manager: PluginManager,
    *,
    runs: str | Path = "runs",
    device: str = "auto",
    jobs: int | str = "auto",
    executor: str | None = None,
    executor_options: Overrides = (),
    progress: Console | None = None,
) -> Outcome:
    """Compute a plan and write its records; the arguments are those of ``run``.

    Raises:
        ConfigError: Device, jobs or executor are wrong.
        StoreError: The folder of runs cannot be written.
    """
    from harness.engine.executors.choice import choose_executor
    from harness.engine.progress import ProgressDisplay
    from harness.engine.scheduler import run_plan

    check_place(device, jobs)
    asked: dict[str, int | str] = {} if jobs == "auto" else {"jobs": int(jobs)}
    if device != "auto":
        asked["device"] = device
    chosen = choose_executor(plan.benchmark, manager, name=executor, options=_texts(executor_options), asked=asked)
    return run_plan(
        plan,
        runs=Path(runs),
        manager=manager,
        make_executor=chosen.start,
        progress=ProgressDisplay(plan, Path(runs), progress),
        device=chosen.device if device == "auto" else device,
    )


def check_place(device: str, jobs: int | str) -> None:
    """Check what says where and how many stages run.

    Raises:
        ConfigError: One of them is none of what is allowed.
    """
    if device not in DEVICES:
        raise ConfigError(f"--device: {device!r} is none of {', '.join(DEVICES)}")
    # Six digits: int() of a very long number raises, and no machine runs a million stages.
    number = str(jobs)
    if jobs != "auto" and (not number.isdecimal() or len(number) > 6 or int(number) < 1):
        raise ConfigError(f"--jobs: {jobs!r} is neither auto nor a number of at least 1")


def _names(given: str | Sequence[object] | None) -> list[str] | None:
    """Names of a list, or of a text with commas; ``None`` stays ``None``."""
    if given is None:
        return None
    parts = given.split(",") if isinstance(given, str) else map(str, given)
    return [name.strip() for name in parts if name.strip()]


def _texts(overrides: Overrides) -> list[str]:
    """Overrides as the command takes them; the value of a mapping is written as JSON, which is YAML too."""
    if isinstance(overrides, str):
        return [overrides]
    if not isinstance(overrides, Mapping):
        return list(overrides)
    try:
        return [f"{key}={json.dumps(value)}" for key, value in overrides.items()]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"-o: a value cannot be written as YAML: {error}") from None
