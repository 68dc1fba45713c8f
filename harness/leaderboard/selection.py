"""The records of one benchmark under given settings, and in words the records of its other settings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from harness.contract.errors import ConfigError
from harness.records.reader import Run, differing_fields

_SPELLED = 3
"""Fields of a difference that a sentence spells out."""

_LONGEST = 40
"""Letters of a value that a sentence spells out."""

_PLAIN = re.compile(r"-?\d+(\.\d*)?(e[-+]?\d+)?|True|False")
"""Values that can be given with ``-o`` as they are written."""


@dataclass(frozen=True)
class Settings:
    """The settings whose records a table shows.

    Attributes:
        benchmark: Name of the benchmark.
        fingerprint: Of its protocol and data.
        protocol: As records show it.
        dataset: As records show it, without the licence flag.
        source: The file that has the settings, with its overrides, as sentences name it.
        rows: Parameters and rounds of each row of the file, by label.
    """

    benchmark: str
    fingerprint: str
    protocol: Mapping[str, Any]
    dataset: Mapping[str, Any]
    source: str
    rows: Mapping[str, Mapping[str, Any]]


class Selection(NamedTuple):
    """The runs of a table, and one sentence about each thing that a reader of it must know."""

    runs: list[Run]
    sentences: list[str]


def select_settings(runs: Iterable[Run], wanted: Settings) -> Selection:
    """The runs of the benchmark under the fingerprint of ``wanted``.

    Raises:
        ConfigError: There are none; says what the settings of the records that there are differ in.
    """
    runs = list(runs)
    by_fingerprint: dict[str, list[Run]] = {}
    for run in runs:
        if run.record.benchmark == wanted.benchmark:
            by_fingerprint.setdefault(run.record.fingerprint, []).append(run)
    if not by_fingerprint:
        benchmarks = ", ".join(sorted({run.record.benchmark for run in runs}))
        raise ConfigError(f"no run records of benchmark {wanted.benchmark!r}; there are records of: {benchmarks}")
    selected = by_fingerprint.pop(wanted.fingerprint, [])
    others = [_other(other[0], wanted) for _, other in sorted(by_fingerprint.items())]
    if not selected:
        raise ConfigError(
            f"no run records of {wanted.source} (benchmark {wanted.benchmark}, fingerprint {wanted.fingerprint[:8]}); "
            f"there are records of other settings: {'; '.join(others)}"
        )
    sentences = [f"records of other settings are not shown: {'; '.join(others)}"] if others else []
    if others:
        sentences.insert(0, f"shown: records of {wanted.source}, fingerprint {wanted.fingerprint[:8]}")
    parameters: dict[str, str] = {}
    for run in selected:
        label = run.record.label
        if label in wanted.rows and label not in parameters:
            recorded = run.record.model_dump(mode="json", include={"params", "rounds"})
            field, value, now = next(differing_fields(recorded, wanted.rows[label]), ("", "", ""))
            if field:
                parameters[label] = f"row {label}: its records are of {field} {value}, {wanted.source} says {now}"
    return Selection(selected, [*sentences, *parameters.values()])


def _other(run: Run, wanted: Settings) -> str:
    """What another fingerprint differs in and how its table is shown, seen from one of its runs."""
    record = run.record
    recorded = {"protocol": record.protocol, "dataset": record.dataset.identity()}
    changes = list(differing_fields(recorded, {"protocol": wanted.protocol, "dataset": wanted.dataset}))
    changes.sort(key=lambda item: (not item[0].startswith("protocol."), item[0].startswith("dataset.digests.")))
    parts = []
    options = []
    for field, value, here in changes[:_SPELLED]:
        long = field.startswith("dataset.digests.") or max(len(value), len(here)) > _LONGEST
        parts.append(f"{field} differs" if long else f"{field} is {value}, not {here}")
        if field.startswith("protocol.") and _PLAIN.fullmatch(value):
            options.append(f"-o {field}={value}")
    more = f" and {len(changes) - _SPELLED} more fields" if len(changes) > _SPELLED else ""
    # Overrides are only named where they alone lead to the other settings.
    also = f"{' '.join(options)} or " if changes and len(options) == len(changes) else ""
    where = shlex.quote(str(run.path.parent))
    difference = f"{', '.join(parts)}{more}" if changes else "no recorded field differs"
    return f"{record.fingerprint[:8]} ({difference}; show them with {also}`wsss leaderboard {where}`)"


def source_text(config: Path, overrides: Sequence[str]) -> str:
    """The file and its overrides as a reader typed them."""
    return " ".join([str(config), *(f"-o {shlex.quote(override)}" for override in overrides)])
