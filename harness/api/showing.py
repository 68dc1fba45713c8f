"""From a row's name to its sheet: what ``wsss show`` and ``Runs.show`` both do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from harness.contract.errors import ConfigError
from harness.records.groups import FULL
from harness.records.pairing import named_row
from harness.records.reader import Run, sound_runs
from harness.records.seeds import list_of

if TYPE_CHECKING:
    from harness.api.row_text import RowSheet
    from harness.registry import PluginManager


def show_row(
    runs: Sequence[Run],
    row: str,
    *,
    manager: PluginManager,
    left_out: Callable[[str], None],
    seed: int | None = None,
    backbone: str | None = None,
) -> RowSheet:
    """The sheet of a row.

    Args:
        runs: Where the row and the row ``full`` are looked for.
        row: Label of the row.
        manager: Plugins, for defaults and metrics.
        left_out: Told of each record of these rows that cannot be used.
        seed: The seed whose losses, stages and files are shown; by default the first that has numbers.
        backbone: Only rows with this backbone.

    Raises:
        ConfigError: There is no such row or seed, or the row is there several times.
        DataError: Not one of its records can be used.
    """
    from harness.api.row_sheet import facts_of
    from harness.api.row_text import RowSheet
    from harness.leaderboard.metrics import usual_metrics

    chosen = named_row(runs, row, backbone=backbone)
    fingerprint = chosen[0].record.fingerprint
    ceiling = [run for run in runs if run.record.label == FULL and run.record.fingerprint == fingerprint]
    kept = sound_runs([*chosen, *(run for run in ceiling if run not in chosen)], left_out)
    of_row = tuple(run for run in chosen if run in kept) or chosen
    cell = cell_of(of_row, seed)
    return RowSheet(facts_of(of_row, cell, others=kept, manager=manager, metrics=usual_metrics(manager)))


def cell_of(runs: Sequence[Run], seed: int | None) -> Run:
    """The run of a row with ``seed``; by default the first that has numbers, else the first.

    Raises:
        ConfigError: The row has no such seed.
    """
    fitting = [run for run in runs if seed in (None, run.record.seed)]
    if not fitting:
        label, seeds = runs[0].record.label, list_of([run.record.seed for run in runs])
        raise ConfigError(f"row {label!r} has no seed {seed}; it has {seeds}")
    return next((run for run in fitting if run.record.status == "ok"), fitting[0])
