"""One row on one screen: every part of it, whatever the width, and what is wrong with the row."""

import json

import pytest

import harness
from harness.api.row_text import sparkline
from harness.engine.store.store import Store
from tests.commands import wsss

STAGES = [
    {"name": "classifier", "key": "c1", "seconds": 12.5, "peak_mib": 800.0, "device": "cpu"},
    {"name": "r1/generate cam", "key": "c2", "seconds": 0.5, "peak_mib": 100.0, "device": "cpu"},
    {"name": "r1/segmenter plain", "key": "c3", "seconds": 70.0, "peak_mib": 900.0, "device": "cpu"},
]
ROUNDS = [
    {
        "generator": {"name": "cam", "params": {"threshold": 0.4}},
        "refiners": [{"name": "dense_crf", "params": {}}],
        "segmenter": {"name": "plain", "params": {}},
        "warm_start": False,
    }
]
OPTIM = {"lr": 0.02, "iterations": 40, "batch_size": 16}
PROTOCOL = {
    "scoring": {"bootstrap": 100},
    "segmenter": {
        "config": "fcn.py",
        "config_sha256": "ab12",
        "optim": {"lr": 0.02, "iterations": 40, "batch_size": 16},
    },
}


@pytest.fixture
def rows(records):
    """The rows cam (two seeds, with losses) and full of one benchmark."""
    for seed in (0, 1):
        records.add("full", wrong=0.1, seed=seed, reference=True, supervision="F", protocol=PROTOCOL)
        records.add(
            "cam",
            wrong=0.3,
            seed=seed,
            method="class_conditional",
            params={"passes": 3, "unknown_of_old": 1},
            rounds=ROUNDS,
            stages=STAGES,
            protocol=PROTOCOL,
            paper="Somebody et al., Maps, 2020",
            label_coverage=0.93,
        )
    curve(records, "c1", [{"iteration": 50 * n, "loss": 1 / n} for n in range(1, 30)])
    curve(records, "c3", [{"iteration": 40, "loss": 0.5}])
    return records


def curve(records, key, points):
    folder = Store(records.runs).folder(key)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.json").write_text(json.dumps(points))


def shown(records, row="cam", **options):
    return harness.load(records.runs).show(row, **options)


def test_a_row_is_shown_with_settings_price_numbers_classes_losses_stages_and_files(rows):
    text = shown(rows).text(100)
    for part in (
        "cam\nSomebody et al., Maps, 2020\nbenchmark demo, data set toy (4 classes; 36 train, 12 val images)",
        "supervision I, 0.03 annotation hours, 83.0 s of computing, at most 900 MiB",
        "2 seeds (0 1): ok",
        "cam(threshold=0.4) -> dense_crf -> plain",
        "resnet18, initial weights ImageNet-1k",
        "segmenter  config fcn.py, optim.lr 0.02, optim.iterations 40",
        "labels on train",
        "share of the row full",
        "pixels with a label",
        "1 -> 0.0345 in 1450 steps",
        "0.5 in 40 steps",
        "classifier           12.5        800      cpu    c1",
        f"record        {rows.runs}/records/demo-01234567/cam--resnet18--s0.json",
    ):
        assert part in text, part


def test_what_differs_from_the_defaults_of_the_method_stands_first(rows):
    text = shown(rows).text(100)
    assert "passes 3 (not 5)" in text
    assert "unknown_of_old 1\n" in text
    assert text.index("Settings of this row") < text.index("Settings of all rows") < text.index("Numbers")
    assert "batch_size" not in text, "16 is the default"
    assert "ab12" not in text, "a hash says nothing to a reader"
    assert "optim.lr 0.02 (not 0.01)" in shown(rows).text(140), "where there is room the default stands beside it"


@pytest.mark.parametrize("width", [60, 80, 140, 200])
def test_a_sheet_fits_the_width_and_cuts_nothing_but_never_breaks_a_path(rows, width):
    lines = shown(rows).text(width).split("\n")
    paths = [line for line in lines if str(rows.runs) in line]
    assert paths
    assert all(len(line) <= width for line in lines if line not in paths)
    assert not [line for line in lines if "…" in line]


