"""Published archives: fetched once, verified, unpacked into a folder that appears when it is complete.

What to know:

* An archive is either already in the data folder (the user put it there) or downloaded. A download that stopped goes on
  from ``NAME.part``, where the server allows it.
* Files are unpacked below ``TARGET.partial``, which becomes ``TARGET`` at the end. A folder ``TARGET`` that exists is
  complete for that reason, or the user's own; it is never touched.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from harness.contract import DataError
from harness.data.prepare.steps import MissingFile, Step, Tick

_CHUNK = 1 << 20
_TIMEOUT = 60
_RANGE_NOT_SATISFIABLE = 416
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError)


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
    """Hold that the archive lies in ``root`` and is the published one.

    Returns:
        What was done.

    Raises:
        MissingFile: It is not there and must not, or cannot, be downloaded.
        DataError: Its checksum differs. A download is deleted then, a file that the user brought is not.
    """
    path = root / archive.name
    if path.is_file():
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
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, partial(hashlib.new, algorithm, usedforsecurity=False)).hexdigest()
    return None if found == expected else f"its {algorithm} is {found}, the published file has {expected}"


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


class _Member(NamedTuple):
    name: str
    size: int
    open: Callable[[], IO[bytes] | None]


def unpack(archive: Archive, root: Path, *, tick: Tick) -> str:
    """Unpack the archive in ``root`` into its target, skipping what an interrupted run had unpacked.

    Returns:
        What was done.

    Raises:
        DataError: It is damaged, or holds nothing of what it should.
    """
    path, target = root / archive.name, root / archive.target
    partial_target = target.with_name(f"{target.name}.partial")
    count = 0
    with path.open("rb") as stream:
        total = path.stat().st_size
        try:
            for member in _members(path, stream):
                if place := _place(archive, member.name):
                    _write(member, partial_target / place)
                    count += 1
                tick(stream.tell(), total)
        except _DAMAGED as error:
            raise DataError(f"{path}: damaged ({error}); delete it and get it again from {archive.page}") from None
    if not count:
        raise DataError(f"{path}: holds no file below {archive.prefix}; get it again from {archive.page}")
    partial_target.rename(target)
    return f"{count:,} files"


def _members(path: Path, stream: IO[bytes]) -> Iterator[_Member]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(stream) as packed:
            for info in packed.infolist():
                if not info.is_dir():
                    yield _Member(info.filename, info.file_size, partial(packed.open, info))
    else:
        with tarfile.open(fileobj=stream) as tar:
            for entry in tar:
                if entry.isfile():
                    yield _Member(entry.name, entry.size, partial(tar.extractfile, entry))
            assert tar.fileobj is not None, "it was opened for reading"
            tar.fileobj.seek(tar.offset)
            if tar.fileobj.read(tarfile.BLOCKSIZE).count(0) < tarfile.BLOCKSIZE:
                raise tarfile.ReadError("no block of zeros ends it")  # tarfile takes a cut between members for the end


def _place(archive: Archive, name: str) -> str | None:
    """Path of a member below the target, ``None`` for members that are not wanted."""
    path = PurePosixPath(name)
    if ".." in path.parts or not path.is_relative_to(archive.prefix):
        return None
    place = str(path.relative_to(archive.prefix))
    return place if place.startswith(archive.keep) else None


def _write(member: _Member, path: Path) -> None:
    if path.is_file() and path.stat().st_size == member.size:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    source = member.open()
    assert source is not None, "a regular file has content"
    with source, part.open("wb") as out:
        shutil.copyfileobj(source, out, _CHUNK)
    part.replace(path)
