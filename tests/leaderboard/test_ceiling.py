"""The row ``full`` is a ceiling or the table says that it is none; a row of more steps says so."""

import json

import pytest

from harness.contract import Claim
from harness.contract.run_record import RunRecord
from harness.leaderboard import build_board, ceiling, load_runs
from harness.leaderboard.page.page import to_html
from harness.leaderboard.render import to_csv, to_json, to_markdown
from tests.leaderboard.board_records import Records


def rounds(*warm_starts, segmenter=True):
    """Rounds of one generator, each from the weights of the one before or from the initial ones."""
    made = {"name": "made", "params": {}}
    part = made if segmenter else None
    return [{"generator": made, "refiners": [], "segmenter": part, "warm_start": warm} for warm in warm_starts]


def table(runs, **options):
    board = build_board(load_runs(runs), **options)
    return board, {row.method: row for row in board.rows}


@pytest.mark.parametrize(
    ("warm_starts", "segmenter", "expected"),
    [
        ((False,), True, 1),
        ((False, False), True, 1),
        ((False, True, True), True, 3),
        ((False, True, False, True), True, 2),
        ((False, True), False, 1),
    ],
)
def test_steps_add_up_over_the_rounds_that_go_on_from_weights(tmp_path, warm_starts, segmenter, expected):
    path = Records(tmp_path).add("a", rounds=rounds(*warm_starts, segmenter=segmenter), scores=())
    assert RunRecord.model_validate_json(path.read_text()).trainings == expected


def test_a_row_of_three_times_the_steps_is_marked_with_a_note(tmp_path):
    records = Records(tmp_path)
    records.add("full", wrong=0.1, rounds=rounds(False))
    records.add("two_from_scratch", wrong=0.2, rounds=rounds(False, False))
    records.add("longer", wrong=0.3, rounds=rounds(False, True, True), reconstruction=True)
    board, rows = table(tmp_path)
    text = to_markdown(board)
    assert "| longer (reconstruction, 3x steps) |" in text
    assert "| full (" not in text
    assert "two_from_scratch (" not in text
    assert ceiling.STEPS in board.notes
    assert "reconstruction · 3x steps" in to_html(board)
    assert (rows["longer"].trainings, rows["two_from_scratch"].trainings, rows["full"].trainings) == (3, None, None)
    written = {row["method"]: row for row in json.loads(to_json(board))["rows"]}
    assert written["longer"]["trainings"] == 3
    assert "trainings" not in written["full"]


def test_percent_of_full_is_of_the_row_full_of_as_many_steps(tmp_path):
    records = Records(tmp_path)
    records.add("full", wrong=0.2, rounds=rounds(False))
    records.add("full_3x", wrong=0.1, method="full", rounds=rounds(False, True, True))
    records.add("longer", wrong=0.3, rounds=rounds(False, True, True))
    records.add("short", wrong=0.3, rounds=rounds(False))
    _, rows = table(tmp_path)
    assert rows["full"].percent_of_full == rows["full_3x"].percent_of_full == 1.0
    assert rows["longer"].percent_of_full == rows["longer"].val_miou / rows["full_3x"].val_miou
    assert rows["short"].percent_of_full == rows["short"].val_miou / rows["full"].val_miou


def test_a_row_whose_paired_interval_lies_above_full_says_that_full_is_no_ceiling(tmp_path):
    records = Records(tmp_path)
    records.add("full", wrong=0.4)
    records.add("above", wrong=0.1)
    records.add("alike", wrong=0.4)
    records.add("below", wrong=0.6)
    board, rows = table(tmp_path)
    assert [name for name, row in rows.items() if row.above_full] == ["above"]
    (note,) = [note for note in board.notes if "no ceiling" in note]
    assert "of above minus `full` lies above 0" in note
    share = f"{100 * rows['above'].percent_of_full:.1f}"
    assert f"| {share}, above full |" in " ".join(to_markdown(board).split())
    assert "above full" in to_html(board)
    assert "above_full" in to_csv(board)


def test_full_that_no_row_passes_is_a_ceiling_without_a_word(tmp_path):
    records = Records(tmp_path)
    records.add("full", wrong=0.1)
    records.add("below", wrong=0.4)
    board, _ = table(tmp_path)
    assert not [note for note in board.notes if "ceiling" in note]
    assert "above" not in to_csv(board) + to_markdown(board).split("|", 1)[1]


def test_a_longer_row_passes_the_full_of_its_own_length_alone(tmp_path):
    records = Records(tmp_path)
    records.add("full", wrong=0.4, rounds=rounds(False))
    records.add("full_2x", wrong=0.1, method="full", rounds=rounds(False, True))
    records.add("longer", wrong=0.2, rounds=rounds(False, True))
    _, rows = table(tmp_path)
    assert not any(row.above_full for row in rows.values())


def test_the_answer_to_a_claim_says_where_the_steps_differ(tmp_path):
    records = Records(tmp_path)
    records.add("longer", wrong=0.1, rounds=rounds(False, True, True))
    records.add("short", wrong=0.4, rounds=rounds(False))
    records.add("other", wrong=0.6, rounds=rounds(False))
    claims = [Claim("longer", "short", "Table 1"), Claim("short", "other", "Table 1")]
    board, _ = table(tmp_path, claims=claims)
    reasons = [answer.reason for answer in board.claims]
    assert reasons[0].endswith("; the steps differ: 3x and 1x")
    assert "steps" not in reasons[1]
