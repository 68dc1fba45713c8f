"""Unpacks a published archive. Whatever it holds, nothing is written but files below its target.

What to know:

* Published archives hold files and folders. A link, a device, a name that leads elsewhere or stands for two things is
  no accident of packing: such an archive is refused as a whole, and what it left is removed.
* A .zip lists its content at its end, so all of it is judged before the first byte is written. A .tar is judged member
  by member, because reading it twice takes as long as unpacking it.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from errno import EINVAL, ENOSPC
from functools import partial
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, NamedTuple

from harness.common.files import file_problem, open_file
from harness.common.text import printable
from harness.contract import DataError

if TYPE_CHECKING:
    from harness.data.prepare.archives import Archive
    from harness.data.prepare.steps import Tick

_CHUNK = 1 << 20
_LONGEST_NAME = 255
_ENCRYPTED, _UTF8 = 0x1, 0x800


class _Member(NamedTuple):
    """One entry of an archive.

    Attributes:
        name: Its path, as stored.
        kind: ``file``, ``folder``, or what it is instead.
        size: Bytes once unpacked, by its header.
        open: Opens it for reading.
    """

    name: str
    kind: str
    size: int
    open: Callable[[], IO[bytes] | None]


class _RefusedError(Exception):
    """What an archive must not hold, as the rest of a sentence."""


_DAMAGED = (
    _RefusedError, tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError, struct.error, EOFError, OSError,
    RuntimeError, ValueError, OverflowError,
)  # fmt: skip
"""What the libraries raise; NotImplementedError, of a packing that they do not know, is a RuntimeError."""

_OF_CONTENT = (None, EINVAL)
"""Numbers of an OSError that is about the archive: none, or that of a jump to before its beginning."""


def unpack(archive: Archive, root: Path, *, tick: Tick) -> str:
    """Unpack the archive in ``root`` into its target, skipping what an interrupted run had unpacked.

    Returns:
        What was done.

    Raises:
        DataError: It is damaged or encrypted, holds what it must not or nothing of what it should, or needs more room
            than there is. Nothing is left behind then, unless only room was lacking.
    """
    path, target = root / archive.name, root / archive.target
    if os.path.lexists(target):
        raise DataError(f"{target}: {file_problem(target) or 'is a file, a folder is needed'}; move it away")
    begun = target.with_name(f"{target.name}.partial")
    with open_file(path, error=DataError) as stream:
        try:
            count = _unpack(archive, stream, begun, tick)
        except _DAMAGED as error:
            if isinstance(error, OSError) and error.errno not in _OF_CONTENT:  # no room, no right to write
                reason = str(error.strerror)
                where = printable(error.filename or target)
                raise DataError(f"{path}: cannot be unpacked, {reason[:1].lower()}{reason[1:]} ({where})") from None
            shutil.rmtree(begun, ignore_errors=True)
            what = str(error) if isinstance(error, _RefusedError) else f"damaged ({printable(error)})"
            raise DataError(f"{path}: {what}; delete it and get it again from {archive.page}") from None
        finally:
            with suppress(OSError):
                _scratch(begun).unlink()
    if not count:
        raise DataError(f"{path}: holds no file below {archive.prefix}; get it again from {archive.page}")
    begun.rename(target)
    return f"{count:,} files"


def _scratch(begun: Path) -> Path:
    """Where a member lies until it is complete."""
    return begun.with_name(f"{begun.name}.member")


def _unpack(archive: Archive, stream: IO[bytes], begun: Path, tick: Tick) -> int:
    zipped = archive.name.endswith(".zip")
    total = os.fstat(stream.fileno()).st_size
    wanted: Iterable[tuple[_Member, Path]] = _wanted(archive, (_zipped if zipped else _tarred)(stream), begun)
    count = 0
    for member, place in list(wanted) if zipped else wanted:
        if not _is_there(place, member.size):
            place.parent.mkdir(parents=True, exist_ok=True)
            source = member.open()
            assert source is not None, "a regular file has content"
            with source, _scratch(begun).open("wb") as out:
                shutil.copyfileobj(source, out, _CHUNK)
            _scratch(begun).replace(place)
        count += 1
        tick(stream.tell(), total)
    return count


def _wanted(archive: Archive, members: Iterable[_Member], begun: Path) -> Iterator[tuple[_Member, Path]]:
    """Files below the prefix that are kept, with where they go.

    Raises:
        _RefusedError: A member is no plain file or folder, leads elsewhere, or stands for two things.
        OSError: There is not enough room.
    """
    room = shutil.disk_usage(next(folder for folder in (begun, *begun.parents) if folder.is_dir())).free
    files: set[str] = set()
    folders = {"."}
    for member in members:
        place = _place(archive, member)
        if place is None:
            continue
        above = {str(folder) for folder in place.parents}
        if member.kind == "folder":
            above.add(str(place))
        elif str(place) in files:
            raise _RefusedError(f"holds {_shown(member)} twice")
        else:
            files.add(str(place))
        folders |= above
        if above & files or (member.kind == "file" and str(place) in folders):
            raise _RefusedError(f"holds {_shown(member)} under the name of a file and of a folder")
        if member.kind == "folder":
            continue
        room -= 0 if _is_there(begun / place, member.size) else member.size
        if room < 0:
            raise OSError(ENOSPC, f"no room for {_shown(member)} of {member.size:,} bytes", str(begun.parent))
        yield member, begun / place


def _place(archive: Archive, member: _Member) -> PurePosixPath | None:
    """Path of a member below the target, ``None`` for members that are not wanted."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise _RefusedError(f"holds {_shown(member)}, which leads out of the folder")
    if not path.is_relative_to(archive.prefix):
        return None
    place = path.relative_to(archive.prefix)
    if not (str(place) + "/" * (member.kind == "folder")).startswith(archive.keep):
        return None
    if member.kind not in ("file", "folder"):
        raise _RefusedError(f"holds {_shown(member)}, {member.kind}, where only files and folders are expected")
    try:
        longest = max(len(part.encode()) for part in path.parts)
    except UnicodeEncodeError:
        raise _RefusedError(f"holds {_shown(member)}, whose name is not UTF-8") from None
    if longest > _LONGEST_NAME or "\0" in member.name or member.size < 0:
        raise _RefusedError(f"holds {_shown(member)}, whose header is damaged")
    return place


