"""From a benchmark file to its plan, and to its settings and data set as they are now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.contract.interfaces import Dataset
    from harness.contract.run_record import DatasetInfo
    from harness.engine.plan.layout import Plan
    from harness.leaderboard.selection import Settings
    from harness.registry import PluginManager


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
