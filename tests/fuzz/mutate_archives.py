"""Mutations of archives: members that leave the folder, links, encryption, bombs, names, false sizes."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.fuzz.mutate_trees import TEXTS

Member = tuple[str, bytes]
TYPES = (
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.FIFOTYPE,
    tarfile.DIRTYPE,
    b"Z",
    b"S",
)


def _members(path: Path) -> list[Member]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as packed:
            return [(name, packed.read(name)) for name in packed.namelist()]
    with tarfile.open(path) as packed_tar:
        found = [(entry.name, packed_tar.extractfile(entry)) for entry in packed_tar]
        return [(name, file.read()) for name, file in found if file is not None]


def _write(path: Path, members: list[Member], odd: int | None = None, **fields: object) -> None:
    """Write an archive of the suffix's kind; ``fields`` change the entry of member ``odd``."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for number, (name, content) in enumerate(members):
                info = zipfile.ZipInfo("x")
                info.filename = name
                info.compress_type = zipfile.ZIP_DEFLATED
                if number == odd and "mode" in fields:
                    info.external_attr = int(str(fields["mode"])) << 16
                packed.writestr(info, content)
        return
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as packed_tar:
        for number, (name, content) in enumerate(members):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            if number == odd:
                for field, value in fields.items():
                    setattr(entry, field, value)
            packed_tar.addfile(entry, io.BytesIO(content))


def _name(name: str, rng: Random) -> str:
    folder, _, last = name.rpartition("/")
    text = rng.choice(TEXTS).replace("\ud800", "x")[:60_000]
    return rng.choice((
        f"../{name}", f"/{name}", f"{folder}/../../../../{last}", f"{folder}/{text}", text, f"{folder}/", f"{name}/",
        f"{name}/{last}", f"{folder}//{last}", f"{folder}/./{last}", f"{folder}\\{last}", name.upper(), f"C:{name}",
        folder, f"{folder}/{'d/' * 300}{last}", f"{folder}/{last}\0", f"{folder}/{last} ", f"{folder}/{last}.",
    ))  # fmt: skip


def names(path: Path, rng: Random) -> None:
    """A member of another name: out of the folder, absolute, too long, a folder of a file's name."""
    members = _members(path)
    at = rng.randrange(len(members))
    renamed = (_name(members[at][0], rng), members[at][1])
    members[at : at + rng.choice((0, 1))] = [renamed]
    _write(path, [(name[:65_000] or "x", content) for name, content in members])


def types(path: Path, rng: Random) -> None:
    """A member that is a link, a device, a pipe or a folder."""
    members = _members(path)
    at = rng.randrange(len(members))
    target = rng.choice(("../../../../evil", "/etc/passwd", members[0][0], ".", "/dev/zero", ""))
    if path.suffix == ".zip":
        members[at] = (members[at][0], target.encode())
        _write(
            path, members, at, mode=rng.choice((0o120777, 0o060666, 0o020666, 0o010666, 0o040000, 0o104755, 0o140777))
        )
    else:
        members[at] = (members[at][0], b"")
        _write(path, members, at, type=rng.choice(TYPES), linkname=target)


def members(path: Path, rng: Random) -> None:
    """Members that are missing, there twice, empty, or too many."""
    found = _members(path)
    at = rng.randrange(len(found))
    way = rng.randrange(5)
    if way == 0:
        del found[at : at + rng.choice((1, 3, 100))]
    elif way == 1:
        found.append(found[at])
    elif way == 2:
        found[at] = (found[at][0], b"")
    elif way == 3:
        found += [(f"{found[at][0]}{number}", b"x") for number in range(3000)]
    else:
        found = [(f"top/{name}", content) for name, content in found]
    _write(path, found)


def contents(path: Path, rng: Random) -> None:
    """A member with other bytes in it."""
    found = _members(path)
    at = rng.randrange(len(found))
    data = bytearray(found[at][1] or b"x")
    for _ in range(rng.choice((1, 5, 50))):
        data[rng.randrange(len(data))] = rng.randrange(256)
    found[at] = (found[at][0], bytes(data[: rng.choice((len(data), len(data) // 2))]))
    _write(path, found)


def bomb(path: Path, rng: Random) -> None:
    """A member of 400 MiB of nothing, or an archive as a member."""
    found = _members(path)
    at = rng.randrange(len(found))
    _write(path, [*found, (f"{found[at][0]}.zip", path.read_bytes())] if rng.random() < 0.5 else found)
    if rng.random() < 0.5:
        found[at] = (found[at][0], bytes(400 << 20))
        _write(path, found)


def fields(path: Path, rng: Random) -> None:
    """A header that lies: encrypted, of an unknown method, of another size, with other offsets."""
    data = bytearray(path.read_bytes())
    if path.suffix == ".zip":
        mark, offset = rng.choice(((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)))
        starts = [at for at in range(len(data) - 46) if data[at : at + 4] == mark]
        at = rng.choice(starts) + offset
        change, value = rng.choice(
            ((6, 1), (6, 0x41), (8, 99), (8, 12), (8, 14), (14, 0), (18, 2**31), (22, 2**31), (22, 0))
        )
        data[at + change : at + change + 2] = struct.pack("<H", value & 0xFFFF)
        if value >= 2**16:
            data[at + change : at + change + 4] = struct.pack("<I", value)
        if rng.random() < 0.2:
            data[-6:-2] = struct.pack("<I", rng.randrange(2**32))
    else:
        at = 512 * rng.randrange(max(1, len(data) // 512 - 2))
        data[at : at + 200] = rng.randbytes(200)
    path.write_bytes(data)


ARCHIVES: dict[str, Callable[[Path, Random], None]] = {
    "names of members": names,
    "types of members": types,
    "members": members,
    "contents": contents,
    "a bomb": bomb,
    "header fields": fields,
}
