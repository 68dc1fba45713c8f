"""Promises of the HTML page that need no browser: structure, byte stability, no resource, nothing unescaped."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from harness.contract import Supervision
from harness.leaderboard import build_board, load_runs
from harness.leaderboard.frame import ClaimAnswer
from harness.leaderboard.page.claims import verdict_on
from harness.leaderboard.page.page import page_of, to_html
from harness.leaderboard.page.panels import Gallery, Panel, RowMap
from harness.leaderboard.page.plots import kind_of, place_labels, series_of
from harness.leaderboard.page.rows import Scale
from tests.leaderboard.board_records import Records, fill

HOSTILE = "</script><script>alert(1)</script><img src=x onerror='alert(1)'>\"&"
VOID = {"meta", "img", "input", "br", "wbr", "circle", "line", "path", "rect"}


class Page(HTMLParser):
    """Elements of a page; refuses tags that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.words = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            goes_on = self.elements and self.elements[-1][0] == "wbr" and self.words
            self.words.append((self.words.pop() if goes_on else "") + data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, tag, **wanted):
        return [attrs for name, attrs in self.elements if name == tag and wanted.items() <= attrs.items()]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return fill(Records(tmp_path_factory.mktemp("html"))).runs


@pytest.fixture(scope="module")
def board(runs):
    return build_board(load_runs(runs))


@pytest.fixture(scope="module")
def page(board):
    return Page(to_html(board))


def test_rendering_twice_from_disk_gives_the_same_bytes(runs, board):
    again = build_board(load_runs(runs)[::-1])
    assert to_html(board) == to_html(again)
    assert to_html(board).startswith("<!doctype html>\n")
    assert to_html(board).endswith("</html>\n")
    assert "\r" not in to_html(board)


def test_the_page_names_no_resource_outside_itself(board):
    text = to_html(board)
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<link|<iframe|\ssrc=(?!\"data:)", text)
    assert "default-src 'none'" in text


def test_the_policy_allows_the_own_script_alone(board):
    text = to_html(board)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in text or f"script-src 'sha256-{digest}'" in text
    assert not re.search(r"\son\w+=", text.replace(script, ""))


def test_hostile_names_stay_text(records):
    records.add("plain", backbone="net")
    board = build_board(load_runs(records.runs))
    row = board.rows[0].model_copy(update={"method": HOSTILE, "backbone": HOSTILE, "supervision": HOSTILE})
    dataset = board.dataset.model_copy(update={"name": HOSTILE, "classes": [HOSTILE, "a", "b", "c"]})
    hostile = board.model_copy(
        update={
            "rows": [row, row],
            "benchmark": HOSTILE,
            "dataset": dataset,
            "notes": [HOSTILE],
            "protocol": {HOSTILE: HOSTILE},
        }
    )
    text = to_html(hostile)
    page = Page(text)
    assert text.count("<script>") == 1
    assert not page.all("img")
    assert "<img" not in text
    assert page.all("tr", **{"data-method": HOSTILE})
    assert HOSTILE in "".join(page.words)


def test_every_row_stands_in_the_table_with_its_interval_and_seeds(board, page):
    rows = page.all("tr", **{"class": "ok"})
    assert [row["data-method"] for row in rows] == ["full", "cam_new", "box_fill"]
    first = board.rows[0]
    assert f"{100 * first.val_miou:.1f}" in page.text
    assert f"{100 * first.val_miou_low:.1f}\N{EN DASH}{100 * first.val_miou_high:.1f}" in page.text
    seeds = sum(len(row.val_miou_seeds or ()) for row in board.rows)
    assert len(page.all("circle", **{"class": "seed"})) == seeds + 3, "one dot a seed, and three in the key"


def test_sort_values_are_in_full_precision_and_missing_ones_are_left_out(board):
    view = page_of(board)
    column = [column.header for column in view.columns].index("val mIoU")
    assert [row.cells[column].value for row in view.rows] == [row.val_miou for row in board.rows]
    assert view.rows[-1].cells[column].value is None


def test_a_failure_is_a_row_and_says_why(page):
    assert page.all("tr", **{"data-method": "broken", "class": "failed"})
    assert "failed: RuntimeError in fit, seed 0" in page.text
    assert "no | way" in page.text
    assert "logs/x.txt" in page.text


