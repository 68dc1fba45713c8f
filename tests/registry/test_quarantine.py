"""A broken plugin is quarantined alone, with a reason that names what to repair."""

import logging

import pytest

from harness.contract import PluginError

BROKEN = {
    "mistyped hook": (
        "@hookimpl\ndef wsss_generator():\n    yield GeneratorRecord('x', factory='a:b')",
        "unknown hook 'wsss_generator'; did you mean 'wsss_generators'?",
    ),
    "hook without the mark": ("def wsss_methods():\n    yield 1", "wsss_methods is not marked with @hookimpl"),
    "no hook at all": ("answer = 42", "it implements no hook; mark its functions with @hookimpl"),
    "unknown argument": ("@hookimpl\ndef wsss_methods(config):\n    yield 1", "{'config'}"),
    "hook wrapper": ("@hookimpl(wrapper=True)\ndef wsss_methods():\n    return (yield)", "is a wrapper"),
    "record of another hook": (
        "@hookimpl\ndef wsss_methods():\n    yield GeneratorRecord('x', factory='a:b')",
        "hook wsss_methods must yield MethodRecord, got GeneratorRecord",
    ),
    "no record": ("@hookimpl\ndef wsss_datasets():\n    yield {'name': 'x'}", "must yield DatasetRecord, got dict"),
    "returns nothing": ("@hookimpl\ndef wsss_metrics():\n    pass", "must yield records, it returned NoneType"),
    "returns one record": (
        "@hookimpl\ndef wsss_metrics():\n    return MetricRecord('x', factory='a:b')",
        "must yield records, it returned MetricRecord",
    ),
    "yields for ever": (
        "import itertools\n@hookimpl\ndef wsss_metrics():\n"
        "    return (MetricRecord(f'x{i}', factory='a:b') for i in itertools.count())",
        "yields more than 10000 records",
    ),
    "raising hook": (
        "@hookimpl\ndef wsss_methods():\n    raise KeyError('lost')\n    yield",
        "hook wsss_methods raised KeyError: 'lost'",
    ),
    "failing import": ("import not_installed_anywhere", "import failed: ModuleNotFoundError: No module named"),
    "syntax error": ("def broken(:", "import failed: SyntaxError"),
    "exit at import": ("raise SystemExit(3)", "import failed: SystemExit: 3"),
    "interrupt at import": ("raise KeyboardInterrupt", "import failed: KeyboardInterrupt"),
    "generator exit at import": ("raise GeneratorExit('early')", "import failed: GeneratorExit: early"),
    "an exception of no common kind": ("class Odd(BaseException): pass\nraise Odd", "import failed: Odd"),
    "interrupt in a hook": (
        "@hookimpl\ndef wsss_methods():\n    raise KeyboardInterrupt\n    yield",
        "hook wsss_methods raised KeyboardInterrupt",
    ),
    "generator exit in a hook": (
        "@hookimpl\ndef wsss_methods():\n    raise GeneratorExit\n    yield",
        "hook wsss_methods raised GeneratorExit",
    ),
    "exit in a hook": (
        "import sys\n@hookimpl\ndef wsss_methods():\n    sys.exit('bye')\n    yield",
        "hook wsss_methods raised SystemExit: bye",
    ),
    "error that cannot be printed": (
        "class E(Exception):\n    def __str__(self):\n        raise ValueError\nraise E",
        "import failed: E: (its message cannot be printed)",
    ),
    "unsupported contract": (
        "@hookimpl\ndef wsss_methods():\n    yield MethodRecord('x', (Round(Use('good')),), contract=99)",
        "method 'x' was written for contract 99, wsss",
    ),
    "bad name": (
        "@hookimpl\ndef wsss_methods():\n    yield MethodRecord('My Method', (Round(Use('good')),))",
        "method name 'My Method' is not allowed",
    ),
    "bad factory": (
        "@hookimpl\ndef wsss_refiners():\n    yield RefinerRecord('x', factory='module.Class')",
        "refiner 'x': factory must be a callable or 'module:attribute'",
    ),
    "parameters without types": (
        "@hookimpl\ndef wsss_refiners():\n    yield RefinerRecord('x', factory='a:b', params=dict)",
        "refiner 'x': params must be a dataclass or a pydantic model",
    ),
    "parameter object for a class": (
        "@hookimpl\ndef wsss_refiners():\n    yield RefinerRecord('x', factory='a:b', params=NoParams())",
        "refiner 'x': params must be a dataclass or a pydantic model",
    ),
    "need without a tuple": (
        "@hookimpl\ndef wsss_generators():\n    yield GeneratorRecord('x', factory='a:b', needs=(TAGS))",
        "generator 'x': needs must be a tuple of Need or a callable, for example (TAGS,)",
    ),
    "section without a tuple": (
        "@hookimpl\ndef wsss_generators():\n    yield GeneratorRecord('x', factory='a:b', reads='cam')",
        "generator 'x': reads must be a tuple of section names",
    ),
    "no rounds": (
        "@hookimpl\ndef wsss_methods():\n    yield MethodRecord('x', rounds=())",
        "method 'x': rounds must be a tuple of one or more Round",
    ),
    "round with a name for a Use": (
        "@hookimpl\ndef wsss_methods():\n    yield MethodRecord('x', rounds=(Round('good'),))",
        "method 'x': rounds must be a tuple of one or more Round",
    ),
    "shared stage with a bad callable": (
        "stage = SharedStage('s', run='nope')\n"
        "@hookimpl\ndef wsss_generators():\n    yield GeneratorRecord('x', 'a:b', uses=(stage,))",
        "generator 'x': uses must be a tuple of SharedStage",
    ),
    "one name twice": (
        "@hookimpl\ndef wsss_metrics():\n    yield MetricRecord('x', 'a:b')\n    yield MetricRecord('x', 'a:b')",
        "metric 'x' is yielded twice",
    ),
    "name of a built-in": (
        "@hookimpl\ndef wsss_methods():\n    yield MethodRecord('good', (Round(Use('good')),))",
        "method 'good' of broken",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_quarantined_alone_with_its_reason(site, good, case):
    code, reason = BROKEN[case]
    file = site.write("broken.py", code)
    after = site.write(
        "after.py", "@hookimpl\ndef wsss_metrics():\n    yield MetricRecord('after', factory='nowhere:After')"
    )
    manager = site.manager(file, after, builtins=(good,))
    states = {state.name: state for state in manager.plugins()}
    assert {name: state.status for name, state in states.items()} == {
        good: "ok",
        "broken": "quarantined",
        "after": "ok",
    }
    assert reason in states["broken"].reason
    assert "\n" not in states["broken"].reason
    assert states["broken"].file == str(file)
    assert list(manager.records("method")) == ["good"]
    assert list(manager.records("metric")) == ["after"]


@pytest.mark.parametrize("case", BROKEN)
def test_strict_turns_quarantine_into_an_error(site, good, case):
    code, reason = BROKEN[case]
    with pytest.raises(PluginError) as error:
        site.manager(site.write("broken.py", code), builtins=(good,), strict=True)
    assert reason in str(error.value)
    assert str(error.value).startswith("plugin broken")


def test_a_duplicate_names_both_providers_with_versions(site):
    code = "@hookimpl\ndef wsss_metrics():\n    yield MetricRecord('same', factory='a:b')"
    site.write("first_plugin.py", code)
    site.write("second_plugin.py", code)
    site.install("first-dist", "1.2", {"first": "first_plugin"})
    site.install("second-dist", "3.4", {"second": "second_plugin"})
    first, second = site.manager(env="first,second").plugins()
    assert (first.status, second.status) == ("ok", "quarantined")
    assert second.reason == ("metric 'same' of second (second-dist 3.4) is already provided by first (first-dist 1.2)")


def test_all_records_of_a_quarantined_plugin_are_withheld(site):
    file = site.write(
        "half.py",
        "@hookimpl\ndef wsss_generators():\n    yield GeneratorRecord('sound', factory='a:b')\n"
        "@hookimpl\ndef wsss_metrics():\n    yield 1",
    )
    manager = site.manager(file)
    assert not manager.records("generator")
    with pytest.raises(PluginError, match=r"'sound' belongs to the quarantined plugin half \(.*\): hook wsss_metrics"):
        manager.get("generator", "sound")


def test_records_after_the_failing_hook_are_known_by_name(site):
    file = site.write(
        "half.py",
        "@hookimpl\ndef wsss_methods():\n    yield 1\n"
        "@hookimpl\ndef wsss_refiners():\n    yield RefinerRecord('later', factory='a:b')",
    )
    with pytest.raises(PluginError, match="must yield MethodRecord"):
        site.manager(file).get("refiner", "later")


def test_naming_a_quarantined_plugin_prints_its_reason(site):
    manager = site.manager(site.write("mine.py", "import not_installed_anywhere"))
    with pytest.raises(PluginError, match="not_installed_anywhere"):
        manager.get("method", "mine")
    with pytest.raises(PluginError, match=r"unknown method 'other' \(known: none; quarantined plugins: mine"):
        manager.get("method", "other")
    with pytest.raises(PluginError, match=r"plugin mine \(.*mine.py\) is quarantined: import failed"):
        manager.require_files()


def test_a_quarantined_observer_is_not_called(site, caplog):
    file = site.write(
        "half.py",
        "called = []\n"
        "@hookimpl\ndef wsss_run_started(run):\n    raise AssertionError('called')\n"
        "@hookimpl\ndef wsss_metrics():\n    yield 1",
    )
    manager = site.manager(file)
    caplog.clear()
    manager.notify("wsss_run_started", run=None)
    assert not caplog.records  # a called observer that raises is logged


def test_the_traceback_of_the_plugin_is_kept(site):
    file = site.write("mine.py", "@hookimpl\ndef wsss_methods():\n    yield 1 / 0")
    (state,) = site.manager(file).plugins()
    assert "ZeroDivisionError" in state.traceback
    assert "mine.py" in state.traceback


def test_a_quarantine_is_logged(site, caplog):
    with caplog.at_level(logging.WARNING, "harness.registry"):
        site.manager(site.write("mine.py", "import not_installed_anywhere"))
    assert "plugin mine" in caplog.text


def test_an_optional_hook_of_a_newer_host_is_no_mistake(site):
    file = site.write(
        "mine.py",
        "@hookimpl(optionalhook=True)\ndef wsss_tomorrow():\n    pass\n"
        "@hookimpl\ndef wsss_metrics():\n    yield MetricRecord('x', factory='a:b')",
    )
    (state,) = site.manager(file).plugins()
    assert state.status == "ok"


def test_two_plugins_make_the_same_mistake_and_each_is_quarantined(site, good):
    one = site.write("one.py", "@hookimpl\ndef wsss_metrix():\n    yield 1")
    two = site.write("two.py", "# another\n@hookimpl\ndef wsss_metrix():\n    yield 1")
    states = site.manager(one, two, builtins=(good,)).plugins()
    assert [state.status for state in states] == ["ok", "quarantined", "quarantined"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("not a module!", "import failed"),
        ("", "import failed"),
        ("bad_parent.hooks", "import failed: RuntimeError: parent"),
        ("good_builtin:absent", "import failed: AttributeError"),
    ],
)
def test_a_faulty_entry_point_is_quarantined_alone(site, good, value, reason):
    site.write("bad_parent/__init__.py", "raise RuntimeError('parent')")
    site.write("bad_parent/hooks.py", "")
    site.install("faulty-dist", "0.1", {"faulty": value})
    first, faulty = site.manager(builtins=(good,), env="faulty").plugins()
    assert (first.status, faulty.status) == ("ok", "quarantined")
    assert faulty.reason.startswith(reason)
    assert faulty.distribution == "faulty-dist"


def test_what_a_plugin_prints_while_it_loads_goes_to_standard_error(site, capsys):
    site.manager(site.write("loud.py", "print('hello')"))
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "hello\n")
