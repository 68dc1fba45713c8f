"""Stages run in processes of their own: limits are set, timeouts hold, a crash is one failure."""

import os
import pickle
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.contract import ConfigError, PluginError
from harness.engine.executors import local as executors
from harness.engine.executors.builtin import DaskParams, LocalParams
from harness.engine.executors.local import (
    DaskExecutor,
    LocalExecutor,
    default_jobs,
    device_of,
    run_isolated,
    visible_devices,
)
from harness.engine.stage.worker import Job
from tests.engine.toy import make_plan


def in_worker():
    return os.getpid(), os.environ["OMP_NUM_THREADS"], "torch" in sys.modules


def die():
    os._exit(7)


@pytest.fixture(scope="module")
def local():
    executor = LocalExecutor(LocalParams(jobs=1, device="cpu"))
    yield executor
    executor.shutdown(cancel=True)


def test_a_worker_is_another_process_with_its_share_of_the_cores(local):
    pid, threads, torch = local.submit(in_worker).result(timeout=60)
    assert pid != os.getpid()
    assert int(threads) == executors.worker_threads()
    assert not torch


def test_a_timeout_and_a_crash_are_failures_of_one_call(local):
    with pytest.raises(TimeoutError):
        local.submit(time.sleep, 60, timeout=0.5).result(timeout=60)
    with pytest.raises(ChildProcessError, match="ended with exit code 7"):
        local.submit(die).result(timeout=60)
    assert local.submit(os.getpid).result(timeout=60)


@pytest.mark.parametrize("params", [{"jobs": 0}, {"device": "tpu"}])
def test_wrong_parameters_are_one_sentence(params):
    with pytest.raises(ConfigError, match=f"parameter '{next(iter(params))}'"):
        LocalParams(**params)


def test_a_sweep_under_torchrun_is_refused_with_the_way_to_do_it(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="--executor torchrun"):
        LocalExecutor(LocalParams(jobs=1))


def test_jobs_follow_devices_then_cores(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2,3")
    assert default_jobs("auto") == 3
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert 1 <= default_jobs("auto") <= executors.cores()
    assert 1 <= default_jobs("cpu") <= executors.cores()


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        ("0,2,3", ["0", "2", "3"]),
        (" GPU-8932f937, MIG-b1d2 ", ["GPU-8932f937", "MIG-b1d2"]),
        ("1,-1,0", ["1"]),
        ("-1", []),
        ("", []),
    ],
)
def test_the_users_choice_of_devices_is_honoured(monkeypatch, chosen, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert visible_devices() == names


def test_workers_take_the_devices_in_turn():
    assert [device_of(number, ["0", "GPU-a"]) for number in range(5)] == ["0", "GPU-a", "0", "GPU-a", "0"]
    assert device_of(3, []) is None


def meet(barrier):
    """Wait until every worker runs this, so that each runs it once."""
    folder, count = barrier
    Path(folder, str(os.getpid())).touch()
    while len(list(Path(folder).iterdir())) < count:
        time.sleep(0.01)
    return os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES")


def test_each_worker_sees_one_device_and_its_successor_the_same(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,3")
    executor = LocalExecutor(LocalParams(device="auto"))
    try:
        assert executor.slots == 2
        futures = [executor.submit(meet, (str(tmp_path), 2)) for _ in range(2)]
        found = dict(future.result(timeout=120) for future in futures)
        assert sorted(found.values()) == ["3", "GPU-a"]
        with pytest.raises(ChildProcessError, match="ended with exit code 7"):
            executor.submit(die).result(timeout=120)
        after = dict([executor.submit(meet, (str(tmp_path), 0)).result(timeout=120)])
        assert list(after.values()) == ["GPU-a"]
        assert not after.keys() & {pid for pid, device in found.items() if device == "GPU-a"}
    finally:
        executor.shutdown(cancel=True)


def isolated(function, args, timeout):
    return run_isolated(pickle.dumps((function, args)), timeout)


def test_a_dask_cluster_that_lost_its_workers_is_noticed(monkeypatch):
    monkeypatch.setattr(executors, "LOOK_EACH", 0.05)
    monkeypatch.setattr(executors, "LONELY", 0.2)
    client = SimpleNamespace(
        get_executor=lambda **options: SimpleNamespace(submit=lambda *call: Future(), shutdown=lambda wait: None),
        nthreads=dict,
        close=lambda: None,
    )
    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=lambda *address: client))
    executor = DaskExecutor(DaskParams(jobs=1))
    with pytest.raises(ChildProcessError, match="has had no worker"):
        executor.submit(os.getpid).result(timeout=20)
    executor.shutdown()


def test_a_stage_that_refers_to_a_plugin_file_reaches_a_fresh_process(write_config, tmp_path):
    plan, manager = make_plan(write_config(methods=["learnt"]))
    spec = next(spec for spec in plan.stages.values() if spec.name == "generate learnt")
    job = Job(spec, tmp_path, manager.spec, ("toy", {}), plan.dataset)
    assert isolated(described, (job,), None) == (spec.key, "learn")


def described(job):
    return job.spec.key, job.spec.part.uses[0].name


def test_an_isolated_call_returns_raises_and_times_out():
    assert isolated(divmod, (7, 2), None) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        isolated(divmod, (1, 0), None)
    with pytest.raises(TimeoutError, match=r"no result after 0\.5 s"):
        isolated(time.sleep, (60,), 0.5)
    with pytest.raises(ChildProcessError, match="exit code 7"):
        isolated(os._exit, (7,), None)


def test_dask_is_asked_for_only_when_it_is_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(PluginError, match="needs the package distributed"):
        DaskExecutor(DaskParams())


def test_dask_runs_stages_isolated_on_its_workers(monkeypatch):
    pool = ThreadPoolExecutor(1)
    client = SimpleNamespace(
        get_executor=lambda **options: pool,
        nthreads=lambda: {"a": 1, "b": 2},
        close=lambda: None,
    )
    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=lambda *address: client))
    executor = DaskExecutor(DaskParams(address="tcp://scheduler"))
    assert executor.slots == 2
    assert executor.submit(os.getpid).result(timeout=60) != os.getpid()
    executor.shutdown()


def test_a_thread_limit_of_the_user_holds_in_the_workers(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    executor = LocalExecutor(LocalParams(jobs=1, device="cpu"))
    try:
        assert executor.submit(in_worker).result(timeout=60)[1] == "1"
    finally:
        executor.shutdown(cancel=True)