def test_tables_are_tables_for_assistive_technology(page):
    assert page.all("html", lang="en")
    assert len(page.all("th", **{"aria-sort": "ascending"})) == 1
    heads = [attrs for attrs in page.all("th") if "scope" not in attrs]
    assert not heads
    for attrs in page.all("div", **{"class": "scroll"}):
        assert attrs["role"] == "region"
        assert attrs["tabindex"] == "0"
        assert "aria-label" in attrs or "aria-labelledby" in attrs
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = [attrs["href"].removeprefix("#") for attrs in page.all("a")]
    assert set(targets) <= set(ids)


def test_settings_and_fingerprint_are_on_the_page(page):
    assert "0123456789abcdef" in page.text
    assert "optim.iterations 40" in page.text


def test_mixed_tables_say_so(records):
    records.add("cam")
    records.add("cam", fingerprint="f" * 16)
    text = to_html(build_board(load_runs(records.runs), allow_mixed=True))
    assert "Mixed settings." in text
    assert "ffffffff" in text


def test_without_numbers_the_page_still_stands(records):
    records.add("broken", status="failed", error={"stage": "fit", "kind": "RuntimeError", "message": "no"})
    page = Page(to_html(build_board(load_runs(records.runs))))
    assert "failed: RuntimeError" in page.text
    assert not page.all("section", id="cost")
    assert not page.all("section", id="classes")


@pytest.mark.parametrize(
    ("changed", "value", "verdict"),
    [
        ({}, 0.0, "agrees"),
        ({}, 0.2, "measured below"),
        ({}, -0.2, "measured above"),
        ({"dataset": "voc2012"}, 0.0, "not comparable"),
        ({"backbone": None}, 0.0, "not comparable"),
        ({"init": "COCO"}, 0.0, "not comparable"),
    ],
)
def test_a_reported_number_is_judged_only_under_the_same_settings(board, changed, value, verdict):
    row = board.rows[0]
    same = {"metric": "val mIoU", "dataset": "toy", "split": "val", "backbone": "ResNet-18", "init": "ImageNet-1K"}
    number = board.rows[1].reported[0].model_copy(update={**same, "value": row.val_miou + value, **changed})
    assert verdict_on(row, number)[0] == verdict


def test_claims_show_verdict_and_reason(board):
    answer = ClaimAnswer(
        left="cam_new",
        right="full",
        metric="val mIoU",
        direction=">",
        reported=0.021,
        measured=-0.1,
        low=-0.12,
        high=-0.08,
        verdict="does not hold",
        reason="the interval lies below zero",
        source="Table 1",
    )
    text = Page(to_html(board.model_copy(update={"claims": [answer]}))).text
    assert "cam_new > full (val mIoU)" in text
    assert "+2.1 \N{MINUS SIGN}10.0 [\N{MINUS SIGN}12.0, \N{MINUS SIGN}8.0] does not hold" in text
    assert "the interval lies below zero" in text


def test_every_pair_of_ranked_rows_is_there_once_in_each_direction(board):
    (table,) = page_of(board).pairs
    assert table.names == ["full", "cam_new", "box_fill"]
    for n, (_, cells) in enumerate(table.lines):
        assert [cell is None for cell in cells] == [m == n for m in range(3)]
    assert table.lines[0][1][1].text.startswith("+")
    assert table.lines[1][1][0].text.startswith("\N{MINUS SIGN}")


def test_names_in_a_plot_stay_inside_and_beside_their_points(board):
    (plot, _) = page_of(board).plots
    assert {point.label for point in plot.points} == {"full", "box_fill", "cam_new"}
    assert place_labels(plot.points) == plot.points
    for point in plot.points:
        assert abs(point.label_x - point.x) == pytest.approx(9, abs=0.11)
        assert 0 <= point.label_y <= plot.height


def test_cost_zero_has_a_place_on_the_logarithmic_axis(records):
    records.add("background", supervision="none")
    records.add("cam", supervision="I")
    plot = page_of(build_board(load_runs(records.runs))).plots[0]
    by_label = {point.label: point for point in plot.points}
    assert plot.x_ticks[0].text == "0"
    assert plot.x_ticks[0].at == by_label["background"].x < by_label["cam"].x


