"""A plugin that raises what is meant to end a process is at fault alone; the user's Ctrl-C ends the command."""

import os
import signal
import threading

import pytest

from harness.contract import PluginError
from harness.registry import build_params, resolve

PRESS = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)\n"

ENDING = """
from dataclasses import dataclass

@dataclass
class Params:
    size: int = 1
    def __post_init__(self):
        raise {0}

def needs(params):
    raise {0}

@hookimpl
def wsss_generators():
    yield GeneratorRecord("params", factory="lazily_{1}:Good", params=Params)
    yield GeneratorRecord("needs", factory="nowhere:Good", needs=needs)
"""


@pytest.fixture
def handler():
    """The handler of Ctrl-C is the same after the test as before."""
    before = signal.getsignal(signal.SIGINT)
    yield before
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("where", ["import", "hook"])
def test_ctrl_c_while_a_plugin_is_loaded_ends_the_command(site, handler, where):
    hook = "@hookimpl\ndef wsss_methods():\n" + "".join(f"    {line}\n" for line in PRESS.splitlines()) + "    yield\n"
    file = site.write("slow.py", PRESS if where == "import" else hook)
    with pytest.raises(KeyboardInterrupt):
        site.manager(file)


def test_an_interrupt_of_a_plugin_after_one_of_the_user_is_its_own(site, handler):
    with pytest.raises(KeyboardInterrupt):
        site.manager(site.write("slow.py", PRESS))
    (state,) = site.manager(site.write("raises.py", "raise KeyboardInterrupt")).plugins()
    assert state.reason == "import failed: KeyboardInterrupt:"


def test_a_thread_is_never_told_of_ctrl_c_so_an_interrupt_there_is_the_plugins(site, handler):
    file, found = site.write("raises.py", "raise KeyboardInterrupt"), []
    thread = threading.Thread(target=lambda: found.extend(site.manager(file).plugins()))
    thread.start()
    thread.join()
    assert [state.status for state in found] == ["quarantined"]


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "SystemExit", "GeneratorExit"])
def test_parameters_and_callables_of_a_plugin_may_raise_anything(site, handler, error):
    site.write(f"lazily_{error}.py", f"raise {error}")
    manager = site.manager(site.write("ends.py", ENDING.format(error, error)))
    with pytest.raises(PluginError, match=error):
        build_params(manager.get("generator", "params"), {}, where="test")
    with pytest.raises(PluginError, match=error):
        manager.needs("generator", "needs")
    with pytest.raises(PluginError, match=error):
        resolve(manager.get("generator", "params").factory)


def test_ctrl_c_in_an_observer_ends_the_command_and_its_own_interrupt_does_not(site, handler):
    from harness.contract.events import RunEvent

    def observer(line):
        return f"import os, signal, time\n@hookimpl\ndef wsss_run_started(run):\n    {line}\n"

    event = RunEvent("bench", "f" * 64, (), 0)
    site.manager(site.write("own.py", observer("raise KeyboardInterrupt"))).notify("wsss_run_started", run=event)
    press = observer("os.kill(os.getpid(), signal.SIGINT); time.sleep(5)")
    with pytest.raises(KeyboardInterrupt):
        site.manager(site.write("pressed.py", press)).notify("wsss_run_started", run=event)


def test_a_plugin_file_that_cannot_be_read_is_one_sentence(site, tmp_path):
    from harness.contract import ConfigError

    path = tmp_path / "plugin.py"
    path.symlink_to("/proc/self/mem")  # a regular file, whose first byte cannot be read
    with pytest.raises(ConfigError, match="mem: cannot be read, input/output error"):
        site.manager(path)


@pytest.mark.parametrize("kind", ["folder", "pipe", "link that leads back"])
def test_a_plugin_file_that_is_no_file_is_one_sentence(site, tmp_path, kind):
    from harness.contract import ConfigError

    path = tmp_path / "plugin.py"
    {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "link that leads back": lambda: path.symlink_to(path)}[
        kind
    ]()
    with pytest.raises(ConfigError, match=f"plugin file .*plugin.py: is a {kind}"):
        site.manager(path)


UNPRINTABLE = """
class Unprintable(BaseException):
    def __str__(self):
        raise self

def needs(params):
    raise Unprintable

needs.__module__ = 5

@hookimpl
def wsss_generators():
    yield GeneratorRecord("needs", factory="nowhere:Good", needs=needs)
"""


def test_parameters_without_a_module_quarantine_their_plugin(site):
    code = """
    from dataclasses import make_dataclass
    Params = make_dataclass("Params", [])
    Params.__module__ = 5
    @hookimpl
    def wsss_generators():
        yield GeneratorRecord("odd", factory="nowhere:Good", params=Params)
    """
    (state,) = site.manager(site.write("odd.py", code)).plugins()
    assert "params must be a dataclass or a pydantic model (the class, with its __module__)" in state.reason


def test_an_error_without_text_and_a_function_without_module_are_still_one_sentence(site):
    raises = UNPRINTABLE.partition("needs.__module__")[0] + "raise Unprintable\n"
    (state,) = site.manager(site.write("raises.py", raises)).plugins()
    assert state.reason == "import failed: Unprintable: (its message cannot be printed)"
    with pytest.raises(PluginError, match=r"raised Unprintable: \(its message cannot be printed\)"):
        site.manager(site.write("needs.py", UNPRINTABLE)).needs("generator", "needs")
