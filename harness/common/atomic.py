"""Files that are there whole or not at all, whatever becomes of the process or the disk while they are written."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from harness.contract.errors import StoreError

SYNC_EACH = 64
"""Up to this many files are synced one by one; larger artifacts rely on one sync of the system and on checksums."""

YOUNG = 1.0
"""Seconds for which a temporary file may be without its lock, because it is created first and locked then."""

_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
_DENIED = {errno.EROFS: "the file system is read-only", errno.EACCES: "no permission", errno.EPERM: "no permission"}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into one ``StoreError`` sentence that names ``path``."""
    try:
        yield
    except OSError as error:
        reason = explain(error) or (error.strerror or str(error)).lower()
        raise StoreError(f"{path}: cannot be written, {reason}") from error


def explain(error: OSError) -> str | None:
    """Why nothing can be written any more, or ``None`` when the error is of another kind."""
    return _FULL.get(error.errno or 0) or _DENIED.get(error.errno or 0)


def write_atomically(path: Path, data: str | bytes, *, durable: bool = True) -> None:
    """Write a whole file as ``replacing`` does; text becomes UTF-8."""
    with replacing(path, durable=durable) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path`` that takes its place when the context ends without an error.

    Temporary files that killed processes left of ``path`` go away. The folder is created where it is missing.

    Args:
        path: The file that is written or replaced.
        durable: Whether the content must survive a power failure. What is worthless after one need not wait for the
            disk.

    Raises:
        StoreError: The disk is full or read-only; ``path`` is as it was, and no part of the new content remains.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        try:
            with temporary.open("xb") as file:
                with suppress(OSError):  # a file system without locks: then nothing counts as left over there
                    fcntl.flock(file, fcntl.LOCK_EX)
                yield file
                file.flush()
                if durable:
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
