"""Mutations of any file: of its bytes, and of what kind of file it is."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from random import Random

Mutation = Callable[[Path, Random], None]
"""Changes one file in place."""

HUGE = 300 << 20


def remove(path: Path) -> None:
    """Take a file, link or folder away."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _edit(change: Callable[[bytearray, Random], bytes | bytearray]) -> Mutation:
    def mutate(path: Path, rng: Random) -> None:
        path.write_bytes(change(bytearray(path.read_bytes() or b"\n"), rng))

    return mutate


def _flip(data: bytearray, rng: Random) -> bytearray:
    for _ in range(rng.choice((1, 1, 3, 20))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def _random(data: bytearray, rng: Random) -> bytearray:
    start = rng.randrange(len(data))
    length = min(rng.choice((1, 4, 64)), len(data) - start)
    data[start : start + length] = rng.randbytes(length)
    return data


def _cut(data: bytearray, rng: Random) -> bytearray:
    return data[: rng.randrange(len(data))]


def _drop(data: bytearray, rng: Random) -> bytearray:
    start = rng.randrange(len(data))
    del data[start : start + rng.choice((1, 2, 10, 200))]
    return data


def _repeat(data: bytearray, rng: Random) -> bytearray:
    start = rng.randrange(len(data))
    piece = data[start : start + rng.choice((1, 10, 100, 10_000))]
    return data[:start] + piece * rng.choice((1, 2, 50)) + data[start:]


def _nul(data: bytearray, rng: Random) -> bytearray:
    start = rng.randrange(len(data))
    return data[:start] + b"\0" * rng.choice((1, 8, 1000)) + data[start:]


def _huge(path: Path, rng: Random) -> None:
    if path.is_dir():
        remove(path)
    with path.open("ab") as file:
        file.truncate(HUGE)


def _replaced(make: Callable[[Path], None]) -> Mutation:
    def mutate(path: Path, rng: Random) -> None:
        remove(path)
        make(path)

    return mutate


def _folder(path: Path) -> None:
    (path / "inside").mkdir(parents=True)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = os.open(path.parent, os.O_RDONLY)  # a socket's whole path may have 107 bytes
        made.bind(f"/proc/self/fd/{here}/{path.name[:60]}")
        os.close(here)


def _unreadable(path: Path) -> None:
    path.touch(mode=0)


def _long(path: Path) -> None:
    path.write_bytes(b"x" * 5_000_000)


CONTENT: dict[str, Mutation] = {
    "flipped bits": _edit(_flip),
    "random bytes": _edit(_random),
    "cut short": _edit(_cut),
    "a piece dropped": _edit(_drop),
    "a piece repeated": _edit(_repeat),
    "NUL bytes": _edit(_nul),
    "twice": _edit(lambda data, rng: data + data),
    "backwards": _edit(lambda data, rng: data[::-1]),
    "empty": _edit(lambda data, rng: b""),
    "one byte": _edit(lambda data, rng: rng.randbytes(1)),
    "a prefix of another kind": _edit(lambda data, rng: rng.choice(_MAGIC) + data),
    "another kind": _edit(lambda data, rng: rng.choice(_MAGIC) + rng.randbytes(100)),
}

_MAGIC = (b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"\x1f\x8b\x08", b"\xff\xd8\xff\xe0", b"%PDF-1.4", b"\x93NUMPY\x01\x00",
          b"\xef\xbb\xbf", b"\xff\xfe", b"\0\0\xfe\xff", b"<?xml", b"II*\0", b"GIF89a", b"\x7fELF")  # fmt: skip

KIND: dict[str, Mutation] = {
    "no file": _replaced(lambda path: None),
    "a pipe": _replaced(os.mkfifo),
    "a folder": _replaced(_folder),
    "an endless device": _replaced(lambda path: path.symlink_to("/dev/zero")),
    "an empty device": _replaced(lambda path: path.symlink_to("/dev/null")),
    "a link to nothing": _replaced(lambda path: path.symlink_to("nowhere")),
    "a link to itself": _replaced(lambda path: path.symlink_to(path.name)),
    "a link to its folder": _replaced(lambda path: path.symlink_to(".")),
    "a link to kernel text": _replaced(lambda path: path.symlink_to("/proc/self/mem")),
    "a socket": _replaced(_socket),
    "no permission": _replaced(_unreadable),
    "one long line": _replaced(_long),
    "300 MiB of nothing": _huge,
}
