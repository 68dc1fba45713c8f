"""Masks outline labels as the rule says, whatever their order and form, and files that do not fit are refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from harness.contract import IGNORE, ConfigError, PseudoLabel
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.layout import Plan, build_plan
from harness.maps import LabelReader
from harness.registry import PluginManager, PluginSpec, manager_from_spec
from harness.testing import check_row, fake_context, fake_view, scenes
from tests.engine.toy import BENCHMARK, MODELLING, PLUGIN, Inline, records, run_toy
from wsss_sepl.method import chosen, merge
from wsss_sepl.params import SeplParams
from wsss_sepl.refiner import Sepl

TRAIN = [f"train{number}" for number in range(4)]
SIDE = 8
BUILTINS = ("harness.engine.executors.builtin", "harness.maps.builtin", "harness.scoring.builtin", "wsss_sepl")


def area(rows: slice, columns: slice) -> npt.NDArray[np.bool_]:
    """(8, 8) True in a rectangle."""
    region = np.zeros((SIDE, SIDE), np.bool_)
    region[rows, columns] = True
    return region


EVERYTHING = slice(None)
LABEL = np.zeros((SIDE, SIDE), np.uint8)
LABEL[2:6, 2:6] = 1  # 16 pixels


def test_a_class_takes_a_mask_of_which_it_covers_more_than_half_and_no_mask_of_which_it_covers_half():
    most, half = area(slice(2, 5), slice(2, 7)), area(slice(2, 6), slice(4, 8))
    np.testing.assert_array_equal(merge(LABEL, most[None]) == 1, most | (LABEL == 1))
    np.testing.assert_array_equal(merge(LABEL, half[None]) == 1, (LABEL == 1) & ~half)


def test_a_class_takes_a_mask_that_holds_most_of_it_however_large_that_is():
    large = area(EVERYTHING, EVERYTHING)
    np.testing.assert_array_equal(merge(LABEL, large[None]), 1)
    large[2, 2:5] = False  # holds 13 of 16 pixels, under 85 %
    np.testing.assert_array_equal(merge(LABEL, large[None]) == 1, (LABEL == 1) & ~large)


def test_a_mask_that_a_class_has_taken_is_not_on_offer_to_the_next():
    label = LABEL.copy()
    label[2:6, 5:7] = 2
    both = area(slice(2, 6), slice(1, 7))  # holds both classes, and a column of background
    renamed = np.array([0, 2, 1], np.uint8)[label]
    for image in (label, renamed):
        merged = merge(image, both[None])
        np.testing.assert_array_equal(merged[2:6, 1], 1)
        np.testing.assert_array_equal(merged == 2, image == 2)  # nothing on offer covers it, so it keeps its pixels


def test_ignored_pixels_stay_ignored_unless_a_class_takes_them():
    label = LABEL.copy()
    label[0] = label[5] = IGNORE
    mask = area(slice(2, 6), slice(2, 6))
    merged = merge(label, mask[None])
    np.testing.assert_array_equal(merged == 1, mask)
    np.testing.assert_array_equal(merged[0], IGNORE)
    np.testing.assert_array_equal(merge(label, mask[None], keep_ignored=False), mask)


def test_without_masks_a_label_stays_as_it_is():
    np.testing.assert_array_equal(merge(LABEL, np.zeros((0, SIDE, SIDE), np.bool_)), LABEL)


def in_order(label: npt.NDArray[np.uint8], masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """The rule one mask after another, as a loop over files in some order would have it."""
    merged, seen = np.zeros_like(label), set()
    for cls in range(1, 4):
        region = label == cls
        if not region.any():
            continue
        taken, scanned = np.zeros_like(region), np.zeros_like(region)
        for number, mask in enumerate(masks):
            if number in seen:
                continue
            scanned |= mask
            common = np.sum(region & mask)
            if 2 * common > mask.sum() or common / region.sum() >= 0.85:
                taken |= mask
                seen.add(number)
        merged[taken | (region & ~scanned)] = cls
    return merged


def test_the_order_of_the_masks_changes_nothing():
    rng = np.random.default_rng(0)
    differing = 0
    for _ in range(60):
        label = np.kron(rng.integers(0, 4, (4, 4)), np.ones((2, 2))).astype(np.uint8)
        masks = np.kron(rng.random((12, 4, 4)) < 0.3, np.ones((2, 2))) > 0
        merged = merge(label, masks)
        differing += bool((merged != label).any())
        for order in (np.arange(12), rng.permutation(12), np.argsort(-masks.sum(axis=(1, 2)), kind="stable")):
            np.testing.assert_array_equal(in_order(label, masks[order]), merged)
            np.testing.assert_array_equal(merge(label, masks[order]), merged)
    assert differing == 60


def test_thresholds_are_parameters():
    region, mask = LABEL == 1, area(slice(2, 6), slice(2, 8))[None]  # 16 of 24 pixels, all of the class
    assert [bool(chosen(region, mask, share=s, cover=c)[0]) for s, c in ((0.5, 1), (0.7, 1), (0.7, 1.01))] == [
        True,
        True,
        False,
    ]
    with pytest.raises(ConfigError, match="sepl: cover must lie between 0 and 1, got 2"):
        SeplParams(folder=Path(), cover=2)


def test_the_refiner_sees_no_supervision_and_drops_soft_scores(tmp_path):
    np.save(tmp_path / "a.npy", area(slice(2, 5), slice(2, 7))[None])
    view = fake_view({"a": np.zeros((SIDE, SIDE, 3), np.uint8)}, tags={"a": (1,)}, needs=())
    (refined,) = Sepl(SeplParams(folder=tmp_path)).refine([PseudoLabel("a", LABEL)], view, fake_context(tmp_path))
    assert refined.scores is None
    assert refined.mask[2, 6] == 1


def test_the_rule_on_generated_images_passes_the_conformance_kit(tmp_path):
    dataset = scenes.make(scenes.Params())
    (tmp_path / "masks").mkdir()
    for number, image_id in enumerate(dataset.ids("train")):
        mask = dataset.mask(image_id)
        np.save(tmp_path / "masks" / f"{image_id}.npy", np.stack([mask == 0, mask > 0])[: 1 + number % 2])
    refiner = {"name": "sepl", "params": {"folder": str(tmp_path / "masks")}}
    row = {"name": "merged", "rounds": [{"generator": "box_fill", "refiners": [refiner]}], "labels_only": True}
    findings = check_row(row, manager_from_spec(PluginSpec(env="")), tmp_path / "kit")
    assert [finding for finding in findings if finding.status == "fail"] == []
    assert {"labels", "deterministic", "supervision", "images", "resume", "writes"} <= {item.check for item in findings}


@pytest.fixture(scope="module")
def manager() -> PluginManager:
    return manager_from_spec(PluginSpec(files=(str(PLUGIN),), env="", builtins=BUILTINS))


def write(folder: Path) -> Path:
    """Masks of all toy images: the two lower rows, of which the toy's label covers all."""
    folder.mkdir()
    for image_id in TRAIN:
        np.save(folder / f"{image_id}.npy", area(slice(6, 8), EVERYTHING)[None])
    return folder


