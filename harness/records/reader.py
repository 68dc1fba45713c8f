"""Run records and their confusions, read from disk and checked before any number is made of them.

A record that cannot be trusted is left out and reported in one sentence, so that the other rows of a table go on: it
cannot be read, its confusions cannot be read, or it contradicts the other records of its fingerprint.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from harness.common.text import printable
from harness.contract.errors import ConfigError, DataError
from harness.contract.run_record import RunRecord
from harness.records.files import read_record
from harness.records.marks import is_marked
from harness.scoring.confusion import Confusions
from harness.scoring.image_counts import ImageCounts

Report = Callable[[str], None]
"""Told of each record that is left out, in one sentence."""

_LISTED = 3
"""Differences that an error spells out."""

_LONGEST = 40
"""Letters of a value that an error spells out."""

_SHA256 = re.compile("[0-9a-f]{64}")

_BESIDE_RECORDS = frozenset({"datasets", "locks", "logs", "status", "store", "work"})
"""Folders of a runs folder whose files are no records."""


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
        if score is None:
            return None
        path = self.path.parent / score.confusion
        confusions = Confusions.load(path, sha256=score.sha256)
        held = (len(confusions), confusions.num_classes)
        named = (score.images, len(self.record.dataset.classes))
        if held != named:
            raise DataError(f"{path}: (images, classes) are {held} but the run record names {named}")
        return confusions

    def counts(self, name: str, kind: str) -> ImageCounts | None:
        """What score ``name`` counted beside its confusions, or ``None`` when it did not count this ``kind``.

        Raises:
            DataError: As for the confusions.
        """
        score = self.record.scores.get(name)
        counted = None if score is None else {str(key): value for key, value in score.counts.items()}.get(kind)
        if score is None or counted is None:
            return None
        path = self.path.parent / counted.file
        counts = ImageCounts.load(path, kind, sha256=counted.sha256)
        if (len(counts.ids), counts.num_classes) != (score.images, len(self.record.dataset.classes)):
            raise DataError(f"{printable(path)}: its images or classes are not as many as the run record names")
        return counts

    @property
    def verified(self) -> bool:
        """Whether ``wsss verify`` recomputed the numbers of the record as it is now."""
        return is_marked(self.path)


def _refuse(sentence: str) -> NoReturn:
    """Make the first record that cannot be used an error, for callers that leave none out."""
    raise DataError(sentence)


def load_runs(source: Path | Iterable[Path], left_out: Report = _refuse) -> list[Run]:
    """Every run record of a runs folder (below ``records`` where it has one), or of a list of files.

    Args:
        source: The folder, or the files.
        left_out: Told of each record that cannot be read; by default the first such record is an error.

    Raises:
        ConfigError: The folder is missing or holds no record.
        DataError: Not one record can be read, or two records of a benchmark are of the same cell.
    """
    paths = _record_files(source) if isinstance(source, Path) else sorted(source)
    if not paths:
        raise ConfigError(f"{source}: no run records; make some with `wsss run`")
    runs: list[Run] = []
    faults: list[str] = []
    for path in paths:
        try:
            runs.append(Run(path, read_record(path)))
        except DataError as error:
            faults.append(str(error))
    _report(faults, left_out, of=runs)
    by_benchmark: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_benchmark[run.record.benchmark].append(run)
    for of_benchmark in by_benchmark.values():
        once_a_cell(of_benchmark)
    return runs


def _record_files(source: Path) -> list[Path]:
    """All JSON files of a folder but the notes of a run, or those below folders named ``records`` where it has such."""
    folder = source / "records" if (source / "records").is_dir() else source
    if not folder.is_dir():
        raise ConfigError(f"{printable(folder)}: no such folder of run records; name it with --runs")
    above = {path: set(path.relative_to(folder).parts[:-1]) for path in sorted(folder.rglob("*.json"))}
    paths = [path for path, folders in above.items() if "records" in folders]
    return paths or [path for path, folders in above.items() if not folders & _BESIDE_RECORDS]


def _report(faults: Iterable[str], left_out: Report, *, of: Iterable[Run]) -> None:
    """Tell ``left_out`` of each fault; where nothing else is left, the first one is the error.

    Raises:
        DataError: There are faults and ``of`` is empty.
    """
    faults = list(faults)
    if faults and not list(of):
        more = f" (and {len(faults) - 1} more records cannot be used)" if len(faults) > 1 else ""
        raise DataError(f"{faults[0]}{more}")
    for fault in faults:
        left_out(fault)


def sound_runs(runs: Iterable[Run], left_out: Report = _refuse) -> list[Run]:
    """The runs whose confusions can be read and that agree with the other runs of their fingerprint.

    Runs of one fingerprint have the same protocol, data set, scored images and masks. Where some differ, those stay
    that most runs agree with, the first ones where as many agree with others.

    Args:
        runs: Runs of any number of fingerprints.
        left_out: Told of each run that is left out; by default the first such run is an error.

    Raises:
        DataError: Not one run is sound.
    """
    signed: list[tuple[Run, dict[str, Hashable]]] = []
    faults: list[str] = []
    for run in runs:
        try:
            signed.append((run, dict(_signatures(run))))
        except DataError as error:
            faults.append(str(error))
    counts: dict[tuple[str, str], Counter[Hashable]] = defaultdict(Counter)
    for run, signatures in signed:
        for part, signature in signatures.items():
            counts[run.record.fingerprint, part][signature] += 1
    # Of equally frequent signatures this is the first.
    usual = {key: counter.most_common(1)[0][0] for key, counter in counts.items()}
    kept = []
    for run, signatures in signed:
        other = [part for part, signature in signatures.items() if usual[run.record.fingerprint, part] != signature]
        if other:
            faults.append(f"{printable(run.path)}: {other[0]}: not that of the other records of its fingerprint")
        else:
            kept.append(run)
    _report(faults, left_out, of=kept)
    return kept


def _signatures(run: Run) -> Iterator[tuple[str, Hashable]]:
    """What runs of one fingerprint share, by field of the record."""
    yield "protocol", repr(sorted(run.record.protocol.items()))
    yield "dataset", repr(run.record.dataset.identity())
    for name in run.record.scores:
        confusions = run.confusions(name)
        if confusions is not None:
            ids = sorted(confusions.ids)
            truth = confusions.subset(ids).areas()[:, 1]
            yield f"scores.{name}", hashlib.sha256("\n".join(ids).encode() + truth.tobytes()).hexdigest()


def once_a_cell(runs: Iterable[Run]) -> list[Run]:
    """Of cells that several benchmarks share, with the same settings and therefore the same numbers, the first record.

    Raises:
        DataError: Two records of the same cell have different numbers, or are of the same benchmark.
    """
    first: dict[tuple[object, ...], Run] = {}
    for run in runs:
        other = first.setdefault((*group_key(run.record), run.record.seed), run)
        if other is run:
            continue
        scores = [{name: score.sha256 for name, score in item.record.scores.items()} for item in (run, other)]
        same_numbers = run.record.status == other.record.status and scores[0] == scores[1]
        if run.record.benchmark == other.record.benchmark or not same_numbers:
            raise DataError(f"{run.path}: the same cell (method, backbone, weights, seed) as {other.path}")
    return list(first.values())


def group_key(record: RunRecord) -> tuple[str, ...]:
    """What the seeds of one table row share."""
    return record.fingerprint, record.label, record.backbone, record.init, record.init_sha256 or ""


def check_same_settings(runs: Iterable[Run]) -> None:
    """Refuse runs of different fingerprints.

    Raises:
        ConfigError: With the folder of each, what to type for one of them, and the first fields that differ.
    """
    by_fingerprint = {run.record.fingerprint: run for run in runs}
    if len(by_fingerprint) < 2:
        return
    first, *others = (run for _, run in sorted(by_fingerprint.items()))
    folders = [shlex.quote(printable(run.path.parent)) for run in (first, *others)]
    known = "; ".join(
        f"{folder} ({_told_differences(first, run)})" for folder, run in zip(folders[1:], others, strict=True)
    )
    raise ConfigError(
        f"run records of different settings cannot share a table: {folders[0]} and {known}; name one of these folders, "
        f"for example `wsss leaderboard {folders[0]}`, or add --allow-mixed"
    )


def _told_differences(first: Run, other: Run) -> str:
    """In what the settings of ``other`` differ from those of ``first``; the content of the data comes last."""
    settings = [{"protocol": run.record.protocol, "dataset": run.record.dataset.identity()} for run in (first, other)]
    changes = sorted(
        differing_fields(settings[0], settings[1]), key=lambda item: item[0].startswith("dataset.digests.")
    )
    if not changes:
        return "no recorded field differs; the fingerprint also covers the version of the harness"
    parts = [
        f"{field} differs" if max(len(value), len(changed)) > _LONGEST else f"{field} is {changed}, not {value}"
        for field, value, changed in changes[:_LISTED]
    ]
    more = f" and {len(changes) - _LISTED} more fields" if len(changes) > _LISTED else ""
    return ", ".join(parts) + more


def differing_fields(first: Any, second: Any, field: str = "") -> Iterator[tuple[str, str, str]]:
    """(dotted field, value, other value) wherever two JSON values differ; an absent field reads ``absent``."""
    if isinstance(first, dict) and isinstance(second, dict):
        for key in sorted(first.keys() | second.keys()):
            below = f"{field}.{key}" if field else str(key)
            yield from differing_fields(first.get(key, _ABSENT), second.get(key, _ABSENT), below)
    elif first != second:
        yield field, _text(first), _text(second)


_ABSENT = object()


def _text(value: object) -> str:
    """How a value reads in a difference: of a SHA-256 only the first digits, which tell it from another."""
    if isinstance(value, str) and _SHA256.fullmatch(value):
        return repr(f"{value[:12]}...")
    return "absent" if value is _ABSENT else repr(value)
