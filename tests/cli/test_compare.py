"""Promises of ``wsss compare``."""

import pytest

from harness.cli.compare import change_text
from tests.commands import wsss
from tests.leaderboard.board_records import Records


def test_settings_come_first_then_statistics_classes_and_images(records):
    for seed in (0, 1):
        records.add("one", wrong=0.4, seed=seed, params={"k": 1})
        records.add("two", wrong=0.1, seed=seed, params={"k": 2})
    code, output = wsss("compare", "one", "two", "--runs", records.runs, "--images", 3)
    assert code == 0
    parts = ["A = one, B = two", "params.k", "code: no difference", "val mIoU: B - A = +", "class", "images: 12 better"]
    places = [output.index(part) for part in parts]
    assert places == sorted(places)
    assert "2 seeds (0 1) that both rows have" in output
    assert "real at the 5 % level" in output
    assert "never" not in output, "a class that the truth lacks has no change"
    assert output.split("changed most")[1].count("\n i") == 3


def test_equal_rows_have_no_change(records):
    records.add("one")
    records.add("two", method="one")
    code, output = wsss("compare", "one", "two", "--runs", records.runs, "--score", "pseudo")
    assert code == 0
    assert "settings: no difference" in output
    assert "pseudo-label mIoU: B - A = +0.00 points, 95 % interval [+0.00, +0.00], p = 1.0000 (not told apart" in output
    assert "images: 0 better in B, 0 worse, 12 equal" in output


def test_a_change_that_rounds_to_nothing_has_no_minus():
    assert change_text(-0.0, -0.04, 0.04) == "+0.0 [+0.0, +0.0]"
    assert change_text(-0.06, -0.1, 2.0) == "-0.1 [-0.1, +2.0]"


def test_two_folders_are_compared_row_by_row(records, tmp_path):
    other = Records(tmp_path / "other")
    for row in ("cam", "full"):
        records.add(row)
        other.add(row, protocol={"scoring": {"bootstrap": 200}}, fingerprint="f" * 16)
    code, output = wsss("compare", records.runs, other.runs)
    assert code == 0
    assert output.count("protocol.scoring.bootstrap") == 2
    assert "A = cam (demo 01234567), B = cam (demo ffffffff)" in output


def test_rows_that_were_scored_on_other_images_get_no_statistics(records):
    records.add("one")
    dataset = {
        "name": "toy",
        "classes": ["background", "cat", "dog", "never"],
        "images": {},
        "digests": {"val/ids": "x"},
    }
    records.add("two", dataset=dataset, fingerprint="f" * 16)
    code, output = wsss("compare", "one", "two", "--runs", records.runs)
    assert code == 0
    assert "no statistics: the data differ in val/ids" in output
    assert "mIoU: B - A" not in output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("one", "absent"), "there is no row 'absent'; rows are: one"),
        (("one", "one", "--score", "test"), "--score: 'test' is none of val, pseudo"),
    ],
)
def test_wrong_usage_is_one_sentence_and_code_2(records, arguments, words):
    records.add("one")
    code, output = wsss("compare", *arguments, "--runs", records.runs)
    assert (code, words in output) == (2, True), output
