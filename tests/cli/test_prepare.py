"""`wsss datasets prepare` says what was done, what is missing, and ends with the configuration to use."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness.cli.main import app
from harness.data.prepare import Outcome, voc2012


def run(*words: str, data: Path | None = None) -> Any:
    environment = {"COLUMNS": "200", "WSSS_DATA": "" if data is None else str(data)}
    return CliRunner().invoke(app, ["datasets", "prepare", *words], env=environment)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> None:
    def outcomes(*_: Any, progress: Any, **__: Any) -> Iterator[Outcome]:
        progress("VOC2012", 1, 2)
        yield Outcome("x.tar", "done before", "unpacked")
        yield Outcome("VOC2012", "done now", "7 files")

    monkeypatch.setattr("harness.data.prepare.prepare", outcomes)


@pytest.mark.usefixtures("done")
def test_it_ends_with_the_configuration_and_the_folder(tmp_path: Path) -> None:
    for result in (run("voc2012", "--root", str(tmp_path)), run("voc2012", data=tmp_path)):
        assert result.exit_code == 0
        assert result.stdout.splitlines()[-1] == f"ready: configs/datasets/voc2012.yaml with WSSS_DATA={tmp_path}"
        rows = [line.split(maxsplit=1) for line in result.stdout.splitlines() if "done" in line]
        assert [(step, text.strip()) for step, text in rows] == [
            ("x.tar", "done before   unpacked"),
            ("VOC2012", "done now      7 files"),
        ]


def test_what_is_missing_is_one_sentence_a_file_and_exit_2(tmp_path: Path) -> None:
    result = run("voc2012", "--root", str(tmp_path), "--no-download")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"error: {tmp_path / archive.name}: no such file; get {archive.name} from {archive.page} and put it into "
        f"{tmp_path}"
        for archive in (voc2012.VOC, voc2012.SBD)
    ]
    assert "SegmentationClassAug" in result.stdout
    assert "waiting" in result.stdout
    assert "ready" not in result.stdout


def test_an_archive_that_is_refused_is_one_sentence_and_exit_2(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "gtFine_trainvaltest.zip", "w") as packed:
        packed.writestr("gtFine/train/a", "a")
        packed.writestr("gtFine/../../evil", "e")
    result = run("cityscapes", "--root", str(tmp_path))
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 2)
    assert result.stderr.startswith(
        f"error: {tmp_path}/gtFine_trainvaltest.zip: holds gtFine/../../evil, which leads out"
    )
    assert not (tmp_path / "cityscapes").exists()


def test_bad_usage_is_one_sentence_and_exit_2(tmp_path: Path) -> None:
    for words, part in (
        (("voc2013", "--root", str(tmp_path)), "error: no data set 'voc2013' can be prepared; did you mean 'voc2012'"),
        (("voc2012", "--root", str(tmp_path / "none")), "none: no such folder"),
        (("voc2012",), "--root"),
    ):
        result = run(*words)
        assert (result.exit_code, part in result.stderr) == (2, True), result.stderr


def test_the_folder_is_left_as_it_was_but_for_the_lock(tmp_path: Path) -> None:
    run("cityscapes", "--root", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [".prepare-cityscapes.lock"]
