"""What a table says so that nobody compares what is not comparable: train and val, drawn and derived boxes, shapes."""

import io

import pytest
from rich.console import Console
from typer.testing import CliRunner

from harness.cli.main import app
from harness.contract.run_record import DatasetInfo
from harness.engine.plan.keys import fingerprint_of
from harness.leaderboard import build_board, load_runs, to_rich
from harness.leaderboard.annotation import needs_boxes
from harness.leaderboard.metrics import usual_metrics
from harness.leaderboard.page.page import to_html
from harness.leaderboard.page.rows import table_of
from harness.leaderboard.render import to_csv, to_json, to_markdown
from harness.registry import manager
from harness.scoring.metrics import foreground_iou
from tests.leaderboard.board_records import DATASET, Records, one_round

SOME = DATASET | {"boxes_from_masks": ["dog"]}
ALL = DATASET | {"boxes_from_masks": ["cat", "dog", "never"]}


def board_of(runs, **options):
    board = build_board(load_runs(runs), **options)
    return board, {row.method: row for row in board.rows}


def fill(records, dataset):
    for label, supervision in (("tags", "I"), ("boxes", "B"), ("mixed", "B+F18%"), ("others", "I+B(aux)")):
        records.add(label, supervision=supervision, dataset=dataset)


@pytest.mark.parametrize(
    ("supervision", "expected"),
    [("B", True), ("I+B", True), ("B18%+F", True), ("I", False), ("B(aux)+F(aux)", False), ("none", False)],
)
def test_boxes_of_the_training_images_are_told_from_those_of_other_images(supervision, expected):
    assert needs_boxes(supervision) == expected


@pytest.mark.parametrize(("dataset", "which"), [(SOME, "Boxes of dog are"), (ALL, "Boxes of this data set are")])
def test_boxes_that_nobody_drew_are_marked_and_cost_no_human_hours(tmp_path, dataset, which):
    fill(Records(tmp_path), dataset)
    board, rows = board_of(tmp_path)
    assert {name for name, row in rows.items() if row.boxes_from_masks} == {"boxes", "mixed"}
    assert {name for name, row in rows.items() if row.annotation_hours is None} == {"boxes", "mixed", "others"}
    text = to_markdown(board)
    assert "| B+F18% (boxes from masks) |" in text
    assert len([note for note in board.notes if note.startswith(which)]) == 1
    supervision = {row.name: row.cells[4] for row in table_of(board).rows}
    assert (supervision["boxes"].text, supervision["boxes"].sub) == ("B", "boxes from masks")
    assert supervision["tags"].sub == ""
    assert "boxes_from_masks" in to_csv(board)


def test_boxes_that_people_drew_are_charged_and_nothing_is_said(tmp_path):
    fill(Records(tmp_path), DATASET)
    board, rows = board_of(tmp_path)
    assert rows["boxes"].annotation_hours == pytest.approx(36 * 38.1 / 3600)
    assert "from masks" not in to_markdown(board) + to_html(board)
    assert "boxes_from_masks" not in to_json(board)


def test_points_and_scribbles_that_a_rule_made_are_marked_and_cost_no_human_hours(tmp_path):
    records, made = Records(tmp_path), DATASET | {"made_from_masks": ["points", "scribbles"]}
    for label, supervision in (("tags", "I"), ("dots", "P"), ("both", "P50%+Sc"), ("others", "I+P(aux)")):
        records.add(label, supervision=supervision, dataset=made)
    board, rows = board_of(tmp_path)
    assert {name: row.made_from_masks for name, row in rows.items()} == {
        "tags": [],
        "dots": ["points"],
        "both": ["points", "scribbles"],
        "others": [],
    }
    assert {name for name, row in rows.items() if row.annotation_hours is None} == {"dots", "both", "others"}
    text = to_markdown(board)
    assert "| P50%+Sc (points from masks, scribbles from masks) |" in text
    assert "A rule makes the points and scribbles of this data set from masks" in text
    assert {row.name: row.cells[4].sub for row in table_of(board).rows}["dots"] == "points from masks"
    assert "made_from_masks" in to_csv(board)
    page = to_html(board)
    for words in ("P points, Sc scribbles, F pixel masks", "points and scribbles", "scribbles from masks"):
        assert words in page
    plain = DatasetInfo.model_validate(DATASET)
    assert plain.identity() == DatasetInfo.model_validate(made).identity()
    assert "made_from_masks" not in plain.model_dump(mode="json")


