"""The artifact store: content-keyed folders that several processes and machines may share.

* An artifact is a folder with ``artifact.json``; it is built under a temporary name and renamed, so it is there whole
  or not at all. Whatever a kill leaves behind is swept by the next holder of the key's lock.
* Locks belong to the operating system and end with the process, also after ``kill -9``.
* Content is verified by checksum before its first use in a process; what fails is set aside and computed again.
* A run leases the keys of its plan; what a live run leases is never discarded, built or yet to be.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import filelock

from harness.common.atomic import sync, write_atomically, writing
from harness.common.files import file_sha256, read_json
from harness.contract.errors import StoreError
from harness.engine.plan.keys import digest

if TYPE_CHECKING:
    from pydantic import TypeAdapter

VERSION = 1
MANIFEST = "artifact.json"
LEASE = ".claim"
"""Suffix of a lease on disk: the one that it has always had, so that processes of another version respect it."""

_GATE = "gate"
"""Name of the lock under which a lease is noted, and what nobody leases is discarded, one at a time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Artifact:
    """What ``artifact.json`` says.

    Attributes:
        name: Stage name for people, for example ``generate cam``.
        inputs: What the key was hashed from.
        files: Relative path to ``{"sha256", "size"}``.
        device: ``cpu`` or the name of the accelerator.
        peak_gpu_mib: Peak memory that torch allocated on the accelerator; not in the file of a stage without one.
        meter: Ids of the images whose supervision the stage read, by kind.
        environment: Library versions and platform that computed it.
    """

    key: str
    name: str
    kind: str
    inputs: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Any]]
    seconds: float
    peak_mib: float | None
    device: str
    meter: Mapping[str, list[str]] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    version: int = VERSION
    peak_gpu_mib: float | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry["size"] for entry in self.files.values())

    @property
    def scored(self) -> str | None:
        """Key of the label maps that a score was counted from; ``None`` when it is no score."""
        upstream = self.inputs.get("upstream")
        return upstream.get("scored") if isinstance(upstream, Mapping) else None


@dataclass(frozen=True)
class Lease:
    """Keys that a run needs or will need.

    Attributes:
        owner: Folder of the run's records; ``None`` when the file is damaged.
        keys: ``None`` when the file is damaged.
        live: Whether the run is under way; a run that was killed leaves its lease behind.
    """

    name: str
    owner: str | None
    keys: frozenset[str] | None
    live: bool

    def needs(self, key: str) -> bool:
        """Whether the run needs an artifact.

        A damaged lease keeps everything while its run is under way, since nobody knows what that needs; the damaged
        lease of a dead run is none.
        """
        return self.live if self.keys is None else key in self.keys


