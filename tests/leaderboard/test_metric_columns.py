"""A registered metric is a column with an interval in every rendering that `--columns` chooses, and none else."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from harness.cli.main import app
from harness.contract import ConfigError, MetricRecord, PluginError
from harness.leaderboard import build_board, load_runs, to_rich
from harness.leaderboard.chosen import column_names
from harness.leaderboard.metrics import Metric, known_metrics
from harness.leaderboard.page.page import to_html
from harness.leaderboard.render import to_csv, to_json, to_latex, to_markdown
from harness.leaderboard.schema import read_board
from harness.registry import manager
from harness.scoring.metrics import pixel_accuracy
from tests.leaderboard.board_records import CLASSES

ROOT = Path(__file__).parents[2]

CAT_RECALL = """
from harness.contract import MetricRecord, hookimpl

def cat_recall(params):
    return lambda confusion: confusion[..., 1, 1] / confusion[..., 1, :].sum(-1)

@hookimpl
def wsss_metrics():
    yield MetricRecord("cat_recall", cat_recall, column="recall of cats", summary="found cats", of=("predictions",))
"""


@pytest.fixture
def plugin(tmp_path):
    file = tmp_path / "cat_recall.py"
    file.write_text(CAT_RECALL)
    return file


def asked(runs, *names, plugins=()):
    known = known_metrics(manager(plugin_files=plugins))
    board = build_board(load_runs(runs), metrics=[known[name] for name in names])
    return board.model_copy(update={"columns": ["method", *names]})


def cat_recalls(run):
    total = run.confusions("val").total()
    return total[1, 1] / total[1].sum()


def test_one_record_in_one_file_is_a_column_with_interval_in_every_rendering(sweep, plugin):
    board = asked(sweep.runs, "val_cat_recall", plugins=[plugin])
    row = next(row for row in board.rows if row.method == "cam_new")
    runs = [run for run in load_runs(sweep.runs) if run.record.label == "cam_new"]
    found = row.metrics["val_cat_recall"]
    assert found.value == pytest.approx(np.mean([cat_recalls(run) for run in runs]))
    assert found.low < found.value < found.high
    shown = f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"

    line = next(line for line in to_markdown(board).splitlines() if line.startswith("| cam_new"))
    assert [cell.strip() for cell in line.strip("|").split("|")][1] == shown
    assert "val recall of cats" in to_markdown(board)
    assert shown in to_latex(board)
    console = Console(width=200, file=io.StringIO())
    console.print(to_rich(board))
    assert shown in console.file.getvalue()
    assert "val recall of cats" in console.file.getvalue()

    (cells,) = [line for line in csv.DictReader(io.StringIO(to_csv(board))) if line["method"] == "cam_new"]
    ends = ("val_cat_recall", "val_cat_recall_low", "val_cat_recall_high")
    assert tuple(float(cells[name]) for name in ends) == (found.value, found.low, found.high)
    data = json.loads(to_json(board))
    assert data["metrics"]["val_cat_recall"] == {"header": "val recall of cats", "about": "found cats", "percent": True}
    (written,) = [row for row in data["rows"] if row["method"] == "cam_new"]
    assert written["metrics"]["val_cat_recall"] == found.model_dump()
    page = to_html(board)
    assert "val recall of cats" in page
    assert f"{100 * found.low:.1f}\N{EN DASH}{100 * found.high:.1f}" in page


def test_the_miou_of_the_table_and_the_metric_miou_are_the_same_numbers_to_the_bit(sweep):
    known = known_metrics(manager())
    board = build_board(load_runs(sweep.runs), metrics=[known["val_miou"], known["pseudo_miou"]])
    scored = [row for row in board.rows if row.val_miou is not None]
    assert len(scored) == 3
    for row in scored:
        for name in ("val_miou", "pseudo_miou"):
            expected = tuple(getattr(row, name + end) for end in ("", "_low", "_high"))
            assert tuple(row.metrics[name].model_dump().values()) == expected


def test_without_asking_no_rendering_changes(sweep):
    plain = build_board(load_runs(sweep.runs))
    assert "metrics" not in json.loads(to_json(plain))
    assert all("metrics" not in row for row in json.loads(to_json(plain))["rows"])
    assert "pixel_accuracy" not in to_csv(plain)


def test_every_built_in_metric_gives_its_columns(sweep):
    known = {name: metric for name, metric in known_metrics(manager()).items() if not metric.record.counts}
    board = build_board(load_runs(sweep.runs), metrics=list(known.values()))
    full = board.rows[0]
    assert set(full.metrics) == set(known)
    assert {"val_pixel_accuracy", "pseudo_recall", "val_foreground_iou", "pseudo_label_coverage"} <= set(known)
    assert "val_label_coverage" not in known, "predictions cover every pixel"
    assert all(0 <= one.low <= one.value <= one.high <= 1 for one in full.metrics.values())


def test_a_metric_whose_counts_the_records_lack_says_how_to_get_them(sweep):
    metric = known_metrics(manager())["val_boundary_iou"]
    words = r"'val_boundary_iou' needs counts of boundary, .* -o protocol\.scoring\.counts=\[boundary\]"
    with pytest.raises(ConfigError, match=words):
        build_board(load_runs(sweep.runs), metrics=[metric])


def test_a_failed_row_and_a_row_without_a_value_have_an_empty_cell(records):
    records.add("cam", scores=("pseudo",))
    records.add("broken", status="failed", error={"stage": "fit", "kind": "RuntimeError", "message": "no"})
    board = asked(records.runs, "val_pixel_accuracy", "pseudo_pixel_accuracy")
    cells = {row["method"]: row for row in csv.DictReader(io.StringIO(to_csv(board)))}
    assert cells["cam"]["val_pixel_accuracy"] == cells["broken"]["pseudo_pixel_accuracy_high"] == ""
    assert float(cells["cam"]["pseudo_pixel_accuracy"]) > 0
    assert "—" in to_html(board)


def test_json_with_metrics_is_read_again_and_rendered(sweep):
    board = asked(sweep.runs, "val_pixel_accuracy", "pseudo_precision")
    again = read_board(to_json(board))
    assert to_json(again) == to_json(board)
    assert "val pixel accuracy" in to_markdown(again)
    assert "pseudo precision (train)" in to_latex(again)
    assert "val_pixel_accuracy_low" in to_csv(again)


def test_the_text_of_a_metric_is_no_markup_and_stays_on_its_line(sweep):
    record = MetricRecord("mine", lambda params: pixel_accuracy, column="<b>a|b</b>\n$x_1$", summary="x\n# y <i>")
    board = build_board(load_runs(sweep.runs), metrics=[Metric("val_mine", "val", record)])
    board = board.model_copy(update={"columns": ["method", "val_mine"]})
    markdown, page = to_markdown(board), to_html(board)
    assert r"val &lt;b>a\|b&lt;/b> \$x_1\$" in markdown
    assert "\n# y" not in markdown
    assert "<b>a" not in page
    assert "<i>" not in page
    assert r"\$x\_1\$" in to_latex(board)
    console = Console(width=200, file=io.StringIO())
    console.print(to_rich(board))
    assert "<b>a|b</b>" in console.file.getvalue()


def test_a_number_that_is_no_share_is_shown_as_it_is(sweep):
    record = MetricRecord("pixels", lambda params: lambda confusion: confusion.sum((-2, -1)), percent=False)
    metric = Metric("val_pixels", "val", record)
    board = build_board(load_runs(sweep.runs), metrics=[metric])
    board = board.model_copy(update={"columns": ["val_pixels"]})
    assert "768.00 [768.00, 768.00]" in to_markdown(board)
    assert "768.00\N{EN DASH}768.00" in to_html(board)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda confusion: confusion[0, 0], "must return one number for each confusion: for \\(1, 2\\) of them"),
        (lambda confusion: 1 // 0, "metric 'mine' raised ZeroDivisionError"),
        (lambda confusion: "no number", "metric 'mine' raised ValueError"),
        (lambda confusion: {}["two\nlines"], "metric 'mine' raised KeyError: [^\\n]*$"),
    ],
)
def test_a_metric_that_cannot_be_computed_is_one_sentence(sweep, function, words):
    metric = Metric("val_mine", "val", MetricRecord("mine", lambda params: function))
    with pytest.raises(PluginError, match=words):
        build_board(load_runs(sweep.runs), metrics=[metric])


def test_a_factory_that_returns_no_function_is_one_sentence(sweep):
    metric = Metric("val_mine", "val", MetricRecord("mine", lambda params: 0.5))
    with pytest.raises(PluginError, match="metric 'mine': its factory must return a function, got float"):
        build_board(load_runs(sweep.runs), metrics=[metric])


def test_the_names_of_metrics_are_known_and_a_wrong_one_finds_the_nearest():
    known = known_metrics(manager())
    assert column_names("method,val_pixel_accuracy", known) == ["method", "val_pixel_accuracy"]
    with pytest.raises(ConfigError, match="did you mean 'val_pixel_accuracy'"):
        column_names("val_pixel_acuracy", known)
    with pytest.raises(ConfigError, match="is no column"):
        column_names("val_pixel_accuracy")


def test_the_command_takes_a_metric_of_a_plugin_file(sweep, plugin, tmp_path, monkeypatch):
    monkeypatch.setenv("WSSS_PLUGINS", "")
    arguments = ["leaderboard", str(sweep.runs), "--plugin", str(plugin), "--out", str(tmp_path / "tables")]
    result = CliRunner().invoke(app, [*arguments, "--columns", "method,val_cat_recall"])
    assert result.exit_code == 0, result.output
    for suffix in ("md", "json", "tex", "html"):
        assert "val recall of cats" in (tmp_path / "tables" / f"demo.{suffix}").read_text()
    header = (tmp_path / "tables" / "demo.csv").read_text().splitlines()[0]
    assert header == "method,val_cat_recall,val_cat_recall_low,val_cat_recall_high"
    assert CliRunner().invoke(app, [*arguments, "--columns", "val_cat_recal"]).exit_code == 2


def test_all_classes_are_those_of_the_data_set(sweep):
    shapes = []

    def metric(confusion):
        shapes.append(confusion.shape)
        return confusion.sum((-2, -1))

    record = MetricRecord("shape", lambda params: metric)
    build_board(load_runs(sweep.runs), metrics=[Metric("val_shape", "val", record)])
    classes = len(CLASSES)
    assert {shape[1:] for shape in shapes} == {(2, classes, classes + 1)}
    assert {shape[0] for shape in shapes} == {1, 100}, "the value, and all resamples at once"


def test_the_metric_of_the_guide_is_a_column_of_the_command_that_the_guide_shows(sweep, tmp_path, monkeypatch):
    page = (ROOT / "docs/more-components.md").read_text()
    (source,) = re.findall(r"^```python file=worst_class.py\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (command,) = re.findall(r"^    wsss (leaderboard demo --plugin worst_class.py .*)", page, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSSS_PLUGINS", "")
    (tmp_path / "worst_class.py").write_text(source)
    result = CliRunner().invoke(app, command.replace(" demo ", f" {sweep.runs} ").split())
    assert result.exit_code == 0, result.output
    rows = {row["method"]: row for row in json.loads((tmp_path / "tables/demo.json").read_text())["rows"]}
    held = [iou for iou in rows["full"]["class_iou"] if iou is not None]
    assert rows["full"]["metrics"]["val_worst_class"]["value"] <= min(held)
    assert rows["full"]["metrics"].keys() == {"val_worst_class", "pseudo_worst_class"}
