"""In whatever way a worker ends, it is a failed row with a sentence, and nothing that it started lives on."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path

import psutil
import pytest

from harness.engine import memory
from harness.engine.executors import processes
from harness.engine.executors.builtin import LocalParams, TorchrunParams
from harness.engine.executors.local import LocalExecutor, end_calls, run_isolated
from harness.engine.executors.processes import Ending, Session
from harness.engine.executors.torchrun import TorchrunExecutor
from harness.engine.executors.worker import Worker
from tests.engine.toy import make_plan, records, run_toy

CHILDREN = "sleep 700 & echo $! >> {0}; setsid sleep 700 & echo $! >> {0}; (setsid sleep 700 & echo $! >> {0}) &"


def leave_children(path, then=None):
    """Start processes: one in this session, one in its own, and one more in its own whose parent has ended."""
    subprocess.run(["sh", "-c", CHILDREN.format(path)], check=True, stdout=subprocess.DEVNULL)
    while len(Path(path).read_text().split()) < 3:
        time.sleep(0.01)
    if then == "hang":
        time.sleep(600)
    if then == "exit":
        os._exit(0)
    if then == "raise":
        raise ValueError("deliberate")
    if then == "close":
        os.closerange(3, 4096)
        time.sleep(600)
    return then


def alive(path):
    """Which of the processes that ``leave_children`` started still run."""
    pids = [int(pid) for pid in Path(path).read_text().split()]
    assert len(pids) >= 3 or path == os.devnull
    running = [pid for pid in pids if psutil.pid_exists(pid)]
    return [pid for pid in running if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def wait_for(path, seconds=120):
    """Wait until ``leave_children`` has noted all its processes."""
    end = time.monotonic() + seconds
    while not path.exists() or len(path.read_text().split()) < 3:
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def gone(path, seconds=10):
    end = time.monotonic() + seconds
    while alive(path) and time.monotonic() < end:
        time.sleep(0.05)
    return not alive(path)


@pytest.fixture
def local():
    executor = LocalExecutor(LocalParams(jobs=1, device="cpu"))
    yield executor
    executor.shutdown(cancel=True)


ROWS = {
    "exit 0": ("ChildProcessError", "the worker ended with exit code 0"),
    "exit 3": ("ChildProcessError", "the worker ended with exit code 3"),
    "sys.exit": ("SystemExit", "0"),
    "interrupt": ("KeyboardInterrupt", "no message"),
    "generator exit": ("GeneratorExit", "early"),
    "segv": ("ChildProcessError", "the worker was ended by SIGSEGV (Segmentation fault)"),
    "term": ("ChildProcessError", "the worker was ended by SIGTERM (Terminated)"),
    "memory": ("MemoryError", f"no message ({memory.REMEDY})"),
    "cuda": ("RuntimeError", f"CUDA out of memory. Tried to allocate 2 GiB ({memory.REMEDY})"),
    "unprintable": ("Unprintable", "its message cannot be printed"),
    "escape": ("ValueError", "\\x1b[2Jgone"),
}


def test_every_way_to_end_a_stage_is_a_failed_row_and_the_rest_goes_on(write_config, tmp_path):
    rows = [{"name": name.replace(" ", "_"), "method": "fill", "params": {"mode": name}} for name in ROWS]
    plan, manager = make_plan(write_config(methods=[*rows, "fill"]))
    outcome = run_toy(plan, manager, tmp_path / "runs", jobs=2)
    found = records(tmp_path / "runs")
    errors = {name: found[f"{name.replace(' ', '_')}--net--s0"]["error"] for name in ROWS}
    assert {name: (error["kind"], error["message"]) for name, error in errors.items()} == ROWS
    assert all((tmp_path / "runs" / error["log"]).exists() for error in errors.values())
    assert (outcome.ok, outcome.failed, outcome.exit_code) == (1, len(ROWS), 3)
    assert found["fill--net--s0"]["status"] == "ok"
    log = (tmp_path / "runs" / errors["segv"]["log"]).read_text()
    assert "Segmentation fault" in log, "the log tells where C code crashed"
    assert "toy_plugin.py" in log


def test_a_thread_that_never_ends_does_not_keep_the_run(write_config, tmp_path, monkeypatch):
    monkeypatch.setattr("harness.engine.executors.worker.GRACE", 0.5)
    rows = [{"name": "thread", "method": "fill", "params": {"mode": "thread"}}]
    outcome = run_toy(*make_plan(write_config(methods=rows)), tmp_path / "runs")
    assert outcome.exit_code == 0


@pytest.mark.parametrize("then", ["hang", "exit", "raise", "close"])
def test_what_a_stage_started_ends_with_its_failure(local, tmp_path, then, monkeypatch):
    monkeypatch.setattr("harness.engine.executors.worker.GRACE", 0.5)
    assert local.submit(gone, os.devnull).result(timeout=60), "the worker has imported what it needs"
    with pytest.raises((TimeoutError, ChildProcessError, ValueError)):
        local.submit(leave_children, tmp_path / "pids", then, timeout=5 if then == "hang" else None).result(timeout=60)
    assert not alive(tmp_path / "pids")
    assert local.submit(os.getpid).result(timeout=60), "the next stage gets a fresh worker"


@pytest.mark.parametrize("cancel", [False, True])
def test_what_a_stage_started_ends_with_the_run(tmp_path, cancel):
    executor = LocalExecutor(LocalParams(jobs=1, device="cpu"))
    executor.submit(leave_children, tmp_path / "pids").result(timeout=60)
    assert alive(tmp_path / "pids"), "as long as its worker lives it may be of use"
    executor.shutdown(cancel=cancel)
    assert not alive(tmp_path / "pids")


def test_cancelling_ends_what_runs_at_once(tmp_path):
    executor = LocalExecutor(LocalParams(jobs=1, device="cpu"))
    future = executor.submit(leave_children, tmp_path / "pids", "hang")
    wait_for(tmp_path / "pids")
    begun = time.monotonic()
    executor.shutdown(cancel=True)
    assert time.monotonic() - begun < 5
    assert not alive(tmp_path / "pids")
    with pytest.raises(CancelledError):
        future.result()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_a_stage_started_ends_with_the_command(write_config, tmp_path, number):
    rows = [{"name": "hangs", "method": "fill", "params": {"mode": "children"}}]
    command = [
        sys.executable,
        "-m",
        "tests.engine.toy_run",
        str(write_config(methods=rows)),
        str(tmp_path / "runs"),
        "1",
    ]
    environment = {**os.environ, "TOY_CHILDREN": str(tmp_path / "pids")}
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], env=environment, stderr=subprocess.DEVNULL)
    wait_for(tmp_path / "pids")
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    process.wait(timeout=20)
    assert gone(tmp_path / "pids")
    assert not psutil.wait_procs(workers, timeout=10)[1]


def isolated(function, args, timeout, *owner):
    return run_isolated(pickle.dumps((function, args)), timeout, *owner)


@pytest.mark.parametrize("then", ["hang", "exit", None])
def test_an_isolated_call_leaves_nothing_behind(tmp_path, then):
    ender = threading.Thread(target=lambda: (wait_for(tmp_path / "pids"), end_calls(str(tmp_path))))
    if then == "hang":
        ender.start()
    try:
        assert isolated(leave_children, (tmp_path / "pids", then), None, str(tmp_path)) is None
        assert then is None
    except (CancelledError, ChildProcessError):
        assert then is not None
    assert not alive(tmp_path / "pids")


def test_calls_of_a_run_that_was_interrupted_are_ended_on_the_cluster(tmp_path):
    threading.Thread(target=lambda: (time.sleep(0.5), end_calls("me"))).start()
    with pytest.raises(CancelledError):
        isolated(time.sleep, (600,), None, "me")
    with pytest.raises(CancelledError):
        isolated(time.sleep, (600,), None, "me")
    assert isolated(divmod, (7, 2), None, "another") == (3, 1)


@pytest.fixture
def pair(tmp_path):
    executor = TorchrunExecutor(TorchrunParams(device="cpu", processes=2))
    yield executor
    executor.shutdown(cancel=True)


def in_one(rank, path, then):
    """In one process of a group leave processes behind and end; the other waits for it for ever."""
    from harness.engine.executors import group

    if group.rank() == rank:
        leave_children(path, then)
    time.sleep(600)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_group_of_which_one_ends_is_noticed_and_leaves_nothing_behind(pair, tmp_path, rank):
    with pytest.raises(ChildProcessError, match=f"process {rank} of the group ended with exit code 0"):
        pair.submit(in_one, rank, tmp_path / "pids", "exit").result(timeout=120)
    assert not alive(tmp_path / "pids")


def test_a_group_that_is_cancelled_leaves_nothing_behind(pair, tmp_path):
    future = pair.submit(in_one, 1, tmp_path / "pids", "hang")
    wait_for(tmp_path / "pids")
    pair.shutdown(cancel=True)
    assert not alive(tmp_path / "pids")
    with pytest.raises(CancelledError):
        future.result()


def test_an_exception_that_cannot_travel_is_told_by_name(local):
    with pytest.raises(ChildProcessError, match="Stubborn: needs two arguments"):
        local.submit(raise_stubborn).result(timeout=60)
    with pytest.raises(ChildProcessError, match="raised SystemExit"):
        local.submit(sys.exit).result(timeout=60)


class Stubborn(Exception):
    def __init__(self, one, two):
        super().__init__("needs two arguments")


def raise_stubborn():
    raise Stubborn(1, 2)


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A kernel of our own: a control group of version 2 or 1, and the count of the machine."""

    def write(group=None, machine=None, version=2):
        controllers, place, name = (
            ("", "", "memory.events") if version == 2 else ("memory", "memory", "memory.oom_control")
        )
        for path, text in (
            (tmp_path / "proc" / "self" / "cgroup", f"5:cpu:/x\n{version}:{controllers}:/jobs/one\n"),
            (tmp_path / "proc" / "vmstat", f"nr_free 7\noom_kill {machine}\n"),
            (tmp_path / "cgroup" / place / "jobs" / "one" / name, f"low 0\noom_kill {group}\n"),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "cgroup")
    return write


