"""Initial weights that saw pixel masks are flagged in the supervision column."""

import pytest

from harness.leaderboard import build_board, load_runs
from harness.leaderboard.initial_weights import with_initial_weights
from harness.leaderboard.page.plots import series_of


@pytest.mark.parametrize(
    ("supervision", "init", "column"),
    [
        ("I", "ImageNet-1k", "I"),
        ("I", "random", "I"),
        ("I", "COCO", "I + COCO F init"),
        ("B+F18%", "ImageNet-1k, COCO pixel masks", "B+F18% + COCO F init"),
        ("I", "ImageNet-1k, COCO (masks) + VOC", "I + COCO F init + VOC F init"),
        ("I", "ImageNet-1k then MS-COCO 2017", "I + COCO F init"),
        ("I", "COCO boxes", "I"),
        ("I", "COCO (captions)", "I"),
        ("I", "Cocoa photographs", "I"),
        ("none", "COCO", "none"),
    ],
)
def test_masks_behind_initial_weights_stand_beside_the_letters(supervision, init, column):
    assert with_initial_weights(supervision, init) == column


def test_the_table_and_its_plot_show_the_flag_and_the_hours_stay_those_of_the_method(records):
    records.add("cam", init="ImageNet-1k, COCO pixel masks")
    records.add("plain", init="ImageNet-1k")
    rows = {row.method: row for row in build_board(load_runs(records.runs)).rows}
    assert rows["cam"].supervision == "I + COCO F init"
    assert rows["plain"].supervision == "I"
    assert rows["cam"].annotation_hours == rows["plain"].annotation_hours
    assert {series.name for series in series_of(rows.values()).values()} == {"tags", "tags and COCO F init"}
