"""The columns that somebody chose by name: `wsss leaderboard --columns rank,method,val_miou`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from harness.contract.errors import ConfigError
from harness.leaderboard import columns
from harness.leaderboard.columns import Column
from harness.leaderboard.frame import Board
from harness.leaderboard.metrics import Metric, known_metrics, usual_metrics
from harness.registry import PluginManager, did_you_mean

NAMES: Mapping[str, Column] = {
    "rank": columns.RANK,
    "method": columns.METHOD,
    "year": columns.YEAR,
    "supervision": columns.SUPERVISION,
    "backbone": columns.BACKBONE,
    "init": columns.INIT,
    "seeds": columns.SEEDS,
    "pseudo_miou": columns.PSEUDO,
    "oracle_pseudo_miou": columns.ORACLE,
    "val_miou": columns.VAL,
    "val_miou_seed_sd": columns.SEED_SD,
    "percent_of_full": columns.OF_FULL,
    "annotation_hours": columns.HOURS,
    "seconds": columns.SECONDS,
    "peak_memory_mib": columns.PEAK,
    "peak_gpu_memory_mib": columns.GPU_PEAK,
    "reported": columns.REPORTED,
    "status": columns.STATUS,
    "verified": columns.VERIFIED,
    "fingerprint": columns.FINGERPRINT,
}
"""Columns by the name that their field has in JSON and CSV."""

_BESIDE = ("_low", "_high", "_protocol")
"""Fields that a CSV file shows beside a chosen one: the ends of its interval, the settings of a reported number."""


def column_names(text: str, metrics: Collection[str] = ()) -> list[str]:
    """The names of a comma-separated list, in its order.

    Args:
        text: What the user wrote.
        metrics: Columns beside ``NAMES`` that registered metrics give.

    Raises:
        ConfigError: A name is unknown, named twice, or there is none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    possible = list(dict.fromkeys([*NAMES, *metrics]))
    for name in names:
        if name not in possible:
            hint = did_you_mean(name, possible) or f"; columns are {', '.join(possible)}"
            raise ConfigError(f"--columns: {name!r} is no column{hint}")
        if names.count(name) > 1:
            raise ConfigError(f"--columns: {name!r} is named twice")
    if not names:
        raise ConfigError(f"--columns: names no column; columns are {', '.join(possible)}")
    return names


def asked_columns(text: str | None, plugins: PluginManager) -> tuple[list[str], list[Metric]]:
    """The columns of ``--columns`` and the metrics that they need; without the option no column and the usual metrics.

    Raises:
        ConfigError: A name is unknown, named twice, or there is none.
    """
    if text is None:
        return [], usual_metrics(plugins)
    known = known_metrics(plugins)
    names = column_names(text, known)
    return names, [known[name] for name in names if name in known and name not in NAMES]


def chosen(board: Board) -> list[Column]:
    """The columns of ``board`` that were chosen, in that order; none when nobody chose."""
    return [NAMES.get(name) or columns.metric(name, board.metrics[name]) for name in board.columns]


def chosen_fields(board: Board, fields: Iterable[str]) -> list[str]:
    """Those of the ``fields`` of a CSV line that belong to the chosen columns; all when nobody chose."""
    fields = list(fields)
    if not board.columns:
        return fields
    return [field for name in board.columns for field in fields if field in (name, *(name + end for end in _BESIDE))]
