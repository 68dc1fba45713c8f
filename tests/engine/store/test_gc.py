"""``wsss store``: what nobody needs goes, records and what they are verified with stay, running work is safe."""

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from harness.engine.store.gc import DAMAGED, HALF_BUILT, SET_ASIDE, TRACE, WORK, Rules, survey
from harness.engine.store.store import Store
from tests.commands import wsss
from tests.engine.toy import PLUGIN, Inline, flip_byte, make_plan, records, run_toy, without_measurements

METHODS = ["fill", "learnt_erase"]
ROOT = Path(__file__).parents[3]
EVIDENCE = {"generate fill", "refine erase", "predict", "score labels", "score predictions"}


pytestmark = pytest.mark.usefixtures("toys")


@pytest.fixture
def run(write_config, tmp_path):
    """Run the toy benchmark with these methods."""

    def run(methods=METHODS):
        run_toy(*make_plan(write_config(methods=methods)), tmp_path / "runs", executor=Inline)

    return run


@pytest.fixture
def runs(run, tmp_path):
    """A finished benchmark with an orphan: what a changed parameter left behind."""
    run([{"name": "fill", "params": {"cls": 2}}, "learnt_erase"])
    run()
    return tmp_path / "runs"


@pytest.fixture
def counter(tmp_path, monkeypatch):
    path = tmp_path / "counter"
    monkeypatch.setenv("TOY_COUNTER", str(path))
    return lambda: Counter(line.split()[0] for line in path.read_text().splitlines()) if path.exists() else Counter()


def names(runs):
    return Counter(artifact.name for artifact in Store(runs).artifacts())


def tables(runs, out):
    code, output = wsss("leaderboard", runs, "--format", "md,csv,json,tex,html", "--out", out)
    assert code == 0, output
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_orphans_go_and_what_records_name_stays(runs, run, tmp_path, counter):
    before = tables(runs, tmp_path / "before")
    found = records(runs)
    assert names(runs)["generate fill"] == 2
    code, output = wsss("store", "gc", "--runs", runs)
    assert code == 0, output
    assert "deleted: 5 " in output
    assert names(runs) == {
        **dict.fromkeys(EVIDENCE | {"learn", "generate learnt"}, 1),
        **dict.fromkeys(["segmenter toy", "predict", "score labels", "score predictions"], 2),
    }
    assert tables(runs, tmp_path / "after") == before
    assert records(runs) == found
    assert wsss("verify", runs, "--plugin", PLUGIN).code == 0
    run()
    assert not counter(), "nothing is computed again"


def test_evidence_is_enough_to_verify_and_a_new_row_computes_what_it_lacks(runs, run, tmp_path, counter):
    before = tables(runs, tmp_path / "before")
    assert wsss("store", "gc", "--runs", runs, "--evidence-only").code == 0
    assert set(names(runs)) == EVIDENCE
    assert tables(runs, tmp_path / "after") == before
    assert wsss("verify", runs, "--plugin", PLUGIN).code == 0
    run()
    assert not counter()
    run([*METHODS, "learnt"])
    assert counter() == {"learn": 1, "generate": 1, "train": 1, "predict": 1}


def test_without_any_artifact_tables_stay_and_nothing_is_run_again(runs, run, tmp_path, counter):
    before, found = tables(runs, tmp_path / "before"), records(runs)
    assert wsss("store", "gc", "--runs", runs, "--all-artifacts").code == 0
    assert not names(runs)
    assert tables(runs, tmp_path / "after") == before
    run()
    assert not counter()
    assert wsss("verify", runs, "--plugin", PLUGIN).code == 3
    shutil.rmtree(runs / "records")
    run()
    assert without_measurements(records(runs)) == without_measurements(found)


def test_named_benchmarks_keep_every_stage_and_other_records_their_evidence(runs, write_config):
    config = write_config(methods=["learnt"])
    code, output = wsss("store", "gc", "--runs", runs, "--keep", config, "--plugin", PLUGIN)
    assert code == 0, output
    assert set(names(runs)) == EVIDENCE | {"learn", "generate learnt"}
    wrong = wsss("store", "gc", "--runs", runs, "--keep", "missing.yaml")
    assert (wrong.code, "missing.yaml" in wrong.output) == (2, True)


def test_a_dry_run_and_a_list_delete_nothing_and_say_the_same(runs):
    before = names(runs)
    code, output = wsss("store", "gc", "--runs", runs, "--dry-run")
    assert (code, names(runs)) == (0, before)
    assert "would delete: 5 " in output
    code, output = wsss("store", "list", "--runs", runs)
    assert (code, names(runs)) == (0, before)
    total = next(line.split() for line in output.splitlines() if line.strip().startswith("total"))
    assert (total[1], total[3]) == ("17", "5")


