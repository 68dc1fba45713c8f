"""Files below a runs folder: written whole or not at all, read or refused in one sentence."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from harness.common.files import file_problem, read_bytes
from harness.common.text import parse_json, printable
from harness.contract.errors import StoreError, WsssError

SYNC_EACH = 64
"""Up to this many files are synced one by one; larger artifacts rely on one sync of the system and on checksums."""

_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
_DENIED = {errno.EROFS: "the file system is read-only", errno.EACCES: "no permission", errno.EPERM: "no permission"}

YOUNG = 1.0
"""Seconds for which a temporary file may be without its lock: it is made first and locked then."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into one ``StoreError`` sentence."""
    try:
        yield
    except OSError as error:
        reason = explain(error) or (error.strerror or str(error)).lower()
        raise StoreError(f"{path}: cannot be written, {reason}") from error


def explain(error: OSError) -> str | None:
    """Why nothing can be written any more, or ``None`` when the error is of another kind."""
    return _FULL.get(error.errno or 0) or _DENIED.get(error.errno or 0)


def write_atomically(path: Path, data: str | bytes) -> None:
    """Write a file under a temporary name, sync it and rename it; what a killed process left of it before goes away.

    Raises:
        StoreError: The disk is full or read-only; no part of the file remains.
    """
    content = data.encode() if isinstance(data, str) else data
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        try:
            with temporary.open("xb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write(content)
                file.flush()
                sync([temporary])
                temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files of ``path`` that no living process holds: the system frees a lock when its holder dies."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.????????"):
        with suppress(OSError), left.open("rb") as file:
            if time.time() - os.fstat(file.fileno()).st_mtime > YOUNG:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()


def read_json(path: Path, *, error: type[WsssError] = StoreError) -> Any:
    """What a JSON file below the runs folder holds.

    Raises:
        WsssError: ``error`` with one sentence: no regular file, or no valid JSON.
    """
    return parse_json(read_bytes(path, error=error), where=printable(path), error=error)


def require_regular(path: Path) -> None:
    """Raise ``StoreError`` when something other than a regular file is where one is to be appended to."""
    if os.path.lexists(path) and (problem := file_problem(path)):
        raise StoreError(f"{printable(path)}: {problem}")


def sync(paths: list[Path]) -> None:
    """Have the system write files and folders to the disk."""
    if len(paths) > SYNC_EACH:
        os.sync()
        return
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
