"""Promises of the answers to the claims of papers."""

import io
import json
from types import SimpleNamespace

import pytest

from harness.contract import Card, Claim
from harness.leaderboard import build_board, load_runs
from harness.leaderboard.claims import EQUAL, answer_claims, claims_of, judge
from harness.leaderboard.columns import claim_cells
from harness.leaderboard.page.page import to_html
from harness.leaderboard.render import to_json, to_markdown
from harness.leaderboard.terminal import claims_to_rich
from harness.scoring.paired import pair_interval
from harness.scoring.statistics import Interval


def interval(low, high):
    return Interval((low + high) / 2, low, high)


@pytest.mark.parametrize(
    ("direction", "ends", "options", "verdict"),
    [
        (">", (0.01, 0.03), {}, "holds"),
        (">", (0.01, 0.03), {"size": 0.2}, "holds"),
        (">", (-0.03, -0.01), {}, "does not hold"),
        (">", (-0.01, 0.03), {}, "unresolved"),
        (">", (0.0, 0.0), {}, "unresolved"),
        ("<", (-0.03, -0.01), {}, "holds"),
        ("<", (0.01, 0.03), {}, "does not hold"),
        ("<", (-0.03, 0.01), {}, "unresolved"),
        (">", (1.01, 1.1), {"relative": True}, "holds"),
        (">", (0.9, 0.99), {"relative": True}, "does not hold"),
        (">=", (0.98, 0.99), {"relative": True, "size": 0.98}, "holds"),
        (">=", (0.93, 0.97), {"relative": True, "size": 0.98}, "does not hold"),
        (">=", (0.97, 0.99), {"relative": True, "size": 0.98}, "unresolved"),
        (">=", (0.0, 0.1), {}, "holds"),
        ("=", (-0.9 * EQUAL, 0.9 * EQUAL), {}, "holds"),
        ("=", (0.1 * EQUAL, 0.9 * EQUAL), {}, "holds"),
        ("=", (1.1 * EQUAL, 4 * EQUAL), {}, "does not hold"),
        ("=", (-4 * EQUAL, -1.1 * EQUAL), {}, "does not hold"),
        ("=", (-2 * EQUAL, 0.5 * EQUAL), {}, "unresolved"),
        ("=", (-2 * EQUAL, 2 * EQUAL), {"size": 3 * EQUAL}, "holds"),
    ],
)
def test_the_verdict_follows_from_direction_bound_and_interval(direction, ends, options, verdict):
    assert judge(direction, interval(*ends), **options).verdict == verdict


@pytest.fixture
def runs(records):
    for seed in (0, 1):
        records.add("good", wrong=0.1, seed=seed)
        records.add("twin", wrong=0.1, seed=seed)
        records.add("bad", wrong=0.4, seed=seed)
    records.add("late", wrong=0.2, seed=7)
    records.add("labels", scores=("pseudo",))
    records.add("broken", status="timeout", error={"stage": "fit", "kind": "TimeoutError", "message": ""})
    records.add("elsewhere", backbone="mit_b0")
    return load_runs(records.runs)


def answer(runs, *claim, **fields):
    (found,) = answer_claims(runs, [Claim(*claim, source="Table 1", **fields)])
    return found


def test_an_answer_is_the_paired_interval_of_the_two_rows(runs):
    found = answer(runs, "good", "bad", size=0.021, text="Good is better.")
    sides = [
        {run.record.seed: run.confusions("val") for run in runs if run.record.label == label}
        for label in ("good", "bad")
    ]
    assert (found.measured, found.low, found.high) == pair_interval(*sides, resamples=100)
    assert (found.verdict, found.reported, found.backbone) == ("holds", 0.021, "resnet18")
    assert (found.text, found.source) == ("Good is better.", "Table 1")
    assert answer(runs, "bad", "good").verdict == "does not hold"


def test_claims_on_pseudo_labels_read_the_pseudo_labels(runs):
    found = answer(runs, "labels", "bad", metric="pseudo-label mIoU")
    assert found.measured is not None
    assert found.metric == "pseudo-label mIoU"


def test_a_relative_claim_is_answered_by_the_ratio(runs):
    found = answer(runs, "bad", "good", size=0.98, direction=">=", relative=True)
    assert 0 < found.low < found.measured < found.high < 0.98
    assert (found.verdict, found.reason) == ("does not hold", "the interval lies below 98 %")


