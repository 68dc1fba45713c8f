"""A measured number stands beside a reported one of the same kind only, under its own name."""

from pathlib import Path

import pytest

from harness.leaderboard import build_board, load_runs
from harness.leaderboard.columns import REPORTED
from harness.leaderboard.frame import ReportedNumber
from harness.leaderboard.page.claims import reported_of
from harness.leaderboard.page.rows import table_of
from harness.leaderboard.render import to_csv, to_markdown
from harness.leaderboard.reported import closest_reported, kind_of, measured_like
from harness.leaderboard.schema import read_board

ROOT = Path(__file__).parents[2]


def number(metric, split, value=0.7, **fields):
    return ReportedNumber(value=value, metric=metric, dataset="voc2012", split=split, source="Table 2", **fields)


@pytest.fixture
def row(records):
    records.add("mine", wrong=0.3)
    return build_board(load_runs(records.runs)).rows[0].model_copy(update={"pseudo_miou": 0.9, "val_miou": 0.4})


@pytest.mark.parametrize(
    ("metric", "split", "kind"),
    [
        ("val mIoU", "val", "val"),
        ("val mIoU", "not confirmed", "val"),
        ("mIoU", "val2017", "val"),
        ("mIoU", "not confirmed", None),
        ("val mIoU", "test", None),
        ("test mIoU", "test", None),
        ("val mIoU", "train", None),
        ("pseudo-label mIoU", "train_aug", "pseudo"),
        ("pseudo-label mIoU", "not confirmed", "pseudo"),
        ("pseudo-label mIoU", "val (of CAMs)", None),
        ("pseudo-label mIoU", "trainval", None),
        ("boundary F", "val", None),
    ],
)
def test_the_kind_of_a_reported_number_follows_from_metric_and_split(metric, split, kind):
    assert kind_of(number(metric, split)) == kind


def test_a_validation_number_whose_split_is_not_confirmed_stands_beside_predictions_never_beside_pseudo_labels(row):
    found = measured_like(row, number("val mIoU", "not confirmed"))
    assert (found.name, found.value) == ("val mIoU", 0.4)
    found = measured_like(row, number("pseudo-label mIoU", "train"))
    assert (found.name, found.value) == ("pseudo-label mIoU (train)", 0.9)


@pytest.mark.parametrize("reported", [number("test mIoU", "test"), number("pseudo-label mIoU", "val (of CAMs)")])
def test_a_number_of_a_kind_that_is_not_measured_has_a_dash_beside_it(row, reported):
    (view,) = reported_of([row.model_copy(update={"reported": [reported]})])
    assert (view.measured, view.measured_name, view.difference) == ("—", "", "—")
    assert (view.verdict, view.reason) == ("not comparable", "no number of this metric and split is measured here")


def test_the_page_names_the_measured_number_with_its_own_split(row):
    numbers = [number("pseudo-label mIoU", "train"), number("val mIoU", "not confirmed")]
    views = reported_of([row.model_copy(update={"reported": numbers})])
    assert [(view.metric, view.measured_name, view.measured[:4]) for view in views] == [
        ("val mIoU", "val mIoU", "40.0"),
        ("pseudo-label mIoU", "pseudo-label mIoU (train)", "90.0"),
    ]
    assert "split not confirmed" in views[0].reason


def test_the_column_of_reported_numbers_prefers_predictions_on_validation_images_and_else_names_the_metric(records):
    plain = [number("test mIoU", "test", 0.8), number("val mIoU", "not confirmed", 0.6), number("val mIoU", "val", 0.7)]
    records.add("mine", reported=[item.model_dump() for item in plain])
    records.add("labels", reported=[number("pseudo-label mIoU", "val (of CAMs)", 0.5).model_dump()])
    board = build_board(load_runs(records.runs))
    rows = {row.method: row for row in board.rows}
    assert closest_reported(rows["mine"]).value == 0.7
    assert REPORTED.text(rows["mine"]) == "70.0 (voc2012 val)"
    named = "pseudo-label mIoU, voc2012 val (of CAMs)"
    assert REPORTED.text(rows["labels"]) == f"50.0 ({named})"
    assert f"50.0 ({named})" in to_markdown(board)
    assert named in to_csv(board)
    cells = [cell.sub for row in table_of(board).rows for cell in row.cells if row.name == "labels"]
    assert named in cells


@pytest.mark.parametrize(
    ("table", "method", "measured"),
    [
        ("demo", "label_uncertainty", {"65.8"}),
        ("voc_animals_quick", "label_uncertainty", {"65.9", "62.6"}),  # a backbone each
        ("weizmann_horse_boxes", "label_uncertainty", {"79.0"}),
    ],
)
def test_committed_tables_set_predictions_beside_reported_validation_numbers(table, method, measured):
    board = read_board((ROOT / "leaderboards" / table / f"{table}.json").read_text(encoding="utf-8"))
    views = [view for view in reported_of(board.rows) if view.method == method]
    assert {(view.metric, view.measured_name) for view in views} == {("val mIoU", "val mIoU")}
    assert {view.measured[:4] for view in views} == measured
    page = (ROOT / "leaderboards" / table / f"{table}.html").read_text(encoding="utf-8")
    assert f"{views[0].measured}<small>val mIoU</small>" in page
