"""Archives that hold what no published one does: one sentence with the archive's name, and nothing left behind."""

from __future__ import annotations

import bz2
import io
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.contract import DataError
from harness.data.prepare.archives import Archive, archive_steps, fetch, unpack
from harness.data.prepare.steps import run_steps

ZIP = Archive("x.zip", "the page", "top/in", "out/made", keep=("",))
TAR = Archive("x.tar", "the page", "top/in", "out/made", keep=("",))


def silent(done: int, total: int) -> None: ...


def zipped(path: Path, *files: tuple[str, bytes], **fields: int) -> None:
    """Write a .zip; ``fields`` change the entry of the last file."""
    with zipfile.ZipFile(path, "w") as packed:
        for number, (name, content) in enumerate(files, start=1):
            info = zipfile.ZipInfo(name)
            if number == len(files) and "external_attr" in fields:
                info.external_attr = fields["external_attr"]
            packed.writestr(info, content)


def tarred(path: Path, *files: tuple[str, bytes], **fields: object) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape") as packed:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            if name.endswith("/"):
                entry.type = tarfile.DIRTYPE
            packed.addfile(entry, io.BytesIO(content))
        if fields:
            entry = tarfile.TarInfo("top/in/last")
            for field, value in fields.items():
                setattr(entry, field, value)
            packed.addfile(entry)


GOOD = ("top/in/good", b"g")


def encrypted(path: Path) -> None:
    zipped(path, GOOD)
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    path.write_bytes(content)


def huge(path: Path) -> None:
    """A bomb: its directory declares 100 TB."""
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(*GOOD)
        info = zipfile.ZipInfo("top/in/huge")
        packed.writestr(info, b"h")
        info.file_size = 10**14


def other_bytes(path: Path) -> None:
    """A name in an old code page."""
    zipped(path, GOOD, ("top/in/caf_", b"c"))
    path.write_bytes(path.read_bytes().replace(b"caf_", b"caf\xe9"))


def broken_utf8(path: Path) -> None:
    """A name that claims to be UTF-8 and is not."""
    zipped(path, GOOD, ("top/in/café", b"c"))
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xe9\xe9"))


def broken_stream(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as packed:
        packed.writestr("top/in/a", os.urandom(2000))
    path.write_bytes(path.read_bytes().replace(bz2.compress(b"")[:3], b"BZx", 1))


def unknown_packing(path: Path) -> None:
    zipped(path, GOOD)
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        struct.pack_into("<H", content, content.index(mark) + offset, 97)
    path.write_bytes(content)


def lying_offset(path: Path) -> None:
    """Its directory is said to lie far behind, so its members before the begin of the file."""
    zipped(path, GOOD)
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, len(content) - 6, 10**9)
    path.write_bytes(content)


def negative_size(path: Path) -> None:
    """Its next header is itself, for ever."""
    tarred(path, GOOD)
    content = bytearray(path.read_bytes())
    content[124:136] = b"\xff" * 10 + struct.pack(">h", -512)
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    path.write_bytes(content)


LINK = (0o120777) << 16
PIPE = (0o010644) << 16
FAULTS: dict[str, tuple[Archive, Callable[[Path], None], str]] = {
    "encrypted": (ZIP, encrypted, "holds top/in/good, an encrypted file, where only files and folders"),
    "broken stream": (ZIP, broken_stream, r"damaged \("),
    "unknown packing": (ZIP, unknown_packing, r"damaged \(.*compression"),
    "lying offset": (ZIP, lying_offset, r"damaged \(.*nvalid argument|damaged \(.*seek"),
    "bomb": (ZIP, huge, r"cannot be unpacked, no room for top/in/huge of 100,000,000,000,000 bytes"),
    "bomb in a tar": (
        TAR,
        lambda p: tarred(p, GOOD, size=10**14),
        r"cannot be unpacked, no room for top/in/last of 100,",
    ),
    "negative size": (TAR, negative_size, "holds top/in/good, whose header is damaged"),
    "way up": (ZIP, lambda p: zipped(p, GOOD, ("top/in/../../../evil", b"e")), "evil, which leads out of the folder"),
    "way up in a tar": (TAR, lambda p: tarred(p, GOOD, ("top/in/../../../evil", b"e")), "evil, which leads out of the"),
    "absolute": (TAR, lambda p: tarred(p, GOOD, ("/top/in/evil", b"e")), "holds /top/in/evil, which leads out of the"),
    "absolute in a zip": (ZIP, lambda p: zipped(p, GOOD, ("/top/in/evil", b"e")), "evil, which leads out of the fold"),
    "link": (TAR, lambda p: tarred(p, GOOD, type=tarfile.SYMTYPE, linkname="/etc/hostname"), "last, a link, where"),
    "hard link": (TAR, lambda p: tarred(p, GOOD, type=tarfile.LNKTYPE, linkname="../x"), "last, a link, where only"),
    "link in a zip": (
        ZIP,
        lambda p: zipped(p, GOOD, ("top/in/l", b"/etc"), external_attr=LINK),
        "top/in/l, a link, wh",
    ),
    "pipe": (TAR, lambda p: tarred(p, GOOD, type=tarfile.FIFOTYPE), "top/in/last, a special file, where only"),
    "pipe in a zip": (
        ZIP,
        lambda p: zipped(p, GOOD, ("top/in/p", b""), external_attr=PIPE),
        "p, a special file, where",
    ),
    "device": (TAR, lambda p: tarred(p, GOOD, type=tarfile.CHRTYPE), "top/in/last, a special file, where only"),
    "twice": (TAR, lambda p: tarred(p, GOOD, GOOD), "holds top/in/good twice"),
    "two spellings": (ZIP, lambda p: zipped(p, GOOD, ("top/in/./good", b"h")), "holds top/in/./good twice"),
    "file, then folder": (TAR, lambda p: tarred(p, GOOD, ("top/in/good/", b"")), "under the name of a file and of a f"),
    "folder, then file": (TAR, lambda p: tarred(p, ("top/in/good/x", b"x"), GOOD), "under the name of a file and of a"),
    "file, then below it": (ZIP, lambda p: zipped(p, GOOD, ("top/in/good/x", b"x")), "under the name of a file and of"),
    "file for the whole": (
        TAR,
        lambda p: tarred(p, ("top/in", b"x")),
        "holds top/in under the name of a file and of a f",
    ),
    "no UTF-8": (
        TAR,
        lambda p: tarred(p, GOOD, ("top/in/\udcff", b"x")),
        r"holds top/in/\\xff, whose name is not UTF-8",
    ),
    "old code page": (ZIP, other_bytes, r"holds top/in/caf\\xe9, whose name is not UTF-8"),
    "broken UTF-8": (ZIP, broken_utf8, r"damaged \("),
    "long name": (ZIP, lambda p: zipped(p, GOOD, ("top/in/" + "n" * 300, b"x")), "nnn..., whose header is damaged"),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_archive_is_one_sentence_and_leaves_nothing(tmp_path: Path, fault: str) -> None:
    archive, make, sentence = FAULTS[fault]
    make(tmp_path / archive.name)
    outcomes = list(run_steps(archive_steps(archive, tmp_path, download=False), tmp_path / ".lock"))
    assert [outcome.state for outcome in outcomes] == ["done now", "failed"]
    with pytest.raises(DataError, match=sentence) as caught:
        unpack(archive, tmp_path, tick=silent)
    assert str(caught.value) == outcomes[-1].text
    assert str(caught.value).startswith(f"{tmp_path / archive.name}: ")
    assert "\n" not in str(caught.value)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} - {archive.name, ".lock", "out"}
    assert left <= ({"out/made.partial", "out/made.partial/good"} if "bomb" in fault else set())