def test_only_what_is_old_enough_goes(runs):
    before = names(runs)
    assert "deleted: 0 " in wsss("store", "gc", "--runs", runs, "--older-than", 1, "--all-artifacts").output
    assert names(runs) == before
    for folder in (runs / "store").glob("??/*"):
        os.utime(folder, (0, time.time() - 2 * 86400))
    wsss("store", "gc", "--runs", runs, "--older-than", 1, "--all-artifacts")
    assert not names(runs)


def test_leftovers_of_dead_processes_go_and_those_of_live_ones_stay(runs):
    store, dead, live = Store(runs), "ab" + 62 * "0", "cd" + 62 * "0"
    flip_byte(next(path for path in (runs / "store").glob("??/*/artifact.json")))
    (runs / "corrupt" / "old").mkdir(parents=True)
    (runs / "status" / "stages" / f"{dead}.json").write_text("{}")
    for key in (dead, live):
        (runs / "status" / "stages" / f".{key}.json.0123abcd").write_text("{")
    next((runs / "records").iterdir()).joinpath(".fill.json.0123abcd").write_text("{")
    for key in (dead, live):
        with store.lock(key):
            store.build(key)
            (runs / "work" / f"{key}.reads").write_text("")
    with store.lock(live):
        code, output = wsss("store", "gc", "--runs", runs)
        assert code == 0, output
        assert "in use, not deleted: 4 " in output
    left = [item.path.name for item in survey(store, Rules()) if item.what in (HALF_BUILT, WORK, TRACE)]
    assert left
    assert all(live in name for name in left)
    assert not {item.what for item in survey(store, Rules())} & {DAMAGED, SET_ASIDE}


def test_what_another_process_holds_is_not_deleted(runs):
    store = Store(runs)
    artifact = next(store.artifacts())
    with store.lock(artifact.key):
        assert "in use, not deleted: 1 " in wsss("store", "gc", "--runs", runs, "--all-artifacts").output
    assert [left.key for left in store.artifacts()] == [artifact.key]


def test_a_live_lease_protects_and_that_of_an_interrupted_run_until_plans_are_named(runs, run, write_config):
    store = Store(runs)
    orphans = {item.key for item in survey(store, Rules()) if not item.needed}
    owner = next((runs / "records").iterdir()).name
    with suppress(KeyboardInterrupt), store.lease(owner, orphans):
        assert [lease.live for lease in store.leases()] == [True]
        assert not any(store.discard(key) for key in orphans)
        wsss("store", "gc", "--runs", runs, "--all-artifacts")
        assert {artifact.key for artifact in store.artifacts()} == orphans
        raise KeyboardInterrupt
    assert [lease.live for lease in store.leases()] == [False]
    wsss("store", "gc", "--runs", runs)
    assert {artifact.key for artifact in store.artifacts()} == orphans
    wsss("store", "gc", "--runs", runs, "--keep", write_config(), "--plugin", PLUGIN)
    assert not names(runs)
    run()
    assert not store.leases(), "the next run that ends well takes the lease away"


def test_a_store_that_cannot_be_written_is_read_without_a_lease(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "locks").write_text("")
    store = Store(tmp_path / "runs")
    with store.lease("toy", ["k"]):
        assert not store.leases()


def test_pruning_beside_a_run_disturbs_neither(write_config, tmp_path):
    config, runs, count = write_config(methods=["learnt", "twice"], seeds=[0, 1]), tmp_path / "runs", tmp_path / "count"
    environment = {**os.environ, "TOY_SLEEP": "0.02", "TOY_COUNTER": str(count)}
    command = [sys.executable, "-m", "tests.engine.toy_run", str(config), str(runs), "2"]
    process = subprocess.Popen(command, env=environment, cwd=ROOT)
    passes = 0
    while process.poll() is None:
        if (runs / "status").exists():
            code, output = wsss("store", "gc", "--runs", runs, "--all-artifacts")
            assert code == 0, output
            passes += 1
        time.sleep(0.02)
    assert (process.returncode, passes > 2) == (0, True)
    assert {record["status"] for record in records(runs).values()} == {"ok"}
    expected = Counter(spec.kind for spec in make_plan(config)[0].stages.values())
    counted = Counter(line.split()[0] for line in count.read_text().splitlines())
    assert (counted["learn"], counted["train"]) == (expected["shared"], expected["segmenter"])


def test_a_record_that_cannot_be_read_stops_it_before_anything_is_deleted(runs):
    before = names(runs)
    path = next(runs.glob("records/*/fill--*.json"))
    path.write_text("{")
    code, output = wsss("store", "gc", "--runs", runs)
    assert (code, names(runs)) == (2, before)
    assert "no valid JSON" in output


def test_a_missing_runs_folder_is_one_sentence(tmp_path):
    code, output = wsss("store", "gc", "--runs", tmp_path / "none")
    assert code == 2
    assert "no such folder" in output