def test_points_that_people_clicked_are_charged_and_nothing_is_said(tmp_path):
    Records(tmp_path).add("dots", supervision="P", dataset=DATASET)
    board, rows = board_of(tmp_path)
    assert rows["dots"].annotation_hours == pytest.approx(36 * 22.1 / 3600)
    assert "from masks" not in to_markdown(board) + to_html(board)
    assert "made_from_masks" not in to_json(board)


def test_where_boxes_come_from_is_said_and_is_no_setting():
    """It follows from the content hashes; records from before it was said stay comparable."""
    drawn, derived = DatasetInfo.model_validate(DATASET), DatasetInfo.model_validate(ALL)
    assert drawn.identity() == derived.identity()
    assert fingerprint_of({}, drawn) == fingerprint_of({}, derived)
    assert "boxes_from_masks" not in drawn.model_dump(mode="json")


def test_tags_with_mistakes_are_marked_and_told_and_a_table_of_their_own(tmp_path):
    noisy = DATASET | {"tag_noise": {"drop": 0.1, "add": 0.05, "seed": 0}}
    fill(Records(tmp_path), noisy)
    board, rows = board_of(tmp_path)
    assert {name for name, row in rows.items() if row.noisy_tags} == {"tags", "others"}
    text = to_markdown(board)
    assert "| I (noisy tags) " in text
    assert len([note for note in board.notes if "each is left out with probability 0.1, and each class" in note]) == 1
    assert {row.name: row.cells[4].sub for row in table_of(board).rows}["tags"] == "noisy tags"
    console = Console(width=160, file=io.StringIO())
    console.print(to_rich(board))
    assert "left out with probability 0.1" in " ".join(console.file.getvalue().split())
    plain = DatasetInfo.model_validate(DATASET)
    assert fingerprint_of({}, plain) != fingerprint_of({}, DatasetInfo.model_validate(noisy))
    fill(Records(tmp_path / "plain"), DATASET)
    assert "noisy" not in to_json(board_of(tmp_path / "plain")[0])


def test_records_with_and_without_the_word_stand_in_one_table(tmp_path):
    records = Records(tmp_path)
    records.add("old", supervision="I", dataset=DATASET)
    records.add("new", supervision="B", dataset=ALL)
    board, rows = board_of(tmp_path)
    assert rows["new"].boxes_from_masks
    assert not rows["old"].boxes_from_masks
    assert [note for note in board.notes if note.startswith("Boxes of this data set")]


def test_headings_say_train_and_val_and_a_note_that_they_are_not_comparable(tmp_path):
    records = Records(tmp_path)
    records.add("both")
    records.add("labels", rounds=one_round("made"), scores=("pseudo",))
    board, _ = board_of(tmp_path, metrics=usual_metrics(manager()))
    headers = [column.header for column in table_of(board).columns]
    assert {"val mIoU", "pseudo mIoU (train)", "pseudo foreground IoU (train)", "val foreground IoU"} <= set(headers)
    assert all(f" {header} " in to_markdown(board) for header in ("val mIoU", "pseudo mIoU (train)"))
    assert len([note for note in board.notes if "not comparable" in note and "(train)" in note]) == 1


def test_a_table_of_labels_alone_has_nothing_to_confuse_them_with(tmp_path):
    Records(tmp_path).add("labels", rounds=one_round("made"), scores=("pseudo",))
    board, _ = board_of(tmp_path)
    assert not [note for note in board.notes if "not comparable" in note]


def test_localisation_without_classes_is_a_column_unless_columns_are_chosen(tmp_path):
    records = Records(tmp_path / "runs")
    for seed in (0, 1):
        records.add("a", seed=seed)
    runs = load_runs(tmp_path / "runs")
    row = build_board(runs, metrics=usual_metrics(manager())).rows[0]
    each = [float(foreground_iou(run.confusions("val").total())) for run in runs]
    assert row.metrics["val_foreground_iou"].value == pytest.approx(sum(each) / 2)
    arguments = ["leaderboard", str(tmp_path / "runs"), "--format", "md"]
    shown = CliRunner().invoke(app, arguments).stdout
    assert "| val foreground IoU |" in " ".join(shown.split())
    (note,) = [line for line in shown.splitlines() if "whatever the classes" in line]
    assert note.startswith("- pseudo foreground IoU (train), val foreground IoU: ")
    assert "foreground" not in CliRunner().invoke(app, [*arguments, "--columns", "method,val_miou"]).stdout
