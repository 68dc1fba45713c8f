"""Promises of the result frame."""

import statistics

import numpy as np
import pytest

from harness.contract import ConfigError, DataError
from harness.leaderboard import build_board, load_runs
from harness.records.marks import mark_path, mark_text
from harness.scoring.metrics import iou, miou
from harness.scoring.statistics import miou_interval

DATASET_WITHOUT_TRAIN = {"name": "toy", "classes": ["a", "b", "c", "d"], "images": {"val": 12}, "digests": {}}
NUMBERS = ("pseudo_miou", "val_miou", "val_miou_seed_sd", "percent_of_full", "oracle_pseudo_miou", "seconds")


def board(records, **options):
    return build_board(load_runs(records.runs), **options)


def rows(records, **options):
    return {row.method: row for row in board(records, **options).rows}


def test_one_row_for_the_seeds_of_a_method_ranked_by_val_miou_failed_last(sweep):
    table = board(sweep).rows
    assert [(row.rank, row.method, row.seeds) for row in table] == [
        (1, "full", [0, 1]),
        (2, "cam_new", [0, 1]),
        (3, "box_fill", [0, 1]),
        (None, "broken", [0, 1]),
    ]


def test_numbers_are_those_of_the_confusions_in_full_precision(sweep):
    runs = [run for run in load_runs(sweep.runs) if run.record.label == "cam_new"]
    val = [run.confusions("val") for run in runs]
    row = rows(sweep)["cam_new"]
    assert (row.val_miou, row.val_miou_low, row.val_miou_high) == miou_interval(val, resamples=100)
    assert (row.pseudo_miou, row.pseudo_miou_low, row.pseudo_miou_high) == miou_interval(
        [run.confusions("pseudo") for run in runs], resamples=100
    )
    each = [float(miou(seed.total())) for seed in val]
    assert row.val_miou == pytest.approx(statistics.fmean(each))
    assert row.val_miou_seed_sd == statistics.stdev(each)
    expected = np.mean([iou(seed.total()) for seed in val], axis=0)
    assert row.class_iou[:3] == expected[:3].tolist()


def test_a_class_that_the_truth_lacks_has_no_iou_and_does_not_enter_the_mean(records):
    records.add("perfect", wrong=0.0)
    row = rows(records)["perfect"]
    assert row.class_iou == [1.0, 1.0, 1.0, None]
    assert row.val_miou == 1.0


def test_a_failed_row_has_its_exception_class_and_no_number(sweep):
    row = rows(sweep)["broken"]
    assert (row.rank, row.status, row.error.kind, row.error.stage) == (None, "failed", "RuntimeError", "fit")
    assert all(getattr(row, name) is None for name in (*NUMBERS, "class_iou", "label_coverage", "peak_memory_mib"))


def test_a_row_whose_seeds_did_not_all_succeed_is_partial_and_has_no_rank(records):
    records.add("cam", seed=0)
    records.add("cam", seed=1, status="timeout", error={"stage": "fit", "kind": "TimeoutError", "message": ""})
    records.add("worse", wrong=0.6)
    table = board(records)
    assert [(row.rank, row.method, row.status, row.seeds) for row in table.rows] == [
        (1, "worse", "ok", [0]),
        (None, "cam", "partial", [0]),
    ]
    assert table.rows[1].error.seed == 1
    assert any("partial" in note for note in table.notes)


def test_one_seed_has_no_seed_spread(records):
    records.add("cam")
    assert rows(records)["cam"].val_miou_seed_sd is None


def test_percent_of_full_is_against_the_same_backbone_and_weights(sweep):
    sweep.add("cam_new", backbone="mit_b0")
    sweep.add("full", backbone="resnet50", wrong=0.05)
    table = {(row.method, row.backbone): row for row in board(sweep).rows}
    cam, full = table["cam_new", "resnet18"], table["full", "resnet18"]
    assert cam.percent_of_full == cam.val_miou / full.val_miou
    assert full.percent_of_full == 1.0
    assert table["cam_new", "mit_b0"].percent_of_full is None


def test_ranks_are_within_one_backbone_and_its_weights(records):
    for backbone, init in (("resnet18", "ImageNet-1k"), ("resnet18", "random"), ("mit_b0", "ImageNet-1k")):
        records.add("cam", backbone=backbone, init=init, fingerprint="a" * 16, benchmark=f"b-{init}")
        records.add("better", wrong=0.1, backbone=backbone, init=init, fingerprint="a" * 16, benchmark=f"b-{init}")
    assert [(row.backbone, row.init, row.rank, row.method) for row in board(records).rows] == [
        ("mit_b0", "ImageNet-1k", 1, "better"),
        ("mit_b0", "ImageNet-1k", 2, "cam"),
        ("resnet18", "ImageNet-1k", 1, "better"),
        ("resnet18", "ImageNet-1k", 2, "cam"),
        ("resnet18", "random", 1, "better"),
        ("resnet18", "random", 2, "cam"),
    ]


def test_weights_of_another_hash_are_another_row(records):
    records.add("cam", init_sha256="a")
    records.add("cam", seed=1, init_sha256="b")
    assert [row.seeds for row in board(records).rows] == [[0], [1]]