class Store:
    """Artifacts, work folders, locks and logs below one ``runs`` folder.

    Args:
        runs: The folder; created when something is first written.
    """

    def __init__(self, runs: Path) -> None:
        self.runs = Path(runs)
        self._verified: dict[Path, tuple[int, int]] = {}

    def folder(self, key: str) -> Path:
        """Where the artifact of ``key`` lies, or would lie."""
        return self.runs / "store" / key[:2] / key

    def work(self, key: str) -> Path:
        """Scratch folder of a stage; it survives a kill and goes away when the artifact is published."""
        return self.runs / "work" / key

    @contextmanager
    def lock(self, key: str, *, wait: bool = False) -> Iterator[bool]:
        """Hold the lock of ``key``; yields ``False`` when another process holds it, or waits until it comes free."""
        path = self._lock_path(key)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            guard = filelock.FileLock(path)
            with suppress(filelock.Timeout):
                guard.acquire(timeout=-1 if wait else 0)
        try:
            yield guard.is_locked
        finally:
            guard.release()

    @contextmanager
    def lease(self, owner: str, keys: Iterable[str]) -> Iterator[None]:
        """Keep the artifacts of ``keys`` from being discarded while the context is open.

        A context that is left by an error or a kill leaves its lease behind, as that of an interrupted run; the next
        one of the same ``owner`` that ends well takes it away. A store that cannot be written needs no lease.
        """
        name = f"{owner}-{uuid4().hex[:8]}"
        path = self._lease_path(name)
        with ExitStack() as held:
            with suppress(StoreError):
                held.enter_context(self.lock(name))
                with self.lock(_GATE, wait=True):
                    write_atomically(path, json.dumps({"owner": owner, "keys": sorted(keys)}))
            yield
        with writing(path):
            for lease in self.leases():
                if lease.owner == owner and not lease.live:
                    self._lease_path(lease.name).unlink(missing_ok=True)
                    self._lock_path(lease.name).unlink(missing_ok=True)

    def leases(self) -> list[Lease]:
        """Leases of runs that are under way, and of those that were interrupted."""
        leases = []
        for path in sorted((self.runs / "locks").glob(f"*{LEASE}")):
            owner, keys = None, None
            with suppress(StoreError, KeyError, TypeError, IndexError):  # it is damaged
                content = read_json(path, error=StoreError)
                owner, keys = str(content["owner"]), frozenset(str(key) for key in content["keys"])
            try:
                with self.lock(path.stem) as free:
                    live = not free
            except StoreError:  # where no lock can be taken nobody knows, and it counts as held
                live = True
            if os.path.lexists(path):  # else its run has just ended well
                leases.append(Lease(path.stem, owner, keys, live))
        return leases

    def discard(self, key: str) -> bool:
        """Delete the artifact of ``key``; ``False`` when it is in use or leased by a live run."""
        with self.lock(key) as mine:
            if not mine:
                return False
            with self.lock(_GATE, wait=True):
                if any(lease.live and lease.needs(key) for lease in self.leases()):
                    return False
                folder = self.folder(key)
                gone = folder.with_name(f".{key}-{uuid4().hex[:8]}")
                with writing(folder):
                    folder.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)
        return True

    def has(self, key: str) -> bool:
        """Whether there is an artifact of ``key``; says nothing of its soundness."""
        return (self.folder(key) / MANIFEST).exists()

    def find(self, key: str) -> Artifact | None:
        """The artifact of ``key`` if its manifest is sound; files are not read."""
        try:
            content = read_json(self.folder(key) / MANIFEST, error=StoreError)
        except StoreError:
            return None
        return _parse(content, key)

    def open(self, key: str, *, held: bool = False) -> Artifact | None:
        """The artifact of ``key`` after its content was verified; a damaged one is set aside and ``None`` returned.

        Args:
            key: Key of the stage.
            held: True when the caller holds the lock of ``key``.
        """
        artifact = self.find(key)
        if artifact is not None and self._sound(artifact):
            return artifact
        if os.path.lexists(self.folder(key)):
            if held:
                self._set_aside(key)
            else:
                with suppress(StoreError), self.lock(key) as mine:  # where nothing can be written it stays where it is
                    if mine and ((artifact := self.find(key)) is None or not self._sound(artifact)):
                        self._set_aside(key)
        return None

    def build(self, key: str) -> Path:
        """A fresh folder to build the artifact of ``key`` in; call it with the lock held."""
        folder = self.folder(key)
        with writing(self.work(key)):
            self.work(key).mkdir(parents=True, exist_ok=True)
        with writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            for stale in folder.parent.glob(f".{key}-*"):
                shutil.rmtree(stale, ignore_errors=True)
            fresh = folder.parent / f".{key}-{uuid4().hex[:8]}"
            fresh.mkdir()
        return fresh

    def publish(self, built: Path, describe: Callable[[Mapping[str, Any]], Artifact]) -> Artifact:
        """Turn a built folder into the artifact; call it with the lock held.

        Args:
            built: Folder from ``build``.
            describe: Makes the manifest from the files' digests.

        Raises:
            StoreError: The disk is full or read-only; the built folder is gone then.
        """
        try:
            with writing(built):
                paths = sorted(path for path in built.rglob("*") if path.is_file())
                files = {
                    path.relative_to(built).as_posix(): {
                        "sha256": file_sha256(path, error=StoreError),
                        "size": path.stat().st_size,
                    }
                    for path in paths
                }
                artifact = describe(files)
                content = {f.name: getattr(artifact, f.name) for f in fields(artifact)}
                if artifact.peak_gpu_mib is None:
                    del content["peak_gpu_mib"]
                manifest = built / MANIFEST
                manifest.write_text(json.dumps({**content, "sha256": digest(content)}), encoding="utf-8")
                sync([*paths, manifest])
                built.rename(self.folder(artifact.key))
                sync([self.folder(artifact.key).parent])
        except BaseException:
            shutil.rmtree(built, ignore_errors=True)
            raise
        for path in paths:
            published = self.folder(artifact.key) / path.relative_to(built)
            self._verified[published] = _state(published)
        shutil.rmtree(self.work(artifact.key), ignore_errors=True)
        return artifact

    def artifacts(self) -> Iterator[Artifact]:
        """Every artifact whose manifest is sound."""
        for manifest in sorted((self.runs / "store").glob(f"??/*/{MANIFEST}")):
            artifact = self.find(manifest.parent.name)
            if artifact is not None:
                yield artifact

    def _lock_path(self, name: str) -> Path:
        return self.runs / "locks" / f"{name}.lock"

    def _lease_path(self, name: str) -> Path:
        return self.runs / "locks" / f"{name}{LEASE}"

    def _sound(self, artifact: Artifact) -> bool:
        folder = self.folder(artifact.key)
        for name, entry in artifact.files.items():
            path = folder / name
            try:
                state = _state(path)
                if self._verified.get(path) == state:
                    continue
                if state[0] != entry["size"] or file_sha256(path, error=StoreError) != entry["sha256"]:
                    return False
            except (OSError, ValueError, StoreError):
                return False
            self._verified[path] = state
        return True

    def _set_aside(self, key: str) -> None:
        """Move a damaged artifact out of the way; call it with the lock held."""
        aside = self.runs / "corrupt" / f"{key}-{uuid4().hex[:8]}"
        with writing(aside):
            aside.parent.mkdir(parents=True, exist_ok=True)
            self.folder(key).rename(aside)
        log.warning("damaged artifact %s: moved to %s, it will be computed again", key[:12], aside)


def _parse(content: Any, key: str) -> Artifact | None:
    """The manifest, or ``None`` when it is damaged, of another shape, of another key or of another version."""
    from pydantic import ValidationError

    try:
        recorded = content.pop("sha256")
        artifact = Artifact(**content)
        _shape().validate_python(content)
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError):
        return None
    entries = artifact.files.values()
    if not all(isinstance(each.get("size"), int) and isinstance(each.get("sha256"), str) for each in entries):
        return None
    sound = artifact.key == key and artifact.version == VERSION and digest(content) == recorded
    return artifact if sound else None


@cache
def _shape() -> TypeAdapter[Artifact]:
    from pydantic import TypeAdapter

    return TypeAdapter(Artifact)


def _state(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns
