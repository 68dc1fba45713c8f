"""Several processes compute one stage: they train together, one publishes, and what fails is told once."""

import json
import os
import time

import pytest

from harness.contract import ConfigError
from harness.engine.executors import group
from harness.engine.executors.builtin import TorchrunParams
from harness.engine.executors.torchrun import TorchrunExecutor, shares
from harness.engine.stage.worker import execute
from harness.registry import PluginSpec, manager_from_spec


def place():
    """Where a process of a group is, told by all of them through files."""
    folder = os.environ[group.FOLDER]
    names = ("RANK", "WORLD_SIZE", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    found = tuple(os.environ.get(name) for name in names)
    with open(f"{folder}/{group.rank()}", "w") as file:  # noqa: PTH123
        json.dump(found, file)
    while len(os.listdir(folder)) < 3:  # noqa: PTH208 (the task, and a file of each)
        time.sleep(0.01)
    return found


def refuse():
    raise ConfigError(f"refused by {group.rank()}")


@pytest.fixture
def pair(monkeypatch):
    """An executor of groups of two processes that were given the GPUs 3 and 5."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    executor = TorchrunExecutor(TorchrunParams())
    yield executor
    executor.shutdown(cancel=True)


@pytest.mark.parametrize(
    ("devices", "jobs", "expected"),
    [
        ("abcd", 1, ["abcd"]),
        ("abcd", 2, ["ac", "bd"]),
        ("abc", 2, ["ac", "b"]),
        ("ab", 3, ["a", "b", "a"]),
        ("", 2, ["", ""]),
    ],
)
def test_devices_are_divided_among_the_stages_that_run_at_a_time(devices, jobs, expected):
    assert ["".join(shares(devices, jobs, number)) for number in range(jobs)] == expected


def test_each_process_knows_its_place_and_the_first_one_answers(pair):
    assert pair.slots == 1
    rank, world, threads, devices = pair.submit(place).result(timeout=300)
    assert (rank, world, devices) == ("0", "2", "3,5")
    assert int(threads) >= 1


def test_an_error_is_that_of_the_first_process_and_a_timeout_ends_the_group(pair):
    with pytest.raises(ConfigError, match="refused by 0"):
        pair.submit(refuse).result(timeout=300)
    with pytest.raises(TimeoutError, match=r"no result after 0\.5 s"):
        pair.submit(time.sleep, 600, timeout=0.5).result(timeout=300)


def test_a_process_in_no_group_is_the_first_of_one(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.delenv(group.FOLDER, raising=False)
    assert (group.rank(), group.local_rank()) == (0, 0)
    group.call()


def test_the_others_wait_for_a_call_or_for_the_end(monkeypatch, tmp_path):
    monkeypatch.setenv(group.FOLDER, str(tmp_path))
    monkeypatch.setenv("RANK", "0")
    (tmp_path / group.RESULT).touch()
    assert not group.called()
    group.call()
    assert group.called()
    group.leave()
    assert "RANK" not in os.environ


def test_two_processes_publish_one_artifact_of_the_same_layout(tmp_path):
    from harness.testing.bench import Bench, with_scenes

    manager = with_scenes(manager_from_spec(PluginSpec(env="")))
    alone, together = (Bench(manager, "box_fill", tmp_path / name) for name in ("alone", "together"))
    alone.run()
    executor = TorchrunExecutor(TorchrunParams(device="cpu", processes=2))
    labels, segmenter = together.stages
    together.run_stage(labels)
    result = executor.submit(execute, together.job(segmenter)).result(timeout=600)
    executor.shutdown()
    log = "".join(path.read_text() for path in (tmp_path / "together" / "logs").iterdir())
    assert result.status == "done", (result.error, log)
    assert together.digests(segmenter).keys() == alone.digests(segmenter).keys()
    found, expected = (
        json.loads((bench.store.folder(segmenter.key) / "train.json").read_text()) for bench in (together, alone)
    )
    assert [point["iteration"] for point in found] == [point["iteration"] for point in expected]
    assert found != expected, "each process sees its half of every batch"
    one, two = (bench.store.open(segmenter.key).meter for bench in (together, alone))
    assert one == two
    assert not list((tmp_path / "together" / "work").iterdir())
