"""Steps: done once, in order, each failure told, and one process at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from harness.contract import ConfigError, DataError
from harness.data.prepare import NAMES, prepare
from harness.data.prepare.steps import MissingFile, Step, Tick, never, run_steps


def step(name: str, *, after: tuple[str, ...] = (), error: Exception | None = None, found: str | None = None) -> Step:
    def run(tick: Tick) -> str:
        tick(1, 2)
        if error:
            raise error
        return "made"

    return Step(name, lambda: found, run, after)


def test_every_step_is_told_and_a_failure_stops_only_what_needs_it(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    steps = (
        step("a", found="there"),
        step("b", error=MissingFile("b: no such file")),
        step("c", after=("a", "b")),
        step("d", after=("c",)),
        step("e", error=OSError(28, "No space left on device")),
        step("f", error=DataError("f: damaged")),
        step("g", after=("a",)),
        step("h", after=("b",), found="there"),
    )
    outcomes = list(run_steps(steps, tmp_path / "lock", progress=lambda *words: told.append(words)))
    assert [(outcome.step, outcome.state, outcome.text) for outcome in outcomes] == [
        ("a", "done before", "there"),
        ("b", "missing", "b: no such file"),
        ("c", "waiting", "for b"),
        ("d", "waiting", "for c"),
        ("e", "failed", "[Errno 28] No space left on device"),
        ("f", "failed", "f: damaged"),
        ("g", "done now", "made"),
        ("h", "done before", "there"),
    ]
    assert told == [(name, 1, 2) for name in "befg"]


def test_a_second_process_is_kept_away(tmp_path: Path) -> None:
    with FileLock(tmp_path / "lock"), pytest.raises(ConfigError, match="another process is preparing"):
        list(run_steps((step("a"),), tmp_path / "lock"))
    assert [outcome.state for outcome in run_steps((step("a"),), tmp_path / "lock")] == ["done now"]
    assert [outcome.state for outcome in run_steps((step("a"),), tmp_path / "lock")] == ["done now"]


def test_a_folder_without_write_permission_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file/lock: cannot be written"):
        list(run_steps((step("a"),), tmp_path / "file" / "lock"))


def test_bad_names_and_roots_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no data set 'voc2021' can be prepared; did you mean 'voc2012'"):
        list(prepare("voc2021", tmp_path))
    with pytest.raises(ConfigError, match=r"no data set 'x' can be prepared; known are voc2012, coco2014, coco2017"):
        list(prepare("x", tmp_path))
    with pytest.raises(ConfigError, match=r"none: no such folder"):
        list(prepare("voc2012", tmp_path / "none"))


@pytest.mark.parametrize("name", NAMES)
def test_every_name_leads_to_steps_and_a_configuration(name: str, tmp_path: Path) -> None:
    outcomes = list(prepare(name, tmp_path, download=False))
    assert outcomes[0].state == "missing"
    assert outcomes[-1].state == "waiting"
    assert (Path(__file__).parents[2] / "configs" / "datasets" / f"{name}.yaml").is_file()


def test_a_check_is_never_done_before() -> None:
    assert never() is None
