"""Promises of the renderings."""

import csv
import importlib
import io
import json

import pytest

from harness.contract import RendererRecord
from harness.leaderboard import build_board, load_runs, to_rich
from harness.leaderboard import builtin as renderer_records
from harness.leaderboard.render import to_csv, to_json, to_latex, to_markdown

RENDERERS = (to_markdown, to_csv, to_json, to_latex)
SCHEMA = [
    "rank",
    "method",
    "year",
    "supervision",
    "backbone",
    "init",
    "dataset",
    "seeds",
    "status",
    "pseudo_miou",
    "pseudo_miou_low",
    "pseudo_miou_high",
    "val_miou",
    "val_miou_low",
    "val_miou_high",
    "val_miou_seed_sd",
    "percent_of_full",
    "oracle_pseudo_miou",
    "annotation_hours",
    "seconds",
    "peak_memory_mib",
    "reported",
    "verified",
]


@pytest.fixture
def board(sweep):
    return build_board(load_runs(sweep.runs))


def lines(text, start):
    return [line for line in text.splitlines() if line.startswith(start)]


@pytest.mark.parametrize("render", RENDERERS)
def test_rendering_twice_from_disk_gives_the_same_bytes(sweep, board, render):
    again = build_board(load_runs(sweep.runs)[::-1])
    assert render(board) == render(again)
    assert render(board).endswith("\n")
    assert "\r" not in render(board)


def test_every_renderer_is_registered_and_resolves(board):
    suffixes = {}
    for record in renderer_records.wsss_renderers():
        assert isinstance(record, RendererRecord)
        module, _, attribute = record.factory.partition(":")
        render = getattr(importlib.import_module(module), attribute)(record.params())
        suffixes[record.suffix] = render(board)
    assert list(suffixes) == [".md", ".csv", ".json", ".tex", ".html"]
    assert list(suffixes.values())[:4] == [render(board) for render in RENDERERS]


def test_json_holds_the_schema_in_full_precision(board):
    data = json.loads(to_json(board))
    assert {"schema_version", "fingerprint", "protocol", "rows"} <= data.keys()
    assert data["fingerprint"] == "0123456789abcdef"
    assert data["dataset"]["classes"] == ["background", "cat", "dog", "never"]
    for row, source in zip(data["rows"], board.rows, strict=True):
        assert set(SCHEMA) <= row.keys()
        assert row["val_miou"] == source.val_miou
    assert data["rows"][-1]["val_miou"] is None
    assert data["rows"][1]["reported"][0]["value"] == 0.685
    assert to_json(board) == json.dumps(data, indent=2, sort_keys=True) + "\n"


def test_csv_has_one_line_a_row_and_full_precision(board):
    table = list(csv.DictReader(io.StringIO(to_csv(board))))
    assert list(table[0])[: len(SCHEMA)] == SCHEMA
    assert [row["method"] for row in table] == ["full", "cam_new", "box_fill", "broken"]
    assert float(table[1]["val_miou"]) == board.rows[1].val_miou
    assert (table[1]["rank"], table[1]["year"], table[1]["seeds"]) == ("2", "2020", "0 1")
    assert (table[1]["reported"], table[1]["reported_protocol"]) == ("0.685", "voc2012 val, ResNet-18, CRF")
    assert (table[3]["rank"], table[3]["val_miou"], table[3]["error"]) == ("", "", "RuntimeError")


def test_markdown_states_benchmark_data_fingerprint_intervals_and_policies(board):
    text = to_markdown(board)
    assert lines(text, "# ") == [
        "# Benchmark demo, data set toy (4 classes; images: train 36, val 12), fingerprint 01234567"
    ]
    for words in ("95 % bootstrap", "truth is 255 are not scored", "A class enters a mean when", "oracle column"):
        assert words in text


def test_markdown_cells_are_per_cent_with_interval(board):
    header, full, cam, _, broken = (
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in lines(to_markdown(board), "|")[:6]
        if "--" not in line
    )
    row = board.rows[1]
    expected = f"{100 * row.val_miou:.1f} [{100 * row.val_miou_low:.1f}, {100 * row.val_miou_high:.1f}]"
    assert dict(zip(header, cam, strict=True)) == {
        "rank": "2",
        "method": "cam_new (reconstruction)",
        "year": "2020",
        "supervision": "I",
        "backbone": "resnet18",
        "init": "ImageNet-1k",
        "seeds": "0 1",
        "pseudo mIoU (train)": expected,
        "oracle pseudo mIoU (train, diagnosis)": "70.0",
        "val mIoU": expected,
        "seed sd": f"{100 * row.val_miou_seed_sd:.2f}",
        "% of full": f"{100 * row.percent_of_full:.1f}",
        "annotation h": "0.03",
        "compute s": "2.0",
        "peak MiB": "300",
        "reported": "68.5 (voc2012 val, ResNet-18, CRF)",
        "status": "ok",
    }
    assert full[1] == "full (reference)"
    assert broken[-1] == "failed: RuntimeError in fit, seed 0"
    assert broken[9] == "—"


def test_markdown_has_a_table_of_class_ious(board):
    text = to_markdown(board)
    table = [line.split("|") for line in text.split("## Validation IoU by class")[1].splitlines() if line[:1] == "|"]
    assert [cell.strip() for cell in table[0][1:-1]] == ["method", "backbone", "background", "cat", "dog", "never"]
    assert table[2][-2].strip() == "—"
    assert float(table[2][3]) == round(100 * board.rows[0].class_iou[0], 1)


def test_status_column_only_where_a_row_failed(records):
    records.add("cam")
    board = build_board(load_runs(records.runs))
    assert "status" not in to_markdown(board)
    assert "status" not in to_latex(board)


def test_markdown_cannot_be_broken_by_names(records):
    records.add("a", backbone="x|y<b>`*\n", supervision="I")
    text = to_markdown(build_board(load_runs(records.runs)))
    assert "x\\|y&lt;b>\\`\\*" in text
    assert len({line.replace("\\|", "").count("|") for line in lines(text.split("##")[0], "|")}) == 1


def test_latex_is_booktabs_and_escapes_special_characters(records):
    records.add("a_b", backbone=r"50%&#$~^{}\x", supervision="I")
    text = to_latex(build_board(load_runs(records.runs)))
    for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{tabular}", r"\end{tabular}"):
        assert rule in text
    assert r"a\_b" in text
    assert r"50\%\&\#\$\textasciitilde{}\^{}\{\}\textbackslash{}x" in text
    assert r"\% of full" in text
    comments, body = text.split(r"\begin{tabular}")
    assert all(line.startswith("% ") for line in comments.splitlines())
    assert len([line for line in body.splitlines() if line.endswith(r"\\")]) == 2


def test_mixed_tables_say_so_and_name_each_fingerprint(records):
    records.add("cam")
    records.add("cam", fingerprint="f" * 16)
    board = build_board(load_runs(records.runs), allow_mixed=True)
    text = to_markdown(board)
    assert "mixed settings" in lines(text, "# ")[0]
    assert "MIXED SETTINGS" in text
    assert "ffffffff" in text
    assert "01234567" in text
    assert "MIXED SETTINGS" in to_latex(board)
    assert json.loads(to_json(board))["mixed"] is True


def test_terminal_table_shows_rank_interval_and_failure(board):
    from rich.console import Console

    console = Console(width=250, file=io.StringIO())
    console.print(to_rich(board))
    text = console.file.getvalue()
    assert "fingerprint 01234567" in text
    assert "failed: RuntimeError in fit, seed 0" in text
    assert f"{100 * board.rows[0].val_miou:.1f} [" in text
