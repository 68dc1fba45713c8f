"""Lists what a runs folder holds, tells what of it nobody needs, and deletes that.

* Records are never touched. What ``wsss verify`` needs of a record, its label maps and confusions, stays unless
  everything is asked for; tables come out the same before and after in any case.
* What a live run has a lease on stays, and so does what another process builds or reads under a lock.
* What an interrupted run had computed stays until it is resumed, or until the plans to keep are named.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.common.atomic import writing
from harness.contract.scores import counts_score
from harness.engine.store.store import LEASE, Store
from harness.records.files import read_record

DAMAGED = "(damaged artifact)"
SET_ASIDE = "(damaged artifact, set aside)"
HALF_BUILT = "(half-built artifact)"
WORK = "(work of an unfinished stage)"
TRACE = "(trace of a killed process)"


@dataclass(frozen=True)
class Rules:
    """What stays.

    Attributes:
        plans: Keys of the stages of the plans to keep; ``None`` when none was named: then every stage that a record
            names stays, and all that interrupted runs have a lease on.
        evidence_only: Of a record only what verifying it needs stays.
        everything: Records keep nothing.
        older_than: Only what was last written so many days ago goes.
    """

    plans: frozenset[str] | None = None
    evidence_only: bool = False
    everything: bool = False
    older_than: float = 0.0


@dataclass(frozen=True)
class Item:
    """Something in a runs folder.

    Attributes:
        what: Stage name of an artifact, or what else it is.
        key: Key of its stage, ``None`` when it belongs to none.
        needed: Whether the rules keep it.
        size: Bytes.
    """

    what: str
    path: Path
    key: str | None
    needed: bool
    size: int


def survey(store: Store, rules: Rules) -> list[Item]:
    """Every artifact and every leftover below the runs folder.

    Raises:
        DataError: A record cannot be read, so that nobody knows what it needs.
    """
    needed, unknown = _needed(store, rules), any(lease.live and lease.keys is None for lease in store.leases())
    newest = time.time() - rules.older_than * 86400
    items = []
    for what, path, key, size in _contents(store):
        with suppress(FileNotFoundError):  # it has just gone
            wanted = (unknown or key in needed) and (what == WORK or not what.startswith("("))
            recent = path.lstat().st_mtime > newest
            items.append(Item(what, path, key, wanted or recent, _size(path) if size is None else size))
    return items


def collect(store: Store, items: Iterable[Item]) -> tuple[list[Item], list[Item]]:
    """Delete the items that are not needed.

    Returns:
        What was deleted, and what was in use and stayed.

    Raises:
        StoreError: The runs folder cannot be written.
    """
    gone: list[Item] = []
    stayed: list[Item] = []
    for item in items:
        if item.needed:
            continue
        if item.path.parent.parent == store.runs / "store" and not item.path.name.startswith("."):
            deleted = store.discard(item.path.name)
        elif item.key is None:
            deleted = True
            _remove(item.path)
        else:
            with store.lock(item.key) as deleted:
                if deleted:
                    _remove(item.path)
        (gone if deleted else stayed).append(item)
    return gone, stayed


def _needed(store: Store, rules: Rules) -> set[str]:
    """Keys of the stages whose artifacts stay."""
    leases = store.leases()
    keys = {key for lease in leases if lease.live for key in lease.keys or ()} | (rules.plans or set())
    if rules.everything:
        return keys
    records = [read_record(path).stages for path in sorted((store.runs / "records").glob("*/*.json"))]
    for stages in records:
        for stage in stages:  # scores, and the label maps that they were counted from
            artifact = store.find(stage.key) if counts_score(stage.name) else None
            if artifact is not None:
                keys |= {stage.key, artifact.scored or stage.key}
    if rules.plans is None and not rules.evidence_only:
        keys |= {stage.key for stages in records for stage in stages}
        keys |= {key for lease in leases for key in lease.keys or ()}
    return keys


def _contents(store: Store) -> Iterator[tuple[str, Path, str | None, int | None]]:
    """For each thing what it is, its path, the key whose lock guards it, and its bytes where a manifest states them."""
    runs = store.runs
    for folder in sorted((runs / "store").glob("??/[!.]*")):
        artifact = store.find(folder.name)
        yield artifact.name if artifact else DAMAGED, folder, folder.name, artifact.size if artifact else None
    for path in sorted((runs / "store").glob("??/.*")):
        yield HALF_BUILT, path, path.name[1:].rpartition("-")[0], None
    for path in sorted((runs / "corrupt").glob("*")):
        yield SET_ASIDE, path, None, None
    for path in sorted((runs / "work").glob("*")):
        key = _key_of(path)
        yield TRACE if store.has(key) else WORK, path, key, None
    for path in sorted((runs / "status" / "stages").glob("*")):
        yield TRACE, path, _key_of(path), None
    leases = store.leases()
    for lease in leases:
        if lease.owner is None and not lease.live:
            yield TRACE, runs / "locks" / f"{lease.name}{LEASE}", None, None
    if not any(lease.live for lease in leases):
        for path in sorted((runs / "records").glob("*/.*")):
            yield TRACE, path, None, None


def _key_of(path: Path) -> str:
    """The key that a file beside the store begins with, also one whose writing was cut short."""
    return path.name.removeprefix(".").partition(".")[0]


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _remove(path: Path) -> None:
    with writing(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