@pytest.mark.parametrize("version", [1, 2])
def test_a_worker_killed_for_memory_says_memory(kernel, version):
    kernel(group=3, machine=8, version=version)
    calm = Ending()
    assert calm.told(-9) == f"was killed by SIGKILL, most likely for want of memory; {memory.REMEDY}"
    kernel(group=4, machine=9, version=version)
    assert calm.told(-9).startswith(
        "was killed by the kernel for want of memory: the memory limit of its control group"
    )
    kernel(group=3, machine=9, version=version)
    assert "the machine had no memory left" in calm.told(-9)
    assert calm.told(-11) == "was ended by SIGSEGV (Segmentation fault)"


def test_without_a_kernel_that_counts_a_kill_is_told_all_the_same(kernel):
    assert "SIGKILL, most likely for want of memory" in Ending().told(-9)
    assert Ending().told(-250) == "was ended by signal 250"


def test_a_process_of_somebody_else_is_left_alone(tmp_path):
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    session = Session(["sh", "-c", CHILDREN.format(tmp_path / "pids")])
    session.wait(10)
    while len((tmp_path / "pids").read_text().split()) < 3:
        time.sleep(0.01)
    session.end()
    assert not alive(tmp_path / "pids")
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
    assert not processes.is_worker()


def test_a_worker_is_used_again_as_long_as_all_goes_well():
    worker = Worker(1)
    first = worker.call(os.getpid, (), None)
    assert worker.call(os.getpid, (), None) == first
    with pytest.raises(ZeroDivisionError):
        worker.call(divmod, (1, 0), None)
    assert worker.call(os.getpid, (), None) != first
    worker.close()
