"""Segmenters that are made for some backbones only say so when a run is planned, not after its first stages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.contract.errors import ConfigError, PluginError
from harness.registry import resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.engine.plan.rows import ResolvedRow
    from harness.registry import PluginManager


def check_backbones(
    rows: Sequence[ResolvedRow], backbones: Iterable[str], manager: PluginManager, *, frozen: bool, path: Path
) -> None:
    """Refuse rows whose segmenter cannot be trained on a backbone of the benchmark.

    Args:
        rows: Of the benchmark.
        backbones: Names of its backbones.
        manager: Plugins.
        frozen: Whether the protocol freezes them.
        path: The benchmark file, for messages.

    Raises:
        ConfigError: There is such a row; says why, and what to leave out.
        PluginError: A segmenter cannot say whether it fits.
    """
    for name in backbones:
        for row in rows:
            if why := unfit(row, name, manager, frozen=frozen):
                raise ConfigError(
                    f"{path}: methods.{row.label}: {why}; leave the row out (--methods) or choose another backbone "
                    "(--backbones)"
                )


def unfit(row: ResolvedRow, backbone: str, manager: PluginManager, *, frozen: bool) -> str:
    """Why a segmenter of ``row`` cannot be trained on the backbone of that name, or an empty text.

    Raises:
        PluginError: A segmenter cannot say it.
    """
    for name in dict.fromkeys(item.segmenter.name for item in row.rounds if item.segmenter is not None):
        record: Any = manager.get("segmenter", name)
        if record.unfit is None:
            continue
        why = resolve(record.unfit)(backbone, frozen)
        if not isinstance(why, str):
            raise PluginError(f"segmenter {name!r}: unfit must return a text, got {type(why).__name__}")
        if why:
            return f"segmenter {name!r} cannot be trained on backbone {backbone!r}: {why}"
    return ""
