"""Files below a runs folder are written whole or not at all, and a kill leaves nothing for good."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from harness.engine.store.disk import write_atomically


def temporary(folder: Path, name: str, *, age: float) -> Path:
    path = folder / f".{name}.0123abcd"
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age,) * 2)
    return path


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
