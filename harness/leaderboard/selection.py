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
    """What a table is asked for.

    Attributes:
        benchmark: Name of the benchmark.
        fingerprint: Of its protocol and data.
        protocol: As records show it.
        dataset: As records show it, without the licence flag.
        source: What the settings are of, for sentences: a file, with its overrides.
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
    own = [run for run in runs if run.record.benchmark == wanted.benchmark]
    if not own:
        known = ", ".join(sorted({run.record.benchmark for run in runs}))
        raise ConfigError(f"no run records of benchmark {wanted.benchmark!r}; there are records of: {known}")
    by_fingerprint: dict[str, list[Run]] = {}
    for run in own:
        by_fingerprint.setdefault(run.record.fingerprint, []).append(run)
    selected = by_fingerprint.pop(wanted.fingerprint, [])
    others = [_other(found[0], wanted) for _, found in sorted(by_fingerprint.items())]
    if not selected:
        raise ConfigError(
            f"no run records of {wanted.source} (benchmark {wanted.benchmark}, fingerprint {wanted.fingerprint[:8]}); "
            f"there are records of other settings: {'; '.join(others)}"
        )
    sentences = [f"records of other settings are not shown: {'; '.join(others)}"] if others else []
    if others:
        sentences.insert(0, f"shown: records of {wanted.source}, fingerprint {wanted.fingerprint[:8]}")
    return Selection(selected, [*sentences, *_other_parameters(selected, wanted)])


def _other(run: Run, wanted: Settings) -> str:
    """What another fingerprint differs in and how its table is shown, seen from one of its runs."""
    record = run.record
    recorded = {"protocol": record.protocol, "dataset": record.dataset.model_dump(exclude={"show_images"})}
    found = list(differing_fields(recorded, {"protocol": wanted.protocol, "dataset": wanted.dataset}))
    found.sort(key=lambda item: (not item[0].startswith("protocol."), item[0].startswith("dataset.digests.")))
    spelled = ", ".join(_difference(*item) for item in found[:_SPELLED])
    more = f" and {len(found) - _SPELLED} more fields" if len(found) > _SPELLED else ""
    options = [f"-o {field}={value}" for field, value, _ in found if _is_option(field, value)]
    also = f"{' '.join(options)} or " if found and len(options) == len(found) <= _SPELLED else ""
    where = shlex.quote(str(run.path.parent))
    difference = f"{spelled}{more}" if found else "no recorded field differs"
    return f"{record.fingerprint[:8]} ({difference}; show them with {also}`wsss leaderboard {where}`)"


def _difference(field: str, value: str, here: str) -> str:
    """For example ``lr is 0.02, not 0.01``; hashes and whole sections are not spelled out."""
    long = max(len(value), len(here)) > _LONGEST
    return f"{field} differs" if long else f"{field} is {value}, not {here}"


def _is_option(field: str, value: str) -> bool:
    return field.startswith("protocol.") and _PLAIN.fullmatch(value) is not None


def _other_parameters(runs: Sequence[Run], wanted: Settings) -> list[str]:
    """A sentence for each row whose records were computed with other parameters than the file has now."""
    found: dict[str, str] = {}
    for run in runs:
        here = wanted.rows.get(run.record.label)
        made = run.record.model_dump(mode="json", include={"params", "rounds"})
        if here is not None and run.record.label not in found:
            for field, value, now in differing_fields(made, here):
                found[run.record.label] = (
                    f"row {run.record.label}: its records are of {field} {value}, {wanted.source} says {now}"
                )
                break
    return list(found.values())


def source_text(config: Path, overrides: Sequence[str]) -> str:
    """The file and its overrides as a reader typed them."""
    return " ".join([str(config), *(f"-o {shlex.quote(override)}" for override in overrides)])