def planned(place: Path, manager: PluginManager, **params: Any) -> Plan:
    """The plan of a benchmark in ``place`` whose row merges the toy's labels with masks in ``masks``."""
    refiner = {"name": "sepl", "params": {"folder": "masks", **params}}
    row = {"name": "merged", "rounds": [{"generator": "fill", "refiners": [refiner], "segmenter": "toy"}]}
    (place / "model.py").write_text("model = dict(type='EncoderDecoder')\n")
    (place / "mine.yaml").write_text(json.dumps({**BENCHMARK, "methods": [row]}))
    return build_plan(load_benchmark(place / "mine.yaml"), manager, modelling=MODELLING)


def test_masks_in_a_folder_beside_the_benchmark_file_change_the_labels_of_its_row(tmp_path, manager):
    write(tmp_path / "masks")
    run_toy(planned(tmp_path, manager, cover=1.0), manager, tmp_path / "runs", executor=Inline)
    (record,) = records(tmp_path / "runs").values()
    assert record["status"] == "ok"
    assert [(item["letter"], item["name"]) for item in record["pretrained"]] == [("F", "SAM")]
    (key,) = {item["key"] for item in record["stages"] if item["name"].startswith("r1/refine")}
    (found,) = (path for path in tmp_path.rglob(key) if path.is_dir() and any(path.iterdir()))
    np.testing.assert_array_equal(LabelReader(found).mask("train1")[1:3, 0], [0, 1])


def test_other_masks_under_the_same_name_are_another_key(tmp_path, manager):
    write(tmp_path / "masks")
    before = {spec.kind: key for key, spec in planned(tmp_path, manager).stages.items()}
    np.save(tmp_path / "masks" / "train0.npy", area(EVERYTHING, EVERYTHING)[None])
    after = {spec.kind: key for key, spec in planned(tmp_path, manager).stages.items()}
    assert before["generate"] == after["generate"]
    assert before["refine"] != after["refine"]


@pytest.mark.parametrize(
    ("change", "params", "sentence"),
    [
        (lambda path: path.unlink(), {}, "1 of 4 images have no masks, the first is 'train2'; add them, or set `missi"),
        (lambda path: np.save(path, np.ones((1, 4, 8))), {}, "train2.npy: is 4x8, the image 8x8"),
        (lambda path: path.write_text("x"), {}, "train2.npy: no .npy file that can be read"),
        (lambda path: None, {"folder": "absent"}, "absent: no such folder"),
        (lambda path: None, {"folder": "."}, "holds masks of none of the 4 images, for example 'train0'"),
        (lambda path: None, {"share": -1.0}, "sepl: share must lie between 0 and 1, got -1"),
    ],
)
def test_masks_that_do_not_fit_are_one_sentence_of_the_plan(tmp_path, manager, change, params, sentence):
    change(write(tmp_path / "masks") / "train2.npy")
    with pytest.raises(ConfigError) as caught:
        planned(tmp_path, manager, **params)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert re.search(re.escape(sentence), str(caught.value)), str(caught.value)
    assert "methods.merged" in str(caught.value)


def test_masks_that_no_network_made_show_none(tmp_path, manager):
    write(tmp_path / "masks")
    (cell,) = planned(tmp_path, manager, made_by=None).cells
    assert not cell.row.pretrained


def test_images_without_masks_may_keep_their_labels(tmp_path, manager):
    (write(tmp_path / "masks") / "train2.npy").unlink()
    run_toy(planned(tmp_path, manager, missing="keep"), manager, tmp_path / "runs", executor=Inline)
    assert [record["status"] for record in records(tmp_path / "runs").values()] == ["ok"]
