"""Progress is drawn for people and mirrored for other terminals."""

import io
import json

from rich.console import Console

from harness.engine.progress import CellState, ProgressDisplay, Sweep, duration, read_status, summary, table
from tests.engine.toy import make_plan


def drawn(sweep):
    stream = io.StringIO()
    Console(file=stream, width=160).print(table(sweep))
    return stream.getvalue()


def test_a_line_a_cell_with_stage_bar_and_time_left(write_config, tmp_path):
    plan, _ = make_plan(write_config(methods=["fill", "learnt"]))
    stream = io.StringIO()
    progress = ProgressDisplay(plan, tmp_path, Console(file=stream, width=160))
    report = tmp_path / "status" / "stages" / "key.json"
    report.parent.mkdir(parents=True)
    report.write_text(json.dumps({"done": 1, "total": 4}))
    with progress.shown():
        progress.cell(plan.cells[1], status="failed", note="learn: ValueError: no")
        progress.stages(plan.cells[0], done=1, running="r1/segmenter toy", key="key", begun=1.0)
        text = drawn(progress.sweep)
        progress.tick()
        (sweep,) = read_status(tmp_path)
    assert sweep.cells[0].share == 0.25
    assert sweep.alive
    assert not sweep.finished
    assert "fill--net--s0   running" in text
    assert "r1/segmenter toy" in text
    assert "left" in text
    assert "toy: 1 running, 1 failed; now r1/segmenter toy" in text
    assert "learnt--net--s0: failed (learn: ValueError: no)" in stream.getvalue()


def test_a_status_file_that_cannot_be_written_stops_nothing(write_config, tmp_path):
    plan, _ = make_plan(write_config(methods=["fill"]))
    (tmp_path / "runs").write_text("a file in the way")
    inside = False
    with ProgressDisplay(plan, tmp_path / "runs").shown():
        inside = True
    assert inside
    assert (tmp_path / "runs").read_text() == "a file in the way"


def test_many_cells_are_cut_with_a_count():
    sweep = Sweep("many", "records", cells=[CellState(f"cell{n}", 3) for n in range(100)])
    assert "(60 more)" in drawn(sweep)
    assert summary(sweep) == "many: 100 waiting"


def test_a_run_of_a_dead_process_or_of_another_machine_is_told_apart():
    assert Sweep("x", "r", pid=2**22 - 3).alive is False
    assert Sweep("x", "r", host="elsewhere").alive is None


def test_durations_read_like_people_say_them():
    assert [duration(s) for s in (5, 200, 7800)] == ["5 s", "3 min", "2 h 10 min"]
