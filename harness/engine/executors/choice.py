"""Which executor a run takes, and with which parameters: of the benchmark file, then of the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.contract.errors import ConfigError, PluginError
from harness.data.configuration import apply_overrides
from harness.registry import build_params, describe_params, resolve

if TYPE_CHECKING:
    from harness.contract.interfaces import Executor
    from harness.contract.records import ExecutorRecord
    from harness.engine.plan.config import Benchmark
    from harness.registry import PluginManager


@dataclass(frozen=True)
class ChosenExecutor:
    """An executor that is not started yet, and its validated parameters."""

    record: ExecutorRecord
    params: Any

    @property
    def device(self) -> str:
        """The device that its parameters name, ``auto`` where they name none."""
        return str(getattr(self.params, "device", "auto"))

    def start(self) -> Executor:
        """The executor itself."""
        started: Executor = resolve(self.record.factory)(self.params)
        return started


def choose_executor(
    benchmark: Benchmark,
    manager: PluginManager,
    *,
    name: str | None = None,
    options: Sequence[str] = (),
    asked: Mapping[str, Any] | None = None,
) -> ChosenExecutor:
    """The executor of the benchmark file, or another one; the command line goes before the file.

    Args:
        benchmark: Its field ``executor`` names one; its parameters count only for that one.
        manager: Where executors are registered.
        name: The executor to take in place of the file's.
        options: ``key=value``, parameters by name.
        asked: Values for the parameters of these names, in case the executor has them: those of ``--jobs`` and
            ``--device``, which every executor may read in its own way.

    Raises:
        ConfigError: A parameter is unknown, wrong, or given twice; names the file's field or the option.
        PluginError: No executor has that name.
    """
    try:
        record: ExecutorRecord = manager.get("executor", name or benchmark.executor.name)
    except PluginError as error:
        if name:
            raise
        raise ConfigError(f"{benchmark.path}: executor: {error}") from None
    given = benchmark.executor.params if record.name == benchmark.executor.name else {}
    params = build_params(record, given, where=f"{benchmark.path}: executor")
    names = {info.name for info in describe_params(record.params)}
    more = {key: value for key, value in (asked or {}).items() if key in names}
    for key in more:
        if twice := next((option for option in options if option.partition("=")[0].strip() == key), None):
            raise ConfigError(f"--executor-option {twice}: --{key} says it already, give one of the two")
    if options or more:
        merged = apply_overrides({**given, **more}, options, where="--executor-option")
        params = build_params(record, merged, where="--executor-option" if options else "--executor")
    return ChosenExecutor(record, params)
