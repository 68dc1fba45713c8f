"""Labels and predictions leave as files that any repository reads."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from harness.contract import ConfigError, DataError
from harness.export import export_labels, find_row
from harness.maps.labels import voc_palette
from tests.commands import wsss
from tests.engine.toy import PLUGIN

OWN = SimpleNamespace(class_ids=(0, 8, 15))


def masks_of(folder: Path) -> dict[str, np.ndarray]:
    return {path.stem: np.array(Image.open(path)) for path in sorted((folder / "masks").glob("*.png"))}


def stored(runs: Path, label: str) -> dict[str, np.ndarray]:
    reader = find_row(runs, f"{label}--net--s0").labels()
    return {name: reader.mask(name) for name in reader.ids}


def export(runs, *more):
    return wsss("export", *more, "--runs", runs, "--plugin", PLUGIN)


def test_labels_have_the_data_sets_own_ids_the_colours_of_voc_and_a_list(runs, tmp_path):
    row = find_row(runs, "learnt_erase")
    told = []
    export_labels(row, tmp_path / "out", dataset=OWN, progress=lambda *amount: told.append(amount))
    table = np.full(256, 255, np.uint8)
    table[:3] = OWN.class_ids
    written, expected = masks_of(tmp_path / "out"), stored(runs, "learnt_erase")
    assert written.keys() == expected.keys() == {f"train{number}" for number in range(4)}
    for name, mask in expected.items():
        assert set(np.unique(mask)) == {0, 1, 255}
        np.testing.assert_array_equal(written[name], table[mask])
        with Image.open(tmp_path / "out" / "masks" / f"{name}.png") as image:
            assert (image.mode, bytes(image.getpalette())) == ("P", voc_palette())
    assert (tmp_path / "out" / "train.txt").read_text().split() == sorted(expected)
    lines = list(csv.reader((tmp_path / "out" / "classes.csv").read_text().splitlines()))
    assert lines[1:] == [
        ["0", "0", "background", "0", "0", "0"],
        ["1", "8", "one", "64", "0", "0"],
        ["2", "15", "two", "192", "128", "128"],
    ]
    assert told == [(number, 4) for number in range(1, 5)]


def test_scores_and_masks_as_npz_have_the_same_ids(runs, tmp_path):
    export_labels(find_row(runs, "fill--net--s0"), tmp_path / "out", dataset=OWN, form="npz", soft=True)
    for name, mask in stored(runs, "fill").items():
        with np.load(tmp_path / "out" / "masks" / f"{name}.npz") as content:
            np.testing.assert_array_equal(content["labels"], np.where(mask == 1, 8, 0))
        with np.load(tmp_path / "out" / "scores" / f"{name}.npz") as content:
            assert content["keys"].tolist() == [8, 15]
            assert (content["scores"].shape, content["scores"].dtype) == ((2, *mask.shape), np.float16)
            assert (content["scores"] == 0.5).all()


def test_predictions_are_those_of_the_store(runs, tmp_path):
    code, output = export(runs, "fill", "--seed", 1, "--predictions", tmp_path / "out")
    assert (code, output) == (0, f"predictions of fill--net--s1: {tmp_path / 'out'}\n")
    reader = find_row(runs, "fill", seed=1).predictions()
    for name, mask in masks_of(tmp_path / "out").items():
        np.testing.assert_array_equal(mask, reader.mask(name))
    assert (tmp_path / "out" / "val.txt").read_text().split() == list(reader.ids)


def test_the_readme_says_row_protocol_score_and_interval(runs, tmp_path):
    assert export(runs, "learnt_erase", "--labels", tmp_path / "a", "--predictions", tmp_path / "b").code == 0
    for folder, words in (("a", "pseudo labels on the training"), ("b", "on the validation")):
        text = (tmp_path / folder / "README.md").read_text()
        assert "Row `learnt_erase` of the benchmark `toy`" in text
        assert re.search(rf"mIoU \S*\s?\S*\s?{words} images: \d+\.\d \[\d+\.\d, \d+\.\d\] \(95 %", text), text
        record = json.loads(next(runs.glob("records/*/learnt_erase--*.json")).read_text())
        assert record["fingerprint"] in text


def test_without_measured_truth_labels_and_predictions_are_found_all_the_same(runs, tmp_path):
    path = next(runs.glob("records/*/learnt_erase--*.json"))
    record = json.loads(path.read_text())
    kept = stored(runs, "learnt_erase")
    record["scores"], record["oracle"] = {}, None
    record["stages"] = [stage for stage in record["stages"] if "score" not in stage["name"]]
    path.write_text(json.dumps(record))
    folders = {"--labels": tmp_path / "a", "--predictions": tmp_path / "b"}
    code, output = export(runs, "learnt_erase", "--ids", "dense", *(item for pair in folders.items() for item in pair))
    assert code == 0, output
    for name, mask in masks_of(tmp_path / "a").items():
        np.testing.assert_array_equal(mask, kept[name])
    assert len(masks_of(tmp_path / "b")) == 3
    assert "not measured" in (tmp_path / "a" / "README.md").read_text()


def test_labels_of_an_earlier_round_can_be_had(runs):
    row = find_row(runs, "twice--net--s0")
    first, last = row.labels(1), row.labels()
    assert first.ids == last.ids
    assert row.labels(2).mask(last.ids[0]).tolist() == last.mask(last.ids[0]).tolist()
    with pytest.raises(ConfigError, match="has no round 3, only 1 to 2"):
        row.labels(3)


def test_class_indices_need_no_data_set(runs, tmp_path):
    for note in (runs / "datasets").glob("*.json"):
        note.unlink()
    code, output = export(runs, "learnt_erase", "--labels", tmp_path / "out")
    assert code == 2
    assert output.endswith("name the benchmark's file with --config; class indices need no data set: --ids dense\n")
    assert export(runs, "learnt_erase", "--labels", tmp_path / "out", "--ids", "dense").code == 0
    assert masks_of(tmp_path / "out").keys() == stored(runs, "learnt_erase").keys()


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ((0, 8, 300), "class 'two' has id 300, a mask holds 0 to 255; use --ids dense"),
        ((0, 8, 8), "two classes of the data set have the same id; use --ids dense"),
        ((0, 255, 8), "ignored pixels are 255, which is the data set's id of class 'one' too; use --ids dense"),
    ],
)
def test_ids_that_a_mask_cannot_hold_are_one_sentence_and_nothing_is_written(runs, tmp_path, ids, words):
    with pytest.raises((ConfigError, DataError), match=words):
        export_labels(find_row(runs, "learnt_erase"), tmp_path / "out", dataset=SimpleNamespace(class_ids=ids))
    assert not list(tmp_path.glob("*out*"))


def test_a_row_of_several_cells_is_one_sentence_that_says_how_to_choose(runs):
    folder = next(runs.glob("records/*"))
    with pytest.raises(ConfigError) as caught:
        find_row(runs, "fill")
    cells = ", ".join(f"fill--net--s{seed} in {folder}" for seed in (0, 1))
    assert str(caught.value) == f"row 'fill' is there 2 times: {cells}; choose with --seed with one of 0 1"
    with pytest.raises(ConfigError, match="choose with --backbone with one of net, wide"):
        find_row(runs, "twice")
    with pytest.raises(ConfigError, match=r"row 'fill' is not there like that: .*; choose with --seed"):
        find_row(runs, "fill", seed=7)
    assert find_row(runs, "fill", seed=1).name == "fill--net--s1"
    assert find_row(runs, "twice", backbone="wide").name == "twice--wide--s0"
    with pytest.raises(ConfigError, match="there is no row 'fil'; did you mean 'fill'"):
        find_row(runs, "fil")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("learnt_erase",), "nothing to export: name a folder with --labels, --predictions, --model"),
        (("learnt_erase", "--labels", "OUT", "--predictions", "OUT"), "name a folder of its own for each"),
        (("learnt_erase", "--predictions", "OUT", "--soft"), "--soft writes the scores behind pseudo labels"),
        (("learnt_erase", "--model", "OUT", "--labels", "INSIDE"), "name a folder of its own for each, none inside"),
        (("learnt_erase", "--labels", "RUNS", "--force"), "runs is never replaced; name another folder"),
        (("learnt_erase", "--labels", "OUT", "--soft"), "its labels have no soft scores; leave --soft out"),
        (("labels_only", "--predictions", "OUT"), "ends with its pseudo labels: it has no predictions"),
        (("learnt_erase", "--labels", "FULL"), "is not empty; name another folder, or add --force"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(runs, tmp_path, options, words):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "old").write_text("")
    places = {"OUT": tmp_path / "out", "FULL": tmp_path / "full", "RUNS": runs, "INSIDE": tmp_path / "out" / "in"}
    ending = export(runs, *(places.get(option, option) for option in options))
    assert (ending.code, ending.output.count("\n")) == (2, 1)
    assert words in ending.output
    assert not (tmp_path / "out").exists()
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["old"]


def test_labels_that_were_deleted_are_one_sentence(runs, tmp_path):
    assert wsss("store", "gc", "--runs", runs, "--all-artifacts").code == 0
    code, output = export(runs, "learnt_erase", "--labels", tmp_path / "out")
    assert code == 2
    assert "row learnt_erase--net--s0: pseudo labels: no sound one in the store" in output
    assert output.endswith("`wsss run` computes it again\n")


def test_an_id_that_leaves_its_folder_writes_nothing(runs, tmp_path, monkeypatch):
    row = find_row(runs, "learnt_erase")
    reader = row.labels()
    mask = reader.mask(reader.ids[0])
    monkeypatch.setattr(type(reader), "mask", lambda self, image_id: mask)
    reader.ids = ("../../evil",)
    monkeypatch.setattr(type(row), "labels", lambda self: reader)
    with pytest.raises(DataError, match="an id that leaves its folder"):
        export_labels(row, tmp_path / "out", ids="dense")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
