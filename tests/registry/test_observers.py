"""Observers are told what happens and can change nothing."""

import logging

import pytest

from harness.contract import RunEvent

RUN = RunEvent("demo", "f" * 16, (("cam", "resnet18", 0),))


def observer(body, hook="wsss_run_started", argument="run"):
    return f"seen = []\n@hookimpl\ndef {hook}({argument}):\n    {body}\n"


def test_an_observer_that_raises_stops_nobody_and_is_logged_once(site, caplog):
    files = [
        site.write("first.py", observer("print('first', run.benchmark)")),
        site.write("bad.py", observer("raise RuntimeError('broken pipe to the dashboard')")),
        site.write("quits.py", observer("raise SystemExit(1)")),
        site.write("last.py", observer("print('last', run.benchmark)")),
    ]
    loaded = site.manager(*files)
    with caplog.at_level(logging.WARNING, "harness.registry"):
        for _ in range(3):
            loaded.notify("wsss_run_started", run=RUN)
    messages = [record.getMessage() for record in caplog.records]
    assert sum("plugin bad raised RuntimeError" in message for message in messages) == 1
    assert sum("plugin quits raised SystemExit" in message for message in messages) == 1


def test_every_observer_hears_every_event(site, capsys):
    files = [site.write(f"{name}.py", f"# {name}\n" + observer(f"print({name!r}, run.benchmark)")) for name in "ab"]
    loaded = site.manager(*files)
    loaded.notify("wsss_run_started", run=RUN)
    assert sorted(capsys.readouterr().out.split()) == ["a", "b", "demo", "demo"]


def test_an_observer_may_ask_for_no_argument(site, capsys):
    loaded = site.manager(site.write("mine.py", observer("print('called')", argument="")))
    loaded.notify("wsss_run_started", run=RUN)
    assert capsys.readouterr().out == "called\n"


def test_only_observer_hooks_can_be_notified(site):
    with pytest.raises(ValueError, match="'wsss_methods' is not an observer hook"):
        site.manager().notify("wsss_methods")
