"""Rows of different seeds are set against each other over the seeds that both have, and seeds stand beside means."""

import json
from statistics import fmean

import pytest
from rich.console import Console

from harness.contract import Claim
from harness.leaderboard import build_board, load_runs, to_rich
from harness.leaderboard.columns import OF_FULL, SEEDS, claim_cells
from harness.leaderboard.page.page import page_of, to_html
from harness.leaderboard.render import to_csv, to_json, to_latex, to_markdown
from harness.records.seeds import comparable, count_of, list_of, names_of
from tests.leaderboard.html_board import make_board


def board_of(records, **options):
    return build_board(load_runs(records.runs), **options)


def rows_of(board):
    return {row.method: row for row in board.rows}


def terminal(board, width=200):
    console = Console(width=width, no_color=True)
    with console.capture() as captured:
        console.print(to_rich(board))
    return captured.get()


@pytest.fixture
def uneven(records):
    """``full`` over three seeds; ``one`` of the second alone, ``other`` of a seed that nobody has."""
    for seed in (0, 1, 2):
        records.add("full", wrong=(0.1, 0.25, 0.2)[seed], seed=seed, reference=True, supervision="F")
        records.add("all", wrong=0.3, seed=seed)
    records.add("one", wrong=0.4, seed=1)
    records.add("other", wrong=0.05, seed=7)
    return records


def test_the_share_of_full_is_taken_over_the_seeds_that_both_rows_have(uneven):
    rows = rows_of(board_of(uneven))
    full, one = rows["full"], rows["one"]
    assert one.percent_of_full == pytest.approx(one.val_miou / full.val_miou_seeds[1], abs=1e-15)
    assert one.percent_of_full != pytest.approx(one.val_miou / full.val_miou, abs=1e-3)
    assert (one.percent_of_full_seeds, rows["all"].percent_of_full_seeds, full.percent_of_full_seeds) == (
        [1],
        None,
        None,
    )
    assert rows["all"].percent_of_full == rows["all"].val_miou / full.val_miou


def test_without_a_common_seed_there_is_no_share_of_full(uneven):
    other = rows_of(board_of(uneven))["other"]
    assert (other.percent_of_full, OF_FULL.text(other)) == (None, None)


def test_a_row_of_more_seeds_than_full_has_its_share_over_those_of_full(records):
    for seed in (0, 1):
        records.add("mine", wrong=0.2 + 0.3 * seed, seed=seed)
    records.add("full", wrong=0.1, seed=0)
    rows = rows_of(board_of(records))
    assert rows["mine"].percent_of_full == rows["mine"].val_miou_seeds[0] / rows["full"].val_miou
    assert rows["mine"].val_miou == pytest.approx(fmean(rows["mine"].val_miou_seeds))
    assert rows["mine"].percent_of_full_seeds == [0]


def test_a_row_that_shares_no_seed_with_the_ranked_ones_has_no_rank_and_the_table_says_so(uneven):
    board = board_of(uneven)
    assert rows_of(board)["other"].rank is None, "it was rank 1 without a single comparison"
    assert all(rows_of(board)[name].rank for name in ("full", "all", "one"))
    assert any("no seed in common" in note for note in board.notes)
    assert any("over the seeds that both have" in note for note in board.notes)
    assert all("other" not in (pair.left, pair.right) for pair in board.comparisons[0].pairs)


def test_a_difference_is_over_the_seeds_that_both_rows_have(uneven):
    board = board_of(uneven)
    rows = rows_of(board)
    (pair,) = [pair for pair in board.comparisons[0].pairs if {pair.left, pair.right} == {"full", "one"}]
    sign = 1 if pair.left == "full" else -1
    assert pair.seeds == [1]
    assert sign * pair.difference == pytest.approx(rows["full"].val_miou_seeds[1] - rows["one"].val_miou)


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ({}, []),
        ({"a": [0]}, ["a"]),
        ({"a": [0, 1], "b": [1], "c": [0, 1, 2]}, ["a", "b", "c"]),
        ({"a": [0], "b": [0], "c": [5]}, ["a", "b"]),
        ({"a": [0], "b": [1]}, []),
        ({"a": [0], "b": [0], "c": [1], "d": [1]}, []),
        ({"a": [0, 1], "b": [0], "c": [1]}, ["a"]),
    ],
)
def test_rows_are_ranked_together_when_every_two_share_a_seed(rows, kept):
    assert comparable(rows) == kept


def test_seeds_read_as_a_person_writes_them():
    assert (count_of([4]), count_of([0, 1, 2])) == ("1 seed", "3 seeds")
    assert (names_of([4]), names_of([0, 1, 2]), names_of([0, 2, 4])) == (
        "1 seed (4)",
        "3 seeds (0 1 2)",
        "3 seeds (0 2 4)",
    )
    assert (list_of([0, 1, 2, 3, 4]), list_of([0, 1, 2, 4])) == ("0-4", "0 1 2 4")


def test_every_rendering_says_which_seeds_a_number_is_of_where_rows_differ(uneven):
    board = board_of(uneven)
    one = rows_of(board)["one"]
    share = f"{100 * one.percent_of_full:.1f}"
    assert SEEDS.text(one) == "1 seed (1)"
    for text in (to_markdown(board), to_latex(board), terminal(board)):
        assert "1 seed (1)" in text
        assert f"{share}, 1 seed (1)" in text
        assert "seeds 1" not in text
    assert "3 seeds (0 1 2)" in terminal(board)
    assert "over the seeds that both have" in " ".join(terminal(board).split())
    assert "no seed in common" in terminal(board)
    header, *lines = to_csv(board).splitlines()
    place = header.split(",").index("percent_of_full_seeds")
    assert [line.split(",")[place] for line in lines if ",one," in line] == ["1"]
    assert {row["method"]: row.get("percent_of_full_seeds") for row in json.loads(to_json(board))["rows"]}["one"] == [1]
    page = to_html(board)
    assert "1 seed (1)" in page
    assert "3 seeds (0 1 2)" in page
    assert ("seeds", "named in each row") in page_of(board).facts


def test_one_seed_reads_1_seed_and_several_are_counted_on_terminal_and_page(records, tmp_path):
    records.add("mine", seed=4)
    board = board_of(records)
    assert "1 seed " in terminal(board)
    assert ("seeds", "1 seed (4)") in page_of(board).facts
    assert "seeds 4" not in to_html(board)
    several = make_board(tmp_path / "several")
    assert "2 seeds" in terminal(several, width=80), "seeds are shown whatever the width"
    assert ("seeds", "2 seeds (0 1)") in page_of(several).facts
    assert "2 seeds (0 1)" in page_of(several).pairs[0].lines[0][1][1].words


def test_a_claim_names_the_seeds_that_its_measurement_is_of(uneven):
    claim = Claim("full", "one", "Table 1", size=0.02, text="Masks are better.")
    (answer,) = board_of(uneven, claims=[claim]).claims
    assert answer.seeds == [1]
    assert claim_cells(answer)[3].endswith(", 1 seed (1)")
    assert page_of(board_of(uneven, claims=[claim])).claims[0].measured.endswith(", 1 seed (1)")
