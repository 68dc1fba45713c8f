"""Run records and their confusions, read from disk and checked before any number is made of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.contract.errors import ConfigError, DataError
from harness.contract.run_record import SCHEMA_VERSION, RunRecord, Score
from harness.scoring.confusion import Confusions
from harness.scoring.marks import is_marked

_LISTED = 30
"""Differences that an error spells out."""


@dataclass(frozen=True)
class Run:
    """One run record and the file that it came from."""

    path: Path
    record: RunRecord

    def confusions(self, name: str) -> Confusions | None:
        """The confusions of score ``name`` (``"val"``, ``"pseudo"``, ...), or ``None`` when the cell has none.

        Raises:
            DataError: The file is missing or damaged, or is not the one that the record was made with.
        """
        score = self.record.scores.get(name)
        return None if score is None else self._read(score)

    @property
    def verified(self) -> bool:
        """Whether ``wsss verify`` recomputed the numbers of the record as it is now."""
        return is_marked(self.path)

    def _read(self, score: Score) -> Confusions:
        path = self.path.parent / score.confusion
        if path.parent != self.path.parent:
            raise DataError(f"{self.path}: scores: {score.confusion!r} does not lie beside the record")
        confusions = Confusions.load(path, sha256=score.sha256)
        found = (len(confusions), confusions.num_classes)
        named = (score.images, len(self.record.dataset.classes))
        if found != named:
            raise DataError(f"{path}: (images, classes) are {found} but the run record names {named}")
        return confusions


def load_runs(source: Path | Iterable[Path]) -> list[Run]:
    """Every run record of a runs folder (below ``records`` where it has one), or of a list of files.

    Raises:
        ConfigError: The folder is missing or holds no record.
        DataError: A record cannot be read, or two records of a benchmark are of the same cell.
    """
    if isinstance(source, Path):
        folder = source / "records" if (source / "records").is_dir() else source
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder of run records; name it with --runs")
        paths = sorted(folder.rglob("*.json"))
    else:
        paths = sorted(source)
    if not paths:
        raise ConfigError(f"{source}: no run records; make some with `wsss run`")
    runs = [Run(path, _record(path)) for path in paths]
    by_benchmark: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_benchmark[run.record.benchmark].append(run)
    for own in by_benchmark.values():
        _by_cell(own)
    return runs


def _record(path: Path) -> RunRecord:
    try:
        record = RunRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "file"
        raise DataError(f"{path}: {field}: {first['msg']} (not a readable run record)") from error
    if record.schema_version != SCHEMA_VERSION:
        raise DataError(f"{path}: schema_version: {record.schema_version}, this version reads {SCHEMA_VERSION}")
    return record


def once_a_cell(runs: Iterable[Run]) -> list[Run]:
    """Of cells that several benchmarks share, with the same settings and therefore the same numbers, the first record.

    Raises:
        DataError: Two records of the same cell have different numbers, or are of the same benchmark.
    """
    return list(_by_cell(runs).values())


def _by_cell(runs: Iterable[Run]) -> dict[tuple[object, ...], Run]:
    found: dict[tuple[object, ...], Run] = {}
    for run in runs:
        cell = (*group_key(run.record), run.record.seed)
        other = found.setdefault(cell, run)
        if other is not run and not _agree(other.record, run.record):
            raise DataError(f"{run.path}: the same cell (method, backbone, weights, seed) as {other.path}")
    return found


def _agree(one: RunRecord, two: RunRecord) -> bool:
    """Whether two benchmarks computed the same numbers."""
    scores = [{name: score.sha256 for name, score in record.scores.items()} for record in (one, two)]
    return one.benchmark != two.benchmark and one.status == two.status and scores[0] == scores[1]


def group_key(record: RunRecord) -> tuple[str, ...]:
    """What the seeds of one table row share."""
    return record.fingerprint, record.label, record.backbone, record.init, record.init_sha256 or ""


def select_benchmark(runs: Iterable[Run], benchmark: str) -> tuple[list[Run], list[str]]:
    """The runs of ``benchmark`` under its latest fingerprint, and the older fingerprints that were left out.

    The latest fingerprint is that of the record which was written last.

    Raises:
        ConfigError: There is no record of that benchmark.
    """
    runs = list(runs)
    own = [run for run in runs if run.record.benchmark == benchmark]
    if not own:
        known = ", ".join(sorted({run.record.benchmark for run in runs}))
        raise ConfigError(f"no run records of benchmark {benchmark!r}; there are records of: {known}")
    latest = max(own, key=lambda run: (run.path.stat().st_mtime_ns, str(run.path))).record.fingerprint
    older = sorted({run.record.fingerprint for run in own} - {latest})
    return [run for run in own if run.record.fingerprint == latest], older


def check_same_settings(runs: Iterable[Run]) -> None:
    """Refuse runs of different fingerprints.

    Raises:
        ConfigError: With every field of protocol and data set that differs.
    """
    by_fingerprint = {run.record.fingerprint: run.record for run in runs}
    if len(by_fingerprint) < 2:
        return
    first, *others = (by_fingerprint[fingerprint] for fingerprint in sorted(by_fingerprint))
    lines = [
        f"{_name(first)} and {_name(other)}:\n" + "\n".join(f"  {line}" for line in _differences(first, other))
        for other in others
    ]
    raise ConfigError(
        "run records of different settings cannot share a table (name one benchmark's configuration, or add "
        "--allow-mixed); they differ between " + "\nand between ".join(lines)
    )


def _name(record: RunRecord) -> str:
    return f"{record.benchmark} {record.fingerprint[:8]}"


def _differences(one: RunRecord, two: RunRecord) -> list[str]:
    left, right = (
        {"protocol": record.protocol, "dataset": record.dataset.model_dump(exclude={"show_images"})}
        for record in (one, two)
    )
    lines = [f"{field}: {value} != {other}" for field, value, other in differing_fields(left, right)]
    if len(lines) > _LISTED:
        lines[_LISTED:] = [f"and {len(lines) - _LISTED} more fields"]
    return lines or ["no recorded field (the fingerprint also covers the version of the harness)"]


def differing_fields(one: Any, two: Any, field: str = "") -> Iterator[tuple[str, str, str]]:
    """(dotted field, value, other value) wherever two JSON values differ; an absent field reads ``absent``."""
    if isinstance(one, dict) and isinstance(two, dict):
        for key in sorted(one.keys() | two.keys()):
            below = f"{field}.{key}" if field else str(key)
            yield from differing_fields(one.get(key, _ABSENT), two.get(key, _ABSENT), below)
    elif one != two:
        yield field, _text(one), _text(two)


_ABSENT = object()


def _text(value: object) -> str:
    return "absent" if value is _ABSENT else repr(value)
