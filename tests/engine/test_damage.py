"""Any file below a runs folder may be damaged: it is computed again, or one sentence names it; nothing hangs."""

import json
import os
import shutil
from contextlib import suppress

import pytest
import yaml

from harness.contract import StoreError
from harness.engine.progress import read_status
from harness.engine.store.store import Store
from tests import commands
from tests.engine.toy import BENCHMARK, PLUGIN, Inline, make_plan, records, run_toy, without_measurements

METHODS = ["fill", "learnt_erase"]

FILES = {
    "manifest": "store/*/{generate}/artifact.json",
    "artifact": "store/*/{generate}",
    "record": "records/*/fill--net--s0.json",
    "mask": "store/*/{generate}/masks/train0.png",
    "soft scores": "store/*/{generate}/index.json",
    "summary": "store/*/{score}/summary.json",
    "confusions": "store/*/{score}/confusions.npz",
    "manifest of a score": "store/*/{score}/artifact.json",
    "confusions of a record": "records/*/fill--net--s0.val.npz",
    "note": "datasets/*.json",
    "status": "status/*.json",
    "lease": "locks/toy-00000000.claim",
    "reads": "work/{generate}.reads",
    "work": "work/{generate}",
    "log": "logs/generate-fill-*.log",
    "progress": "status/stages/{generate}.json",
}
"""Files and folders of a runs folder, by what they are."""


def deep(path):
    path.write_text("[" * 5000)


def folder(path):
    (path / "inside").mkdir(parents=True)


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\0\0"),
    "a number": lambda path: path.write_text("5\n"),
    "a list": lambda path: path.write_text('[1, ["a"], null]\n'),
    "another shape": lambda path: path.write_text('{"owner": 1, "keys": 5, "files": 5, "pid": "x", "name": []}\n'),
    "deep": deep,
    "a folder": folder,
    "a pipe": os.mkfifo,
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
}


pytestmark = pytest.mark.usefixtures("toys")


