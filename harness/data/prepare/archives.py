"""Published archives: fetched once, verified, unpacked into a folder that appears when it is complete.

What to know:

* An archive is either already in the data folder (the user put it there) or downloaded. A download that stopped goes on
  from ``NAME.part``, where the server allows it.
* Files are unpacked below ``TARGET.partial``, which becomes ``TARGET`` at the end. A folder ``TARGET`` that exists is
  complete for that reason, or the user's own; it is never touched.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from harness.common.files import file_problem, open_file
from harness.contract import DataError
from harness.data.prepare.steps import MissingFile, Step, Tick
from harness.data.prepare.unpacking import unpack

__all__ = ["Archive", "archive_steps", "fetch", "unpack"]

_CHUNK = 1 << 20
_TIMEOUT = 60
"""Seconds without a byte after which a connection counts as broken."""
_RANGE_NOT_SATISFIABLE = 416


@dataclass(frozen=True)
class Archive:
    """One published file.

    Attributes:
        name: File name, as published; a .zip, .tar or .tgz.
        page: Where people get it.
        prefix: Folder inside the archive.
        target: What becomes of that folder, below the data folder.
        url: Where it can be downloaded without an account, ``None`` where it cannot.
        checksum: ``ALGORITHM:HEX``, ``None`` where none is published (members of a .zip carry checksums of their own).
        keep: Beginnings of paths below ``prefix`` that are unpacked.
    """

    name: str
    page: str
    prefix: str
    target: str
    url: str | None = None
    checksum: str | None = None
    keep: tuple[str, ...] = ("",)


def archive_steps(
    archive: Archive, root: Path, *, download: bool, not_needed: Callable[[], str | None] | None = None
) -> tuple[Step, Step]:
    """Fetch and unpack.

    Args:
        archive: What to fetch.
        root: Data folder.
        download: Whether it may be downloaded.
        not_needed: Says why neither is needed, where that is so.
    """
    target = root / archive.target

    def found() -> str | None:
        return "unpacked" if target.is_dir() else not_needed and not_needed()

    return (
        Step(archive.name, found, lambda tick: fetch(archive, root, download=download, tick=tick)),
        Step(archive.target, found, lambda tick: unpack(archive, root, tick=tick), after=(archive.name,)),
    )


def fetch(archive: Archive, root: Path, *, download: bool, tick: Tick) -> str:
    """Check that the archive lies in ``root`` and is the published one; download it where it is missing.

    Returns:
        What was done.

    Raises:
        MissingFile: It is not there and must not, or cannot, be downloaded.
        DataError: It is no file, or its checksum differs. A download is deleted then, a file that the user brought is
            not.
    """
    path = root / archive.name
    if os.path.lexists(path):
        if problem := file_problem(path):
            raise DataError(f"{path}: {problem}; move it away, or put {archive.name} from {archive.page} there")
        if problem := _checksum_problem(path, archive.checksum):
            raise DataError(f"{path}: {problem}; delete it and repeat, or get it again from {archive.page}")
        return "checksum verified" if archive.checksum else "there"
    by_hand = f"get {archive.name} from {archive.page} and put it into {root}"
    if archive.url is None or not download:
        raise MissingFile(f"{path}: no such file; {by_hand}")
    part = path.with_name(f"{archive.name}.part")
    try:
        _download(archive.url, part, tick)
    except (OSError, HTTPException) as error:
        raise MissingFile(
            f"{path}: {archive.url} cannot be downloaded ({error}); repeat the command to go on, or {by_hand}"
        ) from None
    if problem := _checksum_problem(part, archive.checksum):
        part.unlink()
        raise DataError(f"{path}: {problem} after downloading {archive.url}; repeat the command, or {by_hand}")
    part.rename(path)
    return "downloaded, checksum verified"


def _checksum_problem(path: Path, checksum: str | None) -> str | None:
    if checksum is None:
        return None
    algorithm, _, expected = checksum.partition(":")
    with open_file(path, error=DataError) as stream:
        actual = hashlib.file_digest(stream, partial(hashlib.new, algorithm, usedforsecurity=False)).hexdigest()
    return None if actual == expected else f"its {algorithm} is {actual}, the published file has {expected}"


def _download(url: str, part: Path, tick: Tick) -> None:
    """Fill ``part``, going on where it ends; a connection that breaks is made again as long as that brings bytes."""
    while True:
        before = _size(part)
        try:
            _receive(url, part, tick)
            return
        except HTTPError as error:
            if error.code == _RANGE_NOT_SATISFIABLE and before:  # nothing follows: all was there
                return
            raise
        except (OSError, HTTPException):
            if _size(part) <= before:
                raise


def _receive(url: str, part: Path, tick: Tick) -> None:
    start = _size(part)
    headers = {"User-Agent": "wsss-harness"} | ({"Range": f"bytes={start}-"} if start else {})
    with urlopen(Request(url, headers=headers), timeout=_TIMEOUT) as response:
        resumed = re.match(r"bytes (\d+)-", response.headers.get("Content-Range") or "")
        start = int(resumed[1]) if resumed else 0
        total = start + int(response.headers.get("Content-Length") or 0)
        with part.open("r+b" if resumed else "wb") as stream:
            stream.seek(start)
            while chunk := response.read(_CHUNK):
                stream.write(chunk)
                tick(stream.tell(), total)
    if total > start and _size(part) < total:
        raise OSError(f"the connection ended after {_size(part):,} of {total:,} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