def test_seconds_count_a_shared_stage_once_and_average_over_seeds(records):
    def stages(seconds):
        stage = {"name": "cams", "key": "k1", "seconds": 10.0, "peak_mib": 700.0}
        return [stage, stage, {"name": "fit", "key": "k2", "seconds": seconds, "peak_mib": 900.0}]

    records.add("cam", stages=stages(2.0))
    records.add("cam", seed=1, stages=stages(4.0))
    row = rows(records)["cam"]
    assert (row.seconds, row.peak_memory_mib) == (13.0, 900.0)


def test_an_unknown_duration_is_not_taken_as_zero(records):
    records.add("cam", stages=[{"name": "a", "key": "1", "seconds": 2.0}, {"name": "b", "key": "2"}])
    row = rows(records)["cam"]
    assert (row.seconds, row.peak_memory_mib) == (None, None)


def test_scores_that_only_some_seeds_have_give_no_number(records):
    records.add("cam", scores=("pseudo", "val"), label_coverage=0.5)
    records.add("cam", seed=1, scores=("val",))
    row = rows(records)["cam"]
    assert (row.pseudo_miou, row.label_coverage) == (None, None)
    assert row.val_miou is not None


def test_a_row_without_validation_scores_is_not_ranked(records):
    records.add("cam", scores=("pseudo",))
    row = rows(records)["cam"]
    assert (row.rank, row.status, row.val_miou, row.class_iou) == (None, "ok", None, None)


def test_annotation_hours_come_from_supervision_and_training_images(sweep):
    assert rows(sweep)["box_fill"].annotation_hours == pytest.approx(36 * 38.1 / 3600)
    assert rows(sweep)["full"].annotation_hours == pytest.approx(36 * 239.7 / 3600)


def test_annotation_hours_of_an_unknown_number_of_images_are_none(records):
    records.add("cam", dataset=DATASET_WITHOUT_TRAIN)
    assert rows(records)["cam"].annotation_hours is None


def test_mixed_fingerprints_are_refused_and_labelled_when_allowed(records):
    records.add("cam")
    records.add("cam", fingerprint="f" * 16, protocol={"scoring": {"bootstrap": 200}})
    with pytest.raises(ConfigError, match=r"protocol\.scoring\.bootstrap is 200, not 100"):
        board(records)
    mixed = board(records, allow_mixed=True)
    assert (mixed.mixed, mixed.fingerprint, mixed.protocol, mixed.dataset) == (True, None, None, None)
    assert mixed.notes[0].startswith("MIXED SETTINGS")
    assert [(row.rank, row.fingerprint[0]) for row in mixed.rows] == [(1, "0"), (1, "f")]


def test_seeds_that_scored_different_images_are_refused(records):
    records.add("cam")
    records.add("cam", seed=1, images=5)
    with pytest.raises(DataError, match="different images"):
        board(records)


def test_the_order_of_the_records_changes_nothing(sweep):
    runs = load_runs(sweep.runs)
    assert build_board(runs) == build_board(runs[::-1])


def test_rows_that_the_paired_test_cannot_tell_apart_share_their_rank(records):
    records.add("best", wrong=0.1)
    records.add("same", wrong=0.1)
    records.add("worst", wrong=0.5)
    table = board(records)
    assert [(row.rank, row.method, row.tied_with) for row in table.rows] == [
        (1, "best", ["same"]),
        (1, "same", ["best"]),
        (3, "worst", []),
    ]
    (comparison,) = table.comparisons
    assert [(pair.left, pair.right, pair.significant) for pair in comparison.pairs] == [
        ("best", "same", False),
        ("best", "worst", True),
        ("same", "worst", True),
    ]
    pair = comparison.pairs[1]
    assert pair.low < pair.difference < pair.high
    assert pair.difference == pytest.approx(table.rows[0].val_miou - table.rows[2].val_miou)
    assert pair.p <= pair.p_holm


def test_the_notes_define_the_rank_and_say_what_the_images_resolve(sweep):
    table = board(sweep)
    (comparison,) = table.comparisons
    assert any("one more than the number of rows that are significantly better" in note for note in table.notes)
    assert any(f"about {100 * comparison.resolvable:.1f} points" in note for note in table.notes)


def test_values_of_each_seed_and_intervals_of_each_class_are_in_the_frame(sweep):
    row = rows(sweep)["cam_new"]
    val = [run.confusions("val") for run in load_runs(sweep.runs) if run.record.label == "cam_new"]
    assert row.val_miou_seeds == [float(miou(seed.total())) for seed in val]
    assert len(row.pseudo_miou_seeds) == 2
    for value, low, high in zip(row.class_iou[:3], row.class_iou_low[:3], row.class_iou_high[:3], strict=True):
        assert low < value < high
    assert (row.class_iou_low[3], row.class_iou_high[3]) == (None, None)


def test_a_mark_is_shown_until_the_record_is_edited(records):
    path = records.add("cam")
    assert rows(records)["cam"].verified is None
    mark_path(path).write_text(mark_text(path))
    assert rows(records)["cam"].verified is True
    records.add("cam", seed=1)
    assert rows(records)["cam"].verified is None, "a row is verified when all its seeds are"
    records.edit(path, year=1999)
    assert rows(records)["cam"].verified is None