def test_each_seed_has_a_column_and_the_chosen_one_its_files(rows):
    text = shown(rows, seed=1).text(100)
    assert "seed 0   seed 1" in text
    assert "Where everything of seed 1 lies" in text
    assert "cam--resnet18--s1.json" in text
    assert "cam--resnet18--s0.json" not in text


def test_many_classes_stand_side_by_side(rows, monkeypatch):
    monkeypatch.setattr("harness.api.row_text._ONE_COLUMN", 3)
    text = shown(rows).text(100)
    lines = [line for line in text.split("\n") if line.startswith((" 57.1  57.1  background", " 53.8", "    —"))]
    assert len(lines) < 4
    assert [name for name in ("background", "cat", "dog", "never") if any(name in line for line in lines)] == [
        "background", "cat", "dog", "never"
    ]  # fmt: skip


def test_a_row_without_scores_shows_the_rest(records):
    records.add("cam", scores=())
    text = shown(records).text(100)
    assert "Numbers" not in text
    assert "Classes" not in text
    assert "Stages of seed 0" in text


def test_losses_are_a_line_that_falls():
    assert sparkline([3, 2, 1], "123") == "321"
    assert sparkline([1.0] * 5, "123") == "11111"
    assert sparkline([5.0]) == ""
    assert len(sparkline(list(range(1000)), width=30)) == 30


@pytest.mark.parametrize(
    "points", ["no list", [{"iteration": 1}], [{"iteration": 1, "loss": float("nan")}], [[1, 2]], {"iteration": 1}]
)
def test_a_damaged_loss_curve_is_named_and_the_rest_is_shown(rows, points):
    curve(rows, "c3", points)
    text = shown(rows).text(100)
    assert "train.json in its folder holds no loss curve" in text
    assert "1 -> 0.0345 in 1450 steps" in text


def test_a_row_that_failed_says_why_and_where_its_log_is(sweep):
    code, output = wsss("show", "broken", "--runs", sweep.runs)
    assert code == 0
    assert "2 seeds (0 1): failed" in output
    assert "seed 0: fit: RuntimeError: no | way" in output
    assert f"log           {sweep.runs}/logs/x.txt" in output
    assert "Numbers" not in output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing"], "there is no row 'nothing'; rows are: box_fill, broken, cam_new, full"),
        (["full"], "row 'full' is there several times"),
        (["full", "--backbone", "vgg"], "there is no row 'full' on vgg"),
        (["box_fill", "--seed", "7"], "row 'box_fill' has no seed 7; it has 0 1"),
    ],
)
def test_a_row_that_cannot_be_told_is_one_sentence(sweep, arguments, sentence):
    sweep.add("full", backbone="tiny")
    code, output = wsss("show", *arguments, "--runs", sweep.runs)
    assert code == 2
    assert sentence in output
    assert wsss("show", "full", "--backbone", "tiny", "--runs", sweep.runs).code == 0


def test_a_row_of_several_settings_is_chosen_by_its_folder(sweep):
    path = sweep.add("full", fingerprint="fedcba9876543210")
    code, output = wsss("show", "full", "--runs", sweep.runs)
    assert code == 2
    assert f"--runs {path.parent}" in output
    assert wsss("show", "full", "--runs", path.parent).code == 0


def test_a_seed_whose_confusions_are_damaged_is_left_out_and_named(rows):
    next(rows.runs.rglob("cam--*--s1.val.npz")).write_bytes(b"none")
    code, output, _, errors = vars(wsss("show", "cam", "--runs", rows.runs)).values()
    assert code == 3
    assert "1 seed (0): ok" in output
    assert "left out:" in errors


def test_the_command_prints_the_sheet_of_the_program(rows):
    assert shown(rows).text(200) == "\n".join(
        line.rstrip() for line in wsss("show", "cam", "--runs", rows.runs).stdout.rstrip().split("\n")
    )
    assert repr(shown(rows)) == shown(rows).text(100)


def test_names_cannot_move_the_terminal(records):
    records.add(
        "cam", method="\x1b[2Jm", params={"a\x1b]0;t": "[red]b[/red]\x07"}, paper="p\x1b[1m", scores=("pseudo",)
    )
    text = shown(records).text(100)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[red]b[/red]" in text