def wsss(*arguments):
    """Run a command, which must end as bad input may end."""
    ending = commands.wsss(*arguments)
    assert ending.code in (0, 2, 3), ending.output
    assert "Traceback" not in ending.output
    assert "unexpected" not in ending.output
    return ending


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A finished benchmark, and where its first label maps and scores lie."""
    home = tmp_path_factory.mktemp("sound")
    (home / "model.py").write_text("model = dict(type='EncoderDecoder')\n")
    (home / "toy.yaml").write_text(yaml.safe_dump({**BENCHMARK, "methods": METHODS}))
    plan, manager = make_plan(home / "toy.yaml")
    run_toy(plan, manager, home / "runs", executor=Inline)
    names = {spec.name: key for key, spec in plan.stages.items()}
    score = next(key for key, spec in plan.stages.items() if spec.inputs.get("scored") == names["generate fill"])
    return home, {"generate": names["generate fill"], "score": score}


def damaged(sound, tmp_path, what, how):
    home, keys = sound
    runs = tmp_path / "runs"
    shutil.copytree(home / "runs", runs)
    pattern = FILES[what].format(**keys)
    path = next(runs.glob(pattern), None) or runs / pattern
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    DAMAGE[how](path)
    return runs


@pytest.mark.timeout(60)
@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("what", FILES)
def test_a_damaged_file_of_a_runs_folder_is_computed_again_or_one_sentence(sound, tmp_path, what, how):
    runs = damaged(sound, tmp_path, what, how)
    for command in (
        ("status", "--runs", runs),
        ("store", "list", "--runs", runs),
        ("leaderboard", runs, "--format", "csv", "--out", tmp_path / "out"),
        ("verify", runs, "--plugin", PLUGIN),
        ("plan", sound[0] / "toy.yaml", "--plugin", PLUGIN, "--runs", runs),
    ):
        wsss(*command)
    for path in (runs / "records").glob("*/fill*"):
        if what != "record" and path.is_file():
            path.unlink()
    plan, manager = make_plan(sound[0] / "toy.yaml")
    with suppress(StoreError):
        assert_told_or_equal(run_toy(plan, manager, runs, executor=Inline), sound[0] / "runs", runs)
    wsss("store", "gc", "--runs", runs)


def assert_told_or_equal(outcome, before, after):
    if outcome.failed:
        assert all(len(failure.message.splitlines()) == 1 for failure in outcome.failures.values())
        assert all(failure.kind.endswith("Error") for failure in outcome.failures.values())
        return
    assert without_measurements(records(after)) == without_measurements(records(before))


@pytest.mark.parametrize("how", ["empty", "a list", "another shape", "a folder", "a pipe", "deep"])
def test_a_damaged_lease_of_a_dead_run_is_none_and_that_of_a_live_run_keeps_everything(sound, tmp_path, how):
    runs = damaged(sound, tmp_path, "lease", how)
    store = Store(runs)
    keys = {artifact.key for artifact in store.artifacts()}
    with store.lock("toy-00000000"):
        assert [(lease.live, lease.needs("any")) for lease in store.leases()] == [(True, True)]
        assert not store.discard(next(iter(keys)))
        assert "deleted: 0 " in wsss("store", "gc", "--runs", runs, "--all-artifacts").output
    assert [(lease.live, lease.needs("any")) for lease in store.leases()] == [(False, False)]
    wsss("store", "gc", "--runs", runs, "--all-artifacts")
    assert not list(store.artifacts())
    assert not store.leases(), "the damaged lease went too"


def test_a_read_only_store_with_a_lease_left_over_is_read(sound, tmp_path, monkeypatch):
    runs = tmp_path / "runs"
    shutil.copytree(sound[0] / "runs", runs)
    before = wsss("leaderboard", runs, "--format", "csv", "--out", tmp_path / "before")
    with suppress(KeyboardInterrupt), Store(runs).lease("toy-00000000", ["k"]):
        raise KeyboardInterrupt
    read_only(monkeypatch, runs)
    with pytest.raises(StoreError, match="read-only"), Store(runs).lock("k"):
        raise AssertionError
    assert [(lease.owner, lease.live) for lease in Store(runs).leases()] == [("toy-00000000", True)]
    assert wsss("leaderboard", runs, "--format", "csv", "--out", tmp_path / "after").code == before.code == 0
    code, output = wsss("store", "list", "--runs", runs)
    assert code == 0, output
    code, output = wsss("verify", runs, "--plugin", PLUGIN)
    assert code == 0, output
    assert "fill--net--s0: verified" in output
    assert "read-only: tables cannot show what this found" in output
    plan, manager = make_plan(sound[0] / "toy.yaml")
    assert run_toy(plan, manager, runs, executor=Inline).exit_code == 0, "a finished benchmark writes nothing"


def read_only(monkeypatch, runs):
    """Make every opening for writing below ``runs`` fail as on a disk that is mounted read-only."""
    plain = os.open

    def refuse(path, flags, *more, **options):
        inside = str(path).startswith(str(runs))
        if inside and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(30, "Read-only file system", str(path))
        return plain(path, flags, *more, **options)

    def refuse_path(path, *more, **options):
        if str(path).startswith(str(runs)):
            raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(os, "open", refuse)
    for name in ("unlink", "rename", "replace", "write_text", "write_bytes", "touch"):
        monkeypatch.setattr(f"pathlib.Path.{name}", refuse_path)


def test_a_damaged_status_file_is_named_and_the_others_are_shown(sound, tmp_path, caplog):
    runs = tmp_path / "runs"
    shutil.copytree(sound[0] / "runs", runs)
    good = json.loads(next((runs / "status").glob("*.json")).read_text())
    for name, field, value in [
        ("nan", "started", float("nan")),
        ("pid", "pid", 10**30),
        ("cell", "cells", [{"name": 5}]),
    ]:
        (runs / "status" / f"{name}.json").write_text(json.dumps({**good, field: value}))
    assert [sweep.pid for sweep in read_status(runs) if sweep.pid < 10**9] == [good["pid"]]
    assert "nan.json: started" in caplog.text
    assert "cell.json: cells.0.name" in caplog.text
    wsss("status", "--runs", runs)


def test_a_manifest_of_another_shape_is_no_artifact_even_when_its_digest_is_right(sound, tmp_path):
    from harness.engine.plan.keys import digest

    home, keys = sound
    shutil.copytree(home / "runs", tmp_path / "runs")
    store = Store(tmp_path / "runs")
    path = store.folder(keys["score"]) / "artifact.json"
    content = json.loads(path.read_text())
    del content["sha256"]
    assert store.find(keys["score"]).scored == keys["generate"]
    for field, value in [
        ("files", 5),
        ("files", {"a": {"size": "x"}}),
        ("meter", []),
        ("inputs", None),
        ("seconds", "x"),
    ]:
        wrong = {**content, field: value}
        path.write_text(json.dumps({**wrong, "sha256": digest(wrong)}))
        assert store.find(keys["score"]) is None, field
