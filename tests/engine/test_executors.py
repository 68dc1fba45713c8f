"""Stages run in processes of their own: limits are set, timeouts hold, a crash is one failure."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from pebble import ProcessExpired

from harness.contract import ConfigError, PluginError
from harness.engine import executors
from harness.engine.executors import DaskExecutor, LocalExecutor, default_jobs, run_isolated, visible_devices
from harness.engine.records import DaskParams, LocalParams


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
    with pytest.raises(ProcessExpired):
        local.submit(die).result(timeout=60)
    assert local.submit(os.getpid).result(timeout=60)


@pytest.mark.parametrize("params", [LocalParams(jobs=0), LocalParams(device="tpu")])
def test_wrong_parameters_are_one_sentence(params):
    with pytest.raises(ConfigError, match="--"):
        LocalExecutor(params)


def test_jobs_follow_devices_then_cores(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2,3")
    assert visible_devices() == default_jobs("auto") == 3
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_devices() == 0
    assert 1 <= default_jobs("auto") <= executors.cores()
    assert 1 <= default_jobs("cpu") <= executors.cores()


def test_an_isolated_call_returns_raises_and_times_out():
    assert run_isolated(divmod, (7, 2), None) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        run_isolated(divmod, (1, 0), None)
    with pytest.raises(TimeoutError, match=r"no result after 0\.5 s"):
        run_isolated(time.sleep, (60,), 0.5)
    with pytest.raises(ChildProcessError, match="code 7"):
        run_isolated(os._exit, (7,), None)


def test_dask_is_asked_for_only_when_it_is_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(PluginError, match="needs the package distributed"):
        DaskExecutor(DaskParams())


def test_dask_runs_stages_isolated_on_its_workers(monkeypatch):
    pool = ThreadPoolExecutor(1)
    client = SimpleNamespace(
        get_executor=lambda **options: pool,
        scheduler_info=lambda: {"workers": {"a": 1, "b": 2}},
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
