"""Opening a file that somebody named: a regular file is read, anything else is one sentence.

Unusual here: files are opened without blocking and judged by their open handle. A pipe in place of a file would
otherwise hang for ever, and a check before opening could be out of date when the file is opened.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.common.text import parse_json, printable
from harness.contract.errors import ConfigError, WsssError

_KINDS = (
    (stat.S_ISDIR, "is a folder, a file is needed"),
    (stat.S_ISFIFO, "is a pipe, a file is needed"),
    (stat.S_ISSOCK, "is a socket, a file is needed"),
    (stat.S_ISCHR, "is a device, a file is needed"),
    (stat.S_ISBLK, "is a device, a file is needed"),
)
_REASONS = {
    errno.ENOENT: "no such file",
    errno.ENOTDIR: "no such file",
    errno.ELOOP: "is a link that leads back to itself",
    errno.ENAMETOOLONG: "no such file, the name is too long",
    errno.EISDIR: "is a folder, a file is needed",
    errno.ENXIO: "is a pipe or a socket, a file is needed",
    errno.EACCES: "cannot be read, permission denied",
    errno.EPERM: "cannot be read, permission denied",
}


def file_problem(path: Path | str) -> str | None:
    """Why ``path`` names no readable regular file, as the rest of a sentence, or ``None``; opens nothing."""
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError) as error:
        return reason(path, error)
    return next((text for is_kind, text in _KINDS if is_kind(mode)), None)


def folder_problem(path: Path | str) -> str | None:
    """Why ``path`` names no folder, as the rest of a sentence, or ``None``."""
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError) as error:
        return reason(path, error).replace("no such file", "no such folder")
    return None if stat.S_ISDIR(mode) else "is no folder"


def reason(path: Path | str, error: OSError | ValueError) -> str:
    """What the operating system's refusal to open ``path`` means, as the rest of a sentence.

    A ``ValueError`` is what Python raises for a path that holds a NUL byte.
    """
    if isinstance(error, UnicodeError):
        return "no such file, the path is no valid Unicode"
    if not isinstance(error, OSError):
        return "no such file, a path cannot hold a NUL byte"
    if error.errno == errno.ENOENT and Path(path).is_symlink():
        return "is a link to a file that does not exist"
    return _REASONS.get(error.errno or 0) or f"cannot be read, {(error.strerror or str(error)).lower()}"


def file_stem(name: str) -> str:
    """A file name that ``name`` can be told by: it cannot leave its folder, hide, or be too long for a file system."""
    return re.sub(r"[^\w+.-]", "_", name, flags=re.ASCII).lstrip(".")[:120] or "_"


@contextmanager
def open_file(path: Path | str, *, error: type[WsssError] = ConfigError) -> Iterator[io.BufferedReader[Any]]:
    """Open a regular file for reading bytes.

    Args:
        path: The file; links are followed.
        error: What to raise; the caller's kind of file decides.

    Raises:
        WsssError: ``error`` with ``PATH: reason``, when the file is missing, unreadable or not a regular file. An
            ``OSError`` while reading inside the context becomes one too.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as refused:
        raise error(f"{printable(path)}: {reason(path, refused)}") from None
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        text = next((text for is_kind, text in _KINDS if is_kind(mode)), "is not a regular file")
        raise error(f"{printable(path)}: {text}")
    with io.FileIO(handle, "rb") as raw, io.BufferedReader(raw) as file:
        try:
            yield file
        except OSError as broken:
            if broken.filename is not None:  # of another file, opened inside the context
                raise
            raise error(f"{printable(path)}: cannot be read, {(broken.strerror or str(broken)).lower()}") from broken


def read_bytes(path: Path | str, *, error: type[WsssError] = ConfigError, limit: int | None = None) -> bytes:
    """The content of a regular file.

    Args:
        path: The file.
        error: What to raise.
        limit: Bytes that such a file may have at most.

    Raises:
        WsssError: ``error`` with one sentence: no regular file, unreadable, or longer than ``limit``.
    """
    with open_file(path, error=error) as file:
        size = os.fstat(file.fileno()).st_size
        if limit is not None and size > limit:
            raise error(f"{printable(path)}: has {size:,} bytes, at most {limit:,} are read")
        return file.read()


def read_text(path: Path | str, *, error: type[WsssError] = ConfigError, limit: int | None = None) -> str:
    """The content of a regular UTF-8 text file; a byte order mark is dropped.

    Raises:
        WsssError: ``error`` with one sentence: as ``read_bytes``, or the file is not UTF-8.
    """
    data = read_bytes(path, error=error, limit=limit)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise error(f"{printable(path)}: is not UTF-8 text (byte {wrong.start})") from None


def read_json(path: Path | str, *, error: type[WsssError] = ConfigError) -> Any:
    """The value in a JSON file.

    Raises:
        WsssError: ``error`` with one sentence: as ``read_bytes``, or the file is no valid JSON.
    """
    return parse_json(read_bytes(path, error=error), where=printable(path), error=error)


def file_sha256(path: Path | str, *, error: type[WsssError] = ConfigError) -> str:
    """SHA-256 of a regular file's content, in hexadecimal.

    Raises:
        WsssError: ``error`` with one sentence, as ``open_file``.
    """
    with open_file(path, error=error) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
