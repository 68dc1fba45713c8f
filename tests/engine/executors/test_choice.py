"""Executors and their parameters: of the benchmark file, of ``--executor`` and of ``--executor-option``."""

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from harness.engine.executors import local, torchrun
from harness.engine.executors.choice import choose_executor
from harness.engine.plan.config import load_benchmark
from tests import commands
from tests.engine.toy import PLUGIN, Inline, make_plan, records


@pytest.fixture
def choose(write_config):
    """Choose an executor as ``wsss run`` does; ``executor`` is the field of the file."""

    def chosen(*options, executor="local", **arguments):
        plan, manager = make_plan(write_config(executor=executor))
        return choose_executor(plan.benchmark, manager, options=options, **arguments)

    return chosen


@pytest.fixture
def wsss(toys):
    """Run ``wsss run`` with the toys in this process; returns exit code and output in one line."""

    def invoke(config, runs, *arguments):
        command = ["run", config, "--plugin", PLUGIN, "--runs", runs, "--methods", "fill", "--no-table", *arguments]
        code, output = commands.wsss(*command)
        return code, " ".join(output.split())

    return invoke


def test_the_address_of_a_dask_cluster_is_an_option_and_a_field(choose, monkeypatch):
    addresses = []
    client = SimpleNamespace(get_executor=lambda **options: ThreadPoolExecutor(1), close=lambda: None)
    module = SimpleNamespace(Client=lambda *address: addresses.append(address) or client)
    monkeypatch.setitem(sys.modules, "distributed", module)
    field = {"name": "dask", "params": {"address": "tcp://field:1", "jobs": 3}}
    for chosen in (
        choose("address=tcp://option:1", "jobs=1", name="dask"),
        choose(executor=field),
        choose("address=tcp://option:2", executor=field),
    ):
        chosen.start().shutdown()
    assert addresses == [("tcp://option:1",), ("tcp://field:1",), ("tcp://option:2",)]
    assert choose("address=tcp://option:2", executor=field).params.jobs == 3


def test_the_processes_of_a_torchrun_group_are_an_option(choose, monkeypatch):
    commands = []
    session = SimpleNamespace(end=lambda: None)
    monkeypatch.setattr(torchrun, "Session", lambda command, **settings: commands.append(command) or session)
    monkeypatch.setattr(torchrun, "finish", lambda *waiting: None)
    monkeypatch.setattr(torchrun.Task, "value", lambda self: "done")
    executor = choose("processes=5", name="torchrun", asked={"device": "cpu"}).start()
    assert executor.submit(len, "abc").result(timeout=60) == "done"
    executor.shutdown()
    assert "--nproc-per-node=5" in commands[0]


def test_the_command_line_goes_before_the_file_and_another_executor_drops_its_parameters(choose):
    field = {"name": "local", "params": {"jobs": 7, "device": "cpu"}}
    assert (choose(executor=field).params.jobs, choose(executor=field).device) == (7, "cpu")
    assert choose("jobs=2", executor=field).params.jobs == 2
    assert choose(executor=field, asked={"jobs": 3, "device": "cuda"}).params == local.LocalParams(3, "cuda")
    assert choose(executor=field, name="torchrun").params.jobs is None
    assert choose(executor="torchrun").record.name == "torchrun"


def test_the_executor_changes_neither_keys_nor_fingerprint(write_config):
    plain, _ = make_plan(write_config())
    other, _ = make_plan(write_config(executor={"name": "torchrun", "params": {"processes": 2}}))
    assert plain.stages.keys() == other.stages.keys()
    assert (plain.fingerprint, plain.folder) == (other.fingerprint, other.folder)


def test_a_run_takes_the_executor_of_the_file_with_its_device(wsss, write_config, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(local, "LocalExecutor", lambda params: started.append(params) or Inline())
    config = write_config(executor={"name": "local", "params": {"device": "cpu"}})
    code, output = wsss(config, tmp_path / "runs", "--jobs", "2", "-o", "executor.params.jobs=9")
    assert code == 0, output
    assert started == [local.LocalParams(jobs=2, device="cpu")]


@pytest.mark.parametrize(
    ("field", "arguments", "words"),
    [
        ("local", ("--executor", "dask", "--executor-option", "adress=a"), "unknown; did you mean 'address'?"),
        ("local", ("--executor-option", "jobs=many"), "--executor-option: executor 'local': parameter 'jobs'"),
        ("local", ("--executor-option", "jobs=0"), "parameter 'jobs': must be at least 1, got 0"),
        ("local", ("--executor-option", "device=tpu"), "parameter 'device': 'tpu' is none of auto, cpu, cuda"),
        ("torchrun", ("--executor-option", "processes=-1"), "parameter 'processes': must be at least 1, got -1"),
        ("local", ("--executor-option", "jobs"), "--executor-option jobs: an override has the form key=value"),
        ("local", ("--jobs", "2", "--executor-option", "jobs=3"), "--executor-option jobs=3: --jobs says it already"),
        ({"name": "dask", "params": {"adress": "a"}}, (), "toy.yaml: executor: executor 'dask': parameter"),
        ("dusk", (), "toy.yaml: executor: unknown executor 'dusk'; did you mean 'dask'"),
        ({"params": {}}, (), "executor.name"),
    ],
)
def test_a_wrong_executor_is_one_sentence_before_anything_is_written(
    wsss, write_config, tmp_path, *, field, arguments, words
):
    code, output = wsss(write_config(executor=field), tmp_path / "runs", *arguments)
    assert (code, words in output) == (2, True), output
    assert not records(tmp_path / "runs")


def test_help_and_the_list_of_plugins_name_every_executor_and_its_parameters(write_config, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = re.sub(r"[\s│]+", " ", commands.wsss("run", "--help").output)
    assert "local, torchrun, dask" in text
    for name, parameter in (("local", "jobs"), ("torchrun", "processes"), ("dask", "address")):
        code, output = commands.wsss("plugins", "show", name)
        assert (code, parameter in output) == (0, True)
    assert load_benchmark(write_config()).executor.name == "local"
