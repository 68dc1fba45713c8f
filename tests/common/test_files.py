from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.common.files import file_problem, file_sha256, folder_problem, open_file, read_bytes, read_text
from harness.contract import ConfigError, DataError


def _socket(path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.close()


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "no such file"),
    "folder": (Path.mkdir, "is a folder, a file is needed"),
    "pipe": (os.mkfifo, "is a pipe, a file is needed"),
    "socket": (_socket, "a socket"),
    "dangling link": (lambda path: path.symlink_to("nowhere"), "is a link to a file that does not exist"),
    "circular link": (lambda path: path.symlink_to(path.name), "is a link that leads back to itself"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is a device, a file is needed"),
}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("read", [read_bytes, read_text, file_sha256], ids=lambda read: read.__name__)
def test_what_is_no_file_is_one_sentence(
    kind: str, read: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket may have 107 bytes
    make, sentence = ODD[kind]
    path = Path("odd")
    make(path)
    with pytest.raises(DataError) as caught:
        read(path, error=DataError)
    assert str(caught.value).startswith("odd: ")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sentence in (file_problem(path) or "")


@pytest.mark.parametrize("name", ["a\x00b", "x" * 300, "folder/" * 2000 + "x"], ids=["NUL", "long name", "long path"])
def test_a_name_that_no_file_can_have_is_no_such_file(name: str) -> None:
    with pytest.raises(ConfigError, match="no such file") as caught:
        read_bytes(name)
    assert "\x00" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (".", None),
        ("none", "no such folder"),
        ("file", "is no folder"),
        ("a\x00b", "no such folder"),
        ("x" * 300, "folder"),
    ],
)
def test_what_is_no_folder_is_told(name: str, problem: str | None, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    found = folder_problem(tmp_path / name)
    assert found is None if problem is None else problem in str(found)


def test_a_file_is_read_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbftext")
    (tmp_path / "link").symlink_to("file")
    assert read_text(tmp_path / "link") == "text"
    assert file_problem(tmp_path / "link") is None


def test_text_that_is_not_utf8_and_files_that_are_too_long_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"abc\xff")
    with pytest.raises(ConfigError, match=r"is not UTF-8 text \(byte 3\)"):
        read_text(file)
    with pytest.raises(ConfigError, match="has 4 bytes, at most 3 are read"):
        read_bytes(file, limit=3)


def test_an_error_of_another_file_keeps_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileNotFoundError), open_file(tmp_path / "file"):
        (tmp_path / "other").open()