def _shown(member: _Member) -> str:
    name = printable(member.name)
    return f"{name[:100]}..." if len(name) > 100 else name


def _zipped(stream: IO[bytes]) -> Iterator[_Member]:
    packed = zipfile.ZipFile(stream)
    for info in packed.infolist():
        mode = info.external_attr >> 16
        kind = "folder" if info.is_dir() else "file"
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            kind = "a link" if stat.S_ISLNK(mode) else "a special file"
        if info.flag_bits & _ENCRYPTED:
            kind = "an encrypted file"
        name = info.filename
        if not info.flag_bits & _UTF8:
            # zipfile takes bytes that are not marked as UTF-8 for letters of an old code page. What does not fit into
            # that comes from a field that holds the name in Unicode.
            with suppress(UnicodeEncodeError):
                name = name.encode("cp437").decode("utf-8", "surrogateescape")
        yield _Member(name, kind, info.file_size, partial(packed.open, info))


def _tarred(stream: IO[bytes]) -> Iterator[_Member]:
    with tarfile.open(fileobj=stream) as tar:
        for entry in tar:
            kind = "file" if entry.isreg() and not entry.issparse() else "a special file"
            if entry.issym() or entry.islnk():
                kind = "a link"
            elif entry.isdir():
                kind = "folder"
            yield _Member(entry.name, kind, entry.size, partial(tar.extractfile, entry))
        assert tar.fileobj is not None, "it was opened for reading"
        tar.fileobj.seek(tar.offset)
        if tar.fileobj.read(tarfile.BLOCKSIZE).count(0) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError("no block of zeros ends it")  # tarfile takes a cut between members for the end


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
