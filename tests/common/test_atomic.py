"""Files are written whole or not at all, and a kill leaves nothing for good."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

import pytest

from harness.common import atomic
from harness.common.atomic import replacing, write_atomically
from harness.contract import StoreError


def temporary(folder: Path, name: str, *, age: float) -> Path:
    path = folder / f".{name}.0123abcd"
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age,) * 2)
    return path


def begin_and_fail(path: Path, error: BaseException) -> None:
    with replacing(path) as file:
        file.write(b"ne")
        raise error


def test_what_a_killed_process_left_of_a_file_goes_with_the_next_write(tmp_path: Path) -> None:
    left, other = temporary(tmp_path, "a.json", age=60), temporary(tmp_path, "b.json", age=60)
    write_atomically(tmp_path / "a.json", "whole")
    assert (tmp_path / "a.json").read_text() == "whole"
    assert not left.exists()
    assert other.exists()


def test_what_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    held = temporary(tmp_path, "a.json", age=60)
    with held.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_atomically(tmp_path / "a.json", "mine")
        assert held.exists()
    fresh = temporary(tmp_path, "c.json", age=0)
    write_atomically(tmp_path / "c.json", "mine")
    assert fresh.exists()


def test_an_error_while_writing_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_atomically(path, "old")
    with pytest.raises(StoreError, match=r"a\.json: cannot be written, the disk is full"):
        begin_and_fail(path, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(KeyboardInterrupt):
        begin_and_fail(path, KeyboardInterrupt())
    assert [left.name for left in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text() == "old"


def test_a_file_system_without_locks_is_written_and_nothing_on_it_counts_as_left_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(atomic.fcntl, "flock", refuse)
    other = temporary(tmp_path, "a.json", age=60)
    write_atomically(tmp_path / "a.json", "mine")
    assert (tmp_path / "a.json").read_text() == "mine"
    assert other.exists()
