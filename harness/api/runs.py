"""From a benchmark file to its plan, and from a record to the runs folder that it lies in and to its data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.contract.interfaces import Dataset
    from harness.contract.run_record import DatasetInfo
    from harness.engine.plan.layout import Plan
    from harness.leaderboard import Run
    from harness.leaderboard.selection import Settings
    from harness.registry import PluginManager


def runs_folder(record: Path) -> Path:
    """The folder whose ``store`` belongs to a record: the one above ``records``, else the one of the record."""
    above = [parent.parent for parent in record.parents if parent.name == "records"]
    return above[0] if above else record.parent


def planned(
    config: Path,
    runs: Path,
    manager: PluginManager,
    *,
    overrides: Sequence[str] = (),
    methods: Sequence[str] | None = None,
    backbones: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
) -> Plan:
    """The plan of a benchmark file; digests of its data are kept in the runs folder.

    Raises:
        ConfigError: The file, a selection, or an override is wrong.
        DataError: The data set is missing or broken.
        PluginError: A plugin file that was asked for does not load.
    """
    from harness.data.digests import save_cache, set_cache
    from harness.engine.plan.config import load_benchmark
    from harness.engine.plan.layout import build_plan

    manager.require_files()
    registered = {kind: manager.records(kind) for kind in ("method", "backbone")}
    benchmark = load_benchmark(
        config, overrides, methods=methods, backbones=backbones, seeds=seeds, registered=registered
    )
    set_cache(runs / "digests.json")
    plan = build_plan(benchmark, manager)
    save_cache()
    return plan


class OpenedBenchmark(NamedTuple):
    """A benchmark file as it is now: its settings as records hold them, its data set, and what records say of that."""

    settings: Settings
    dataset: Dataset
    described: DatasetInfo


def open_benchmark(config: Path, runs: Path, manager: PluginManager, overrides: Sequence[str] = ()) -> OpenedBenchmark:
    """Read a benchmark file and open its data set; digests of the data are kept in the runs folder.

    Raises:
        ConfigError: The file, a row of it, or an override is wrong.
        DataError: The data set is missing or broken.
        PluginError: A plugin file that was asked for does not load.
    """
    from harness.data.digests import save_cache, set_cache
    from harness.engine.plan.config import load_benchmark
    from harness.engine.plan.keys import dataset_info, fingerprint, public_protocol
    from harness.engine.plan.rows import build_data, resolve_rows
    from harness.engine.record_writer import computed_as
    from harness.leaderboard.selection import Settings, source_text

    manager.require_files()
    benchmark = load_benchmark(config, overrides)
    dataset = build_data(benchmark, manager)
    set_cache(runs / "digests.json")
    described = dataset_info(dataset)
    save_cache()
    settings = Settings(
        benchmark=benchmark.name,
        fingerprint=fingerprint(benchmark.protocol, described),
        protocol=public_protocol(benchmark.protocol),
        dataset=described.identity(),
        source=source_text(config, overrides),
        rows={row.label: computed_as(row) for row in resolve_rows(benchmark, manager)},
    )
    return OpenedBenchmark(settings, dataset, described)


def open_recorded(run: Run, config: Path | None, plugin_files: Sequence[Path] = ()) -> Dataset:
    """The data set of a record; ``config`` is a benchmark file that says how to open it.

    Raises:
        ConfigError: Nothing says how to open it.
        DataError: It is missing, or not the one that the record was made with.
    """
    from harness.data.digests import save_cache, set_cache
    from harness.engine.plan.config import load_benchmark
    from harness.engine.recorded_data import recorded_dataset
    from harness.engine.store.store import Store
    from harness.registry import manager

    folder = runs_folder(run.path)
    plugins = manager(plugin_files=plugin_files, config_dir=config.parent if config is not None else None)
    chosen = load_benchmark(config).dataset if config is not None else None
    set_cache(folder / "digests.json")
    dataset = recorded_dataset(run.record, Store(folder), plugins, chosen)
    save_cache()
    return dataset