def test_names_outside_the_wanted_folder_may_be_anything_that_stays_inside(tmp_path: Path) -> None:
    tarred(tmp_path / "x.tar", GOOD, ("top/in/Größe 猫", b"x"), ("other/\udcff", b""), name="l", type=tarfile.SYMTYPE)
    assert unpack(TAR, tmp_path, tick=silent) == "2 files"
    assert {path.name for path in (tmp_path / "out/made").iterdir()} == {"good", "Größe 猫"}


def test_a_zip_is_judged_as_a_whole_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped(tmp_path / "x.zip", GOOD, ("top/in/p", b""), external_attr=PIPE)
    monkeypatch.setattr("shutil.copyfileobj", None)
    with pytest.raises(DataError, match="special file"):
        unpack(ZIP, tmp_path, tick=silent)


def test_without_room_what_was_unpacked_is_kept(tmp_path: Path) -> None:
    tarred(tmp_path / "x.tar", GOOD, size=10**14)
    with pytest.raises(DataError, match=rf"no room for .* \({tmp_path}/out\)$"):
        unpack(TAR, tmp_path, tick=silent)
    assert (tmp_path / "out/made.partial/good").read_bytes() == b"g"


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to a file that does not exist"])
def test_what_is_no_archive_is_one_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.zip"
    {"pipe": os.mkfifo, "folder": Path.mkdir}.get(kind, lambda p: p.symlink_to("nowhere"))(path)
    with pytest.raises(DataError, match=rf"x\.zip: is a {kind}.*; move it away"):
        fetch(ZIP, tmp_path, download=False, tick=silent)
    with pytest.raises(DataError, match=rf"x\.zip: is a {kind}"):
        unpack(ZIP, tmp_path, tick=silent)


def test_a_file_in_place_of_the_target_is_named_and_kept(tmp_path: Path) -> None:
    zipped(tmp_path / "x.zip", GOOD)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/made").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"out/made: is a file, a folder is needed; move it away"):
        unpack(ZIP, tmp_path, tick=silent)
    assert (tmp_path / "out/made").read_bytes() == b"mine"


@pytest.mark.timeout(60)
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["x.zip", "x.tar", "x.tgz"]), st.data())
def test_any_changed_bytes_are_unpacked_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("changed")
    files = [(f"top/in/{number}", bytes([number]) * 700) for number in range(4)]
    if name == "x.zip":
        zipped(root / name, *files)
    else:
        with tarfile.open(root / name, "w:gz" if name == "x.tgz" else "w") as packed:
            for member, content in files:
                entry = tarfile.TarInfo(member)
                entry.size = len(content)
                packed.addfile(entry, io.BytesIO(content))
    content = bytearray((root / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (root / name).write_bytes(content)
    outcomes = list(
        run_steps([archive_steps(Archive(name, "p", "top/in", "out/made"), root, download=False)[1]], root / ".l")
    )
    assert outcomes[0].state in ("done now", "failed")
    assert (outcomes[0].state == "failed") == outcomes[0].text.startswith(str(root / name))
    assert "\n" not in outcomes[0].text
    assert {path.name for path in root.iterdir()} <= {name, "out", ".l"}