def test_a_scale_maps_its_ends_to_its_pixels():
    scale = Scale(0.2, 0.8, 10, 110)
    assert (scale.at(0.2), scale.at(0.8), scale.at(0.5)) == (10, 110, 60)


def test_pictures_are_shown_only_when_the_frame_carries_them(board, page):
    assert not page.all("img")
    png = b"\x89PNG\r\n\x1a\n"
    maps = [
        RowMap(method=name, backbone="resnet18", label=png, change=png, share={"only here right": 0.25})
        for name in ("full", "cam_new", "gone")
    ]
    panel = Panel(split="val", name="v1", image=png, truth=png, maps=maps, against="full")
    gallery = Gallery(
        panels=[panel], palette=[("cat", "#800000")], marks={"val": [("same", "#ffffff")]}, note="By hash."
    )
    pictured = Page(to_html(board.model_copy(update={"gallery": gallery})))
    assert len(pictured.all("img")) == 2 + 2 * 2, "a row that the table lacks is left out"
    assert all(attrs["src"].startswith("data:image/png;base64,") for attrs in pictured.all("img"))
    assert all(attrs["alt"] for attrs in pictured.all("img"))
    assert "where it flipped against full" in pictured.text
    shown = [attrs for attrs in pictured.all("td") if "data-shows" in attrs and "hidden" not in attrs]
    assert {attrs["data-shows"] for attrs in shown} == {"1"}, "the best row that is no reference comes first"


def test_pictures_never_enter_the_json(board):
    from harness.leaderboard.render import to_json

    gallery = Gallery(panels=[], palette=[], marks={}, note="")
    assert to_json(board.model_copy(update={"gallery": gallery})) == to_json(board)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.021, "+2.1"), (-0.1, "\N{MINUS SIGN}10.0"), (0.0, "0.0"), (-0.0001, "0.0"), (0.1, "+10.0"), (1.0, "+100.0")],
)
def test_differences_have_a_sign_unless_they_round_to_zero(value, text):
    from harness.leaderboard.page.claims import signed

    assert signed(value) == text


def test_no_kind_of_supervision_shares_a_marker_with_another_or_with_none(records):
    records.add("cam")
    (plain,) = build_board(load_runs(records.runs)).rows
    kinds = ["none", "I", "I+S", "B", "B+F18%", "F", "P", "S", "B+B(aux)+F(aux)", "I+B", "I+P", "F10%+S"]
    series = series_of([plain.model_copy(update={"supervision": kind}) for kind in kinds])
    assert len({(one.shape, one.number) for one in series.values()}) == len(series) == len(kinds)
    alone = series["none"]
    assert all(one.shape != alone.shape and one.number != alone.number for one in series.values() if one is not alone)


def test_markers_of_the_page_are_named_by_the_table_also_with_two_letters(records, monkeypatch):
    monkeypatch.setattr(Supervision.POINTS, "letter", "Ce")
    records.add("cam")
    (plain,) = build_board(load_runs(records.runs)).rows
    rows = [plain.model_copy(update={"supervision": text}) for text in ("Ce18%", "I+Ce(aux)", "Ce1e-05%")]
    assert [kind_of(row) for row in rows] == ["Ce", "I+Ce(aux)", "Ce"]
    assert {series.name for series in series_of(rows).values()} == {"points", "tags and points of other images"}


def test_a_sound_row_of_labels_alone_is_no_failure_in_the_table(records):
    records.add("full")
    records.add("labels", scores=("pseudo",))
    rows = {view.name: view for view in page_of(build_board(load_runs(records.runs))).rows}
    assert [(cell.text, cell.style) for cell in rows["labels"].cells][2] == ("—", "")


def test_control_characters_of_names_do_not_reach_the_page(records):
    records.add("a\x1b[31m", backbone="b\u202eevil")
    text = to_html(build_board(load_runs(records.runs)))
    assert not set(text) & {"\x1b", "\u202e"}
    assert "b\\u202eevil" in text
