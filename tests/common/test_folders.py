"""A folder is there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.common.folders import refuse_filled, replacing_folder
from harness.contract import ConfigError, StoreError


def fill(folder: Path, *, force: bool = False) -> None:
    with replacing_folder(folder, force=force) as fresh:
        (fresh / "new").write_text("new")


def test_a_new_or_empty_folder_is_filled_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "deep/er"):
        fill(tmp_path / name)
        assert (tmp_path / name / "new").read_text() == "new"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deep", "empty", "er", "new", "new"]


def test_a_folder_that_holds_something_is_refused_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    with pytest.raises(ConfigError, match="out: is not empty; name another folder, or add --force to replace it"):
        fill(tmp_path / "out")
    fill(tmp_path / "out", force=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "new"]


def test_an_error_while_it_is_filled_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    with pytest.raises(ZeroDivisionError), replacing_folder(tmp_path / "out", force=True) as fresh:
        (fresh / "new").write_text(str(1 / 0))
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "old"]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file: is there and is no folder"):
        fill(tmp_path / "file", force=True)
    with pytest.raises(StoreError, match="cannot be written, not a directory"):
        fill(tmp_path / "file" / "out")
    with pytest.raises(StoreError, match="cannot be written, file name too long"):
        fill(tmp_path / ("x" * 300))


def test_what_must_stay_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs" / "records").mkdir(parents=True)
    (tmp_path / "runs" / "records" / "old").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "runs")
    for place in ("runs", "runs/records", "", "link"):
        with pytest.raises(ConfigError, match="runs is never replaced; name another folder"):
            refuse_filled(tmp_path / place, force=True, keep=tmp_path / "runs")
    refuse_filled(tmp_path / "runs" / "new", keep=tmp_path / "runs")
    monkeypatch.chdir(tmp_path / "runs" / "records")
    for place in (Path(), Path(".."), tmp_path):
        with pytest.raises(ConfigError, match="the current folder lies there and stays"):
            fill(place, force=True)
    assert (tmp_path / "runs" / "records" / "old").exists()


def test_a_place_behind_a_link_to_itself_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(StoreError, match="cannot be written"):
        fill(tmp_path / "loop" / "out")
