"""Archives: downloads go on where they stopped and are verified, unpacking too; what is missing is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.contract import DataError
from harness.data.prepare.archives import Archive, archive_steps, fetch, unpack
from harness.data.prepare.steps import MissingFile, run_steps
from tests.data import published

CONTENT = bytes(range(256)) * 400
ARCHIVE = Archive(
    "x.zip", "the page", "top/in", "out/made", checksum=f"md5:{hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()}"
)
FILES = {"README": b"r", "top/in/a.txt": b"a" * 5000, "top/in/deep/b.txt": b"b", "top/other/c.txt": b"c"}


def silent(done: int, total: int) -> None: ...


class Server(ThreadingHTTPServer):
    """Serves ``CONTENT``; ``ranges`` whether it can go on; the first ``breaks`` times it ends after ``most`` bytes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges, self.most, self.breaks = True, len(CONTENT), 0
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/x.zip"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.asked.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        most = self.server.most if self.server.breaks > 0 else len(CONTENT)
        self.server.breaks -= 1
        self.wfile.write(CONTENT[start : start + most])

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as served:
        thread = Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        served.shutdown()
        thread.join()


def get(archive: Archive, root: Path, **changes: Any) -> str:
    return fetch(archive, root, **({"download": True, "tick": silent} | changes))


def test_a_download_is_verified_and_appears_when_it_is_complete(server: Server, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    tick = lambda done, total: told.append((done, total))  # noqa: E731
    assert get(replace(ARCHIVE, url=server.url), tmp_path, tick=tick) == "downloaded, checksum verified"
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]
    assert (tmp_path / "x.zip").read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_a_connection_that_breaks_is_made_again_from_there(server: Server, tmp_path: Path) -> None:
    server.most, server.breaks = 40_000, 2
    get(replace(ARCHIVE, url=server.url), tmp_path)
    assert server.asked == [None, "bytes=40000-", "bytes=80000-"]
    assert (tmp_path / "x.zip").read_bytes() == CONTENT


def test_a_later_run_goes_on_where_a_killed_one_stopped(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.zip.part").write_bytes(CONTENT[:70_000])
    get(replace(ARCHIVE, url=server.url), tmp_path)
    assert server.asked == ["bytes=70000-"]
    assert (tmp_path / "x.zip").read_bytes() == CONTENT


def test_a_server_that_cannot_go_on_begins_again(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / "x.zip.part").write_bytes(b"z" * (len(CONTENT) + 9))
    get(replace(ARCHIVE, url=server.url), tmp_path)
    assert (tmp_path / "x.zip").read_bytes() == CONTENT


def test_a_part_that_was_complete_only_gets_its_name(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.zip.part").write_bytes(CONTENT)
    get(replace(ARCHIVE, url=server.url), tmp_path)
    assert (tmp_path / "x.zip").read_bytes() == CONTENT


def test_a_download_with_another_checksum_is_deleted(server: Server, tmp_path: Path) -> None:
    wrong = replace(ARCHIVE, url=server.url, checksum=f"sha256:{'0' * 64}")
    with pytest.raises(DataError, match=r"its sha256 is [0-9a-f]{64}, the published file has 0{64} after downloading"):
        get(wrong, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_brings_nothing_is_given_up_with_what_to_do(server: Server, tmp_path: Path) -> None:
    server.most, server.breaks = 0, 99
    with pytest.raises(MissingFile, match=r"cannot be downloaded \(the connection ended after 0 of 102,400 bytes\)"):
        get(replace(ARCHIVE, url=server.url), tmp_path)
    gone = (tmp_path / "nowhere" / "x.zip").as_uri()
    with pytest.raises(MissingFile, match=rf"or get x\.zip from the page and put it into {tmp_path}"):
        get(replace(ARCHIVE, url=gone), tmp_path)


def test_a_file_that_the_user_brought_is_verified_and_kept(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(CONTENT)
    assert get(ARCHIVE, tmp_path) == "checksum verified"
    (tmp_path / "x.zip").write_bytes(CONTENT[:-1])
    with pytest.raises(DataError, match=r"x\.zip: its md5 is .* delete it and repeat, or get it again from the page"):
        get(ARCHIVE, tmp_path)
    assert (tmp_path / "x.zip").exists()


def test_nothing_is_downloaded_unasked(server: Server, tmp_path: Path) -> None:
    with pytest.raises(
        MissingFile, match=rf"x\.zip: no such file; get x\.zip from the page and put it into {tmp_path}"
    ):
        get(replace(ARCHIVE, url=server.url), tmp_path, download=False)
    with pytest.raises(MissingFile, match="no such file"):
        get(ARCHIVE, tmp_path)
    assert server.asked == []


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tgz"])
def test_the_wanted_folder_is_unpacked_under_its_new_name(tmp_path: Path, name: str) -> None:
    archive = published.pack(replace(ARCHIVE, name=name), FILES, tmp_path)
    assert unpack(archive, tmp_path, tick=silent) == "2 files"
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert made == {name, "out/made/a.txt", "out/made/deep/b.txt"}
    assert (tmp_path / "out/made/a.txt").read_bytes() == FILES["top/in/a.txt"]


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tgz"])
def test_unpacking_goes_on_where_it_was_killed(tmp_path: Path, name: str) -> None:
    archive = published.pack(replace(ARCHIVE, name=name), FILES, tmp_path)

    def interrupt(done: int, total: int) -> None:
        if (tmp_path / "out/made.partial/a.txt").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path, tick=interrupt)
    assert not (tmp_path / "out/made").exists()
    kept = (tmp_path / "out/made.partial/a.txt").stat().st_mtime_ns
    unpack(archive, tmp_path, tick=silent)
    assert (tmp_path / "out/made/a.txt").stat().st_mtime_ns == kept
    assert not (tmp_path / "out/made.partial").exists()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["x.zip", "x.tar", "x.tgz"]), st.floats(0, 1, exclude_max=True))
def test_an_archive_that_is_cut_anywhere_is_named_and_gives_no_folder(
    tmp_path_factory: pytest.TempPathFactory, name: str, kept: float
) -> None:
    root = tmp_path_factory.mktemp("cut")
    archive = published.pack(replace(ARCHIVE, name=name), {f"top/in/{k}": bytes(1500) for k in range(9)}, root)
    whole = (root / name).read_bytes()
    content = {"x.zip": len(whole), "x.tar": 9 * 2048, "x.tgz": len(whole) - 16}[name]  # what follows is padding
    (root / name).write_bytes(whole[: int(kept * content)])
    with pytest.raises(DataError, match=rf"{name}: (damaged|holds no file)"):
        unpack(archive, root, tick=silent)
    assert not (root / "out/made").exists()


def test_a_changed_byte_in_a_zip_is_found(tmp_path: Path) -> None:
    archive = published.pack(ARCHIVE, {"top/in/a.txt": published.picture("PNG")}, tmp_path)
    content = bytearray((tmp_path / "x.zip").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.zip: damaged .* get it again from the page"):
        unpack(archive, tmp_path, tick=silent)


def test_a_folder_that_is_there_needs_no_archive(tmp_path: Path) -> None:
    (tmp_path / "out/made").mkdir(parents=True)
    outcomes = run_steps(archive_steps(ARCHIVE, tmp_path, download=False), tmp_path / ".lock")
    assert [(outcome.state, outcome.text) for outcome in outcomes] == [("done before", "unpacked")] * 2