@pytest.mark.parametrize(
    ("claim", "fields", "reason"),
    [
        (("good", "absent"), {}, "no row absent"),
        (("nobody", "absent"), {}, "no row nobody and no row absent"),
        (("good", "elsewhere"), {}, "the rows have different settings"),
        (("good", "broken"), {}, "row broken timeout"),
        (("good", "labels"), {}, "row labels has no val mIoU"),
        (("good", "late"), {}, "the rows share no seed"),
        (("good", "bad"), {"metric": "boundary IoU"}, "boundary IoU is not measured"),
    ],
)
def test_what_cannot_be_compared_says_why_and_has_no_number(runs, claim, fields, reason):
    found = answer(runs, *claim, **fields)
    assert (found.verdict, found.reason) == ("not comparable", reason)
    assert (found.measured, found.low, found.high) == (None, None, None)


def test_a_claim_is_answered_once_for_each_backbone(runs, records):
    records.add("good", wrong=0.1, backbone="mit_b0")
    records.add("bad", wrong=0.4, backbone="mit_b0")
    answers = answer_claims(load_runs(records.runs), [Claim("good", "bad", source="s")])
    assert [(found.backbone, found.verdict) for found in answers] == [("mit_b0", "holds"), ("resnet18", "holds")]


def test_a_method_is_found_under_the_label_of_its_only_row(records):
    records.add("renamed", method="good", wrong=0.1)
    records.add("bad", wrong=0.4)
    assert answer(load_runs(records.runs), "good", "bad").verdict == "holds"
    records.add("second", method="good", wrong=0.1)
    assert answer(load_runs(records.runs), "good", "bad").reason == "no row good"


def test_claims_are_those_of_the_plugins_that_took_part_each_once(records):
    info = {"distribution": None, "version": None, "source_sha256": "ab"}
    records.add("good", plugins=[{"name": "mine", **info}])
    shared, other = Claim("good", "bad", source="a"), Claim("x", "y", source="b")
    cards = {"good": ("mine", Card("t", claims=(shared,))), "x": ("theirs", Card("t", claims=(other,)))}
    plugins = SimpleNamespace(
        records=lambda kind: {name: SimpleNamespace(card=card) for name, (_, card) in cards.items()},
        provider=lambda kind, name: SimpleNamespace(name=cards[name][0]),
    )
    assert claims_of(plugins, load_runs(records.runs)) == [shared]


def test_renderings_show_claims_only_when_they_were_asked_for(runs):
    claims = [Claim("good", "bad", source="s", size=0.02), Claim("good", "absent", source="s")]
    board = build_board(runs, claims=claims)
    text = to_markdown(board).split("## Claims of the papers")[1]
    assert "| good > bad (resnet18) | val mIoU | +2.0 " in text
    assert "| holds " in text
    assert "no row absent" not in text
    assert "1 further claim is not comparable" in text
    assert "Claims" not in to_markdown(build_board(runs))
    from rich.console import Console

    console = Console(width=120, file=io.StringIO())
    console.print(claims_to_rich(board))
    assert "not comparable" in console.file.getvalue()


def test_answered_claims_stand_first_and_the_others_are_a_count_until_they_are_asked_for(runs, tmp_path):
    from rich.console import Console

    claims = [Claim("good", "absent", "s"), Claim("nobody", "bad", "s"), Claim("bad", "good", "s")]
    folded = build_board(runs, claims=claims)
    assert [found.verdict for found in folded.claims] == ["does not hold", "not comparable", "not comparable"]
    assert [found["verdict"] for found in json.loads(to_json(folded))["claims"]][1:] == ["not comparable"] * 2
    whole = folded.model_copy(update={"all_claims": True})
    count = "2 further claims are not comparable: the rows cannot answer them (listed with --all-claims)."

    def terminal(board):
        console = Console(width=160, file=io.StringIO())
        console.print(claims_to_rich(board))
        return console.file.getvalue()

    for render in (to_markdown, terminal):
        assert count in render(folded)
        assert "no row absent" not in render(folded)
        assert count not in render(whole)
        assert "no row absent" in render(whole)
    assert "<details>\n<summary>2 not comparable: the rows of this table cannot answer them</summary>" in to_html(
        folded
    )
    assert "<details open>" in to_html(whole)


def test_claims_that_no_row_answers_are_a_count_alone(runs):
    board = build_board(runs, claims=[Claim("nobody", "absent", "s")])
    below = to_markdown(board).split("## Claims of the papers")[1]
    assert "1 claim is not comparable: the rows cannot answer it (listed with --all-claims)." in below
    assert "|" not in below


def test_a_claim_names_the_split_that_was_measured_and_the_setting_of_the_reported_size(runs):
    claim = Claim("good", "bad", "s", size=0.02, metric="pseudo-label mIoU", setting="VOC val, ScaleNet101")
    (found,) = answer_claims(runs, [claim])
    cells = claim_cells(found)
    assert cells[1:3] == ("pseudo-label mIoU (train)", "+2.0 (VOC val, ScaleNet101)")
