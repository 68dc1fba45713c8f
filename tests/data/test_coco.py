"""The COCO reader on a small tree in the layout of COCO 2014."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as tool
from typer.testing import CliRunner

from harness.cli.datasets import app
from harness.contract import Box, ConfigError, DataError
from harness.data.checking import check
from harness.data.coco import CocoDataset
from harness.data.configuration import build_dataset
from harness.data.voc import VocDataset
from harness.registry import manager
from tests.data.coco_folder import CATEGORIES, CocoFolder, H, W, rectangle


@pytest.fixture
def coco(tmp_path: Path) -> CocoFolder:
    return CocoFolder(tmp_path / "coco")


A, B, C = (CocoFolder.image_id("train", number) for number in (9, 25, 30))


def test_category_ids_with_gaps_become_consecutive_classes(coco: CocoFolder) -> None:
    dataset = CocoDataset(coco.params())
    assert dataset.classes == ("background", *CATEGORIES.values())
    assert dataset.ids("train") == (A, B, C)
    assert dataset.ids("val") == tuple(CocoFolder.image_id("val", n) for n in (42, 73))
    assert dataset.tags(A) == (1, 4, 5)
    assert dataset.tags(B) == (6,)
    assert (dataset.mask(B)[:4, :4] == 6).all()
    assert np.count_nonzero(dataset.mask(B)) == 16
    assert dataset.image(A).shape == (*dataset.size(A), 3)


def test_a_later_instance_hides_an_earlier_one_and_crowds_are_painted(coco: CocoFolder) -> None:
    mask = CocoDataset(coco.params()).mask(A)
    expected = np.zeros((H, W), np.uint8)
    expected[1:7, 2:8] = 4
    expected[3:11, 4:6] = 1
    expected[0:6, 9:16] = 5
    np.testing.assert_array_equal(mask, expected)
    assert mask.dtype == np.uint8


@pytest.mark.parametrize(("overlap", "top"), [("annotation", 2), ("class", 2), ("area", 2)])
def test_what_is_on_top_is_a_parameter(coco: CocoFolder, overlap: str, top: int) -> None:
    assert CocoDataset(coco.params(overlap=overlap)).mask(C)[3, 3] == top


def test_orders_of_painting_differ_where_they_should(coco: CocoFolder) -> None:
    coco.annotations["train"][30] = [rectangle(1, 2, 2, 5, 5), rectangle(3, 1, 1, 9, 9), rectangle(1, 6, 6, 12, 12)]
    found = {
        overlap: CocoDataset(coco.params(overlap=overlap)).mask(C)[[3, 7], [3, 7]].tolist()
        for overlap in ("annotation", "class", "area")
    }
    assert found == {"annotation": [2, 1], "class": [2, 2], "area": [1, 1]}


def test_crowds_can_be_ignored(coco: CocoFolder) -> None:
    dataset = CocoDataset(coco.params(crowd="ignore"))
    assert (dataset.mask(A)[0:6, 9:16] == 255).all()
    assert dataset.tags(A) == (1, 4)
    assert [box.cls for box in dataset.boxes(A)] == [4, 1]


def test_compressed_run_lengths_are_read_too(coco: CocoFolder) -> None:
    region = np.zeros((H, W), np.uint8, order="F")
    region[2:5, 3:9] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        runs = tool.encode(region)
    runs["counts"] = runs["counts"].decode()
    coco.annotations["train"][25] = [rectangle(3, 3, 2, 9, 5, segmentation=runs)]
    np.testing.assert_array_equal(CocoDataset(coco.params()).mask(B), region * 2)


def test_boxes_are_rounded_outwards_and_those_without_extent_left_out(coco: CocoFolder) -> None:
    entry = rectangle(1, 1, 1, 9, 9)
    coco.annotations["train"][30] = [
        entry | {"bbox": [1.5, 2.25, 3.0, 4.5]},
        entry | {"bbox": [3.0, 0.0, 5.0, 0.0]},
        entry | {"bbox": [10.0, 8.0, 6.01, 4.2]},
    ]
    assert CocoDataset(coco.params()).boxes(C) == (Box(1, 1, 2, 5, 7), Box(1, 10, 8, 16, 12))


def test_boxes_count_as_drawn_unless_the_data_set_says_that_outlines_gave_them(coco: CocoFolder) -> None:
    drawn, derived = CocoDataset(coco.params()), CocoDataset(coco.params(boxes_from="masks"))
    assert drawn.boxes_from_masks == ()
    assert derived.boxes_from_masks == derived.classes[1:]
    assert drawn.digests("train") == derived.digests("train")


def test_an_auxiliary_part_holds_the_other_classes_alone(coco: CocoFolder) -> None:
    """Relabelled in ascending category id; images of the first classes alone are skipped, their objects background."""
    layout = {"root": str(coco.root), "train": "annotations/instances_train2014.json", "train_images": "train2014"}
    auxiliary = {"name": "rest", "classes": "not_voc", "overlap": "class", **layout}
    dataset = CocoDataset(coco.params(classes="voc", auxiliary=auxiliary))
    assert dataset.classes == ("background", "person", "car", "cat")
    rest = dataset.auxiliary
    assert rest is not None
    assert rest.classes == ("background", "stop sign", "elephant", "toothbrush")
    assert rest.ids("train") == (A, B)
    assert rest.ids("val") == ()
    assert (dataset.ids("train"), dataset.tags(A)) == ((A, C), (1, 3))
    expected = np.zeros((H, W), np.uint8)
    expected[0:6, 9:16] = 2
    np.testing.assert_array_equal(rest.mask(A), expected)
    with pytest.raises(ConfigError, match=r"auxiliary.classes must differ .* both hold person"):
        CocoDataset(coco.params(classes="voc", auxiliary=auxiliary | {"classes": "all"}))
    seen = {"train": "annotations/instances_val2014.json", "train_images": "val2014"}
    with pytest.raises(DataError, match=r"auxiliary.train: image 'COCO_val2014_000000000073' is a validation image"):
        CocoDataset(coco.params(classes="voc", unlabelled="keep", auxiliary=auxiliary | seen))


def test_a_voc_data_set_may_have_an_auxiliary_part_in_coco_layout(coco: CocoFolder, voc: Any) -> None:
    coco.params()
    auxiliary = {
        "name": "rest",
        "root": str(coco.root),
        "train": "annotations/instances_train2014.json",
        "train_images": "train2014",
        "classes": "not_voc",
    }
    dataset = VocDataset(voc.params(auxiliary=auxiliary))
    assert dataset.auxiliary is not None
    assert dataset.auxiliary.classes == ("background", "stop sign", "elephant", "toothbrush")
    assert check(dataset).splits[2].images == 2
    with pytest.raises(ConfigError, match=r"auxiliary.classes must differ .* both hold person"):
        VocDataset(voc.params(auxiliary=auxiliary | {"classes": ["person", "elephant"]}))


def test_other_categories_can_be_ignored_and_lists_choose(coco: CocoFolder) -> None:
    (coco.root / "some.txt").write_text(f"{C}\n{A}\n")
    dataset = CocoDataset(coco.params(classes=["cat", "person"], other="ignore", train_list="some.txt"))
    assert dataset.classes == ("background", "person", "cat")
    assert dataset.ids("train") == (C, A)
    assert (dataset.mask(A)[0:6, 9:16] == 255).all()


def test_digests_change_with_what_they_stand_for(coco: CocoFolder) -> None:
    before = CocoDataset(coco.params()).digests("train")
    assert set(before) == {"ids", "images", "tags", "boxes", "masks"}
    assert CocoDataset(coco.params()).digests("train") == before
    coco.annotations["train"][9][0]["segmentation"][0][0] += 1
    coco.write("train")
    after = CocoDataset(coco.params()).digests("train")
    assert {kind for kind in before if before[kind] != after[kind]} == {"masks"}
    ignoring = CocoDataset(coco.params(crowd="ignore")).digests("train")
    assert {kind for kind in after if after[kind] != ignoring[kind]} == {"tags", "boxes", "masks"}


def test_a_sound_tree_is_clean_and_every_defect_is_found_in_one_go(coco: CocoFolder) -> None:
    assert check(CocoDataset(coco.params())).clean
    coco.annotations["train"][25].append(rectangle(99, 0, 0, 4, 4))
    coco.annotations["train"][30][1]["segmentation"] = [[1, 2, 3, 4]]
    coco.write("train")
    coco.image("train", 9, size=(5, 5))
    (coco.root / "val2014" / f"{CocoFolder.image_id('val', 42)}.jpg").unlink()
    report = check(CocoDataset.lenient(coco.params()))
    assert {(defect.split, defect.kind, defect.image_id) for defect in report.defects} == {
        ("train", "mask", B),
        ("train", "mask", C),
        ("train", "image", A),
        ("val", "image", CocoFolder.image_id("val", 42)),
    }
    assert all(str(coco.root) in defect.message for defect in report.defects)
    with pytest.raises(DataError, match=r"2014.json: annotations.4 \(id 2501\): category_id 99 .*and 2 more"):
        CocoDataset(coco.params())


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "no valid JSON"), ("{}", "needs the list 'images'"), (None, "no such file")],
)
def test_damaged_instances_files_are_named(coco: CocoFolder, content: str | None, words: str) -> None:
    params = coco.params()
    path = coco.root / "annotations" / "instances_val2014.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=rf"instances_val2014.json: .*{words}"):
        CocoDataset(params)


def test_wrong_classes_and_differing_categories_are_refused(coco: CocoFolder) -> None:
    with pytest.raises(ConfigError, match="classes: 'dragon' is no category"):
        CocoDataset(coco.params(classes=["dragon"]))
    coco.write("val", categories=[{"id": 1, "name": "human"}])
    with pytest.raises(DataError, match="categories differ"):
        CocoDataset(coco.params())


def test_without_pycocotools_the_extra_is_named(coco: CocoFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = CocoDataset(coco.params())
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(ConfigError, match=r"wsss-harness\[coco\]"):
        dataset.mask(A)


def test_the_shipped_configuration_reads_the_original_layout(coco: CocoFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.data.configuration import expand_env, load_yaml

    coco.params()
    monkeypatch.setenv("WSSS_DATA", str(coco.root.parent))
    coco.root.rename(coco.root.parent / "coco2014")
    path = Path(__file__).parents[2] / "configs" / "datasets" / "coco2014.yaml"
    config = expand_env(load_yaml(path), where=str(path))
    dataset = build_dataset(config["name"], config["params"], where=str(path), plugins=manager())
    assert (dataset.name, len(dataset.ids("train")), len(dataset.ids("val"))) == ("coco2014", 3, 2)


def test_the_command_checks_it_and_ends_with_2_where_it_is_defective(coco: CocoFolder) -> None:
    config = coco.root / "coco.yaml"
    config.write_text(json.dumps({"name": "coco", "params": coco.params().model_dump()}))
    sound = CliRunner().invoke(app, ["check", str(config)])
    assert (sound.exit_code, "no defects" in sound.output) == (0, True)
    coco.image("val", 73, size=(3, 3))
    defective = CliRunner().invoke(app, ["check", str(config)])
    assert (defective.exit_code, "3x3 pixels, but its entry" in defective.output) == (2, True)
