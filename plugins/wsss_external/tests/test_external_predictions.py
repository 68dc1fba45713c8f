"""Predictions of other people are scored, compared and verified like our own; nothing is trained for them."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.evaluator import DumpResults
from PIL import Image

from harness.contract import StoreError
from harness.engine.recorded_data import recorded_dataset
from harness.engine.store.store import Store
from harness.engine.verify import verify
from harness.export import export_labels, find_row
from harness.leaderboard import build_board, load_runs
from harness.leaderboard.render import to_markdown
from harness.records.files import read_record
from harness.registry import PluginManager, PluginSpec, manager_from_spec
from tests.engine.toy import PLUGIN, records, run_toy
from wsss_external.tests.test_external_labels import (
    BUILTINS,
    SIDE,
    VAL,
    artifact,
    as_palette,
    drawn,
    planned,
    refused,
    row,
    write,
)


@pytest.fixture(scope="module")
def manager() -> PluginManager:
    return manager_from_spec(PluginSpec(files=(str(PLUGIN),), env="", builtins=BUILTINS))


def predicted(name: str, **params: Any) -> dict[str, Any]:
    return {"name": name, "method": "predictions_from", "params": {"supervision": "F", **params}}


def as_softmax(path: Path, mask: Any) -> None:
    """Probabilities at half the size."""
    logits = np.stack([mask[::2, ::2] == c for c in range(3)]).astype(np.float32) * 4
    np.savez_compressed(path.with_suffix(".npz"), softmax=np.exp(logits) / np.exp(logits).sum(0))


def results_of_mmseg(path: Path) -> None:
    """What mmsegmentation 1 writes with ``--out``, by mmengine itself, for more images and in another order."""
    metric = DumpResults(str(path))
    for image_id in [*reversed(VAL), "other"]:
        mask = np.zeros((SIDE, SIDE), np.uint8) if image_id == "other" else drawn(image_id)
        sample = {
            "img_path": f"/data/somewhere/JPEGImages/{image_id}.jpg",
            "ori_shape": (SIDE, SIDE),
            "pred_sem_seg": {"data": torch.from_numpy(mask.astype(np.int64))[None]},
            "seg_logits": {"data": torch.zeros(3, SIDE, SIDE)},
        }
        metric.process({}, [sample])
    metric.evaluate(len(VAL) + 1)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, manager: PluginManager) -> tuple[Path, dict[str, Any]]:
    """One run of the same predictions in several forms beside our own ``fill``."""
    folder = tmp_path_factory.mktemp("predictions")
    write(folder / "png", "palette", VAL)
    write(folder / "npy", "npy", VAL)
    (folder / "soft").mkdir()
    for image_id in VAL:
        as_softmax(folder / "soft" / image_id, drawn(image_id))
    results_of_mmseg(folder / "results.pkl")
    (folder / "old.pkl").write_bytes(pickle.dumps([drawn(image_id).astype(np.int64) for image_id in reversed(VAL)]))
    (folder / "order.txt").write_text("".join(f"{image_id}\n" for image_id in reversed(VAL)))
    rows = [
        predicted("png", folder="png", source="a model of others"),
        predicted("npy", folder="npy"),
        predicted("soft", folder="soft"),
        predicted("mmseg", file="results.pkl"),
        predicted("mmseg_0", file="old.pkl", order="order.txt"),
        "fill",
    ]
    run_toy(planned(folder, manager, *rows), manager, folder / "runs")
    return folder / "runs", records(folder / "runs")


def test_predictions_of_every_form_are_scored_alike(scored):
    _, found = scored
    assert {record["status"] for record in found.values()} == {"ok"}
    scores = {name: found[f"{name}--net--s0"]["scores"] for name in ("png", "npy", "mmseg", "mmseg_0")}
    assert {tuple(score) for score in scores.values()} == {("val",)}
    assert len({score["val"]["sha256"] for score in scores.values()}) == 1


def test_nothing_is_trained_and_nothing_else_is_read(scored):
    _, found = scored
    record = found["png--net--s0"]
    assert [stage["name"] for stage in record["stages"]] == ["predict", "score predictions"]
    assert record["meter"] == {}
    assert (record["supervision"], record["stated"]["supervision"]) == ("F", "F")


def test_the_table_ranks_them_with_a_dash_for_labels(scored):
    runs, _ = scored
    board = build_board(load_runs(runs))
    rows = {item.method: item for item in board.rows}
    assert rows["png"].val_miou is not None
    assert rows["png"].pseudo_miou is None
    assert rows["png"].rank is not None
    assert rows["png"].val_miou != rows["fill"].val_miou
    assert "F (stated)" in to_markdown(board)


def test_they_are_verified_like_any_other_row(scored, manager):
    runs, _ = scored
    store = Store(runs)
    (path,) = runs.glob("records/*/png--net--s0.json")
    record = read_record(path)
    assert verify(path, record, store, recorded_dataset(record, store, manager)) == []
    (mask,) = (
        found
        for stage in record.stages
        if stage.name == "predict"
        for found in (store.folder(stage.key) / "masks").glob("val0.png")
    )
    as_palette(mask, np.zeros((SIDE, SIDE), np.uint8))
    assert verify(path, record, Store(runs), recorded_dataset(record, store, manager)) != []


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({}, "predictions_from: give folder, or file, and not both"),
        ({"folder": "png", "missing": "background"}, "number 9 names no class, numbers are 0 to 2"),
        ({"folder": "few"}, "2 of 3 images have no file, the first is 'val1'"),
        ({"folder": "foreground"}, "2 planes of scores; predictions of 3 classes need as many"),
        ({"file": "short.pkl"}, "2 results without names of images, the list has 3; name the list"),
        ({"file": "dict.pkl"}, "holds dict, a list of predictions is needed"),
        ({"file": "evil.pkl"}, "holds posix.system, which is not read"),
        ({"file": "png"}, "is a folder, a file is needed"),
    ],
)
def test_predictions_that_do_not_fit_are_one_sentence_of_the_plan(tmp_path, manager, params, sentence):
    write(tmp_path / "png", "palette", VAL)
    Image.fromarray(np.full((SIDE, SIDE), 9, np.uint8)).save(tmp_path / "png" / "val1.png")
    write(tmp_path / "few", "palette", VAL[:1])
    (tmp_path / "foreground").mkdir()
    for image_id in VAL:
        np.save(tmp_path / "foreground" / f"{image_id}.npy", np.full((2, SIDE, SIDE), 0.5))
    (tmp_path / "short.pkl").write_bytes(pickle.dumps([drawn(image_id) for image_id in VAL[:2]]))
    (tmp_path / "dict.pkl").write_bytes(pickle.dumps({"a": 1}))
    (tmp_path / "evil.pkl").write_bytes(b"cposix\nsystem\n(S'touch owned'\ntR.")
    assert sentence in refused(tmp_path, manager, predicted("theirs", **params))


def test_the_stand_in_for_labels_cannot_be_trained_on(tmp_path, manager):
    alone = {"name": "x", "rounds": [{"generator": "no_labels", "segmenter": "toy"}]}
    assert "makes no labels, and segmenter 'toy' learns from labels alone; use one that needs none" in refused(
        tmp_path, manager, alone
    )


def test_our_own_exported_labels_read_back_give_the_numbers_and_the_segmenter_of_the_row(tmp_path, manager):
    runs = tmp_path / "runs"
    run_toy(planned(tmp_path, manager, "fill"), manager, runs)
    own = SimpleNamespace(class_ids=(0, 8, 15))
    export_labels(find_row(runs, "fill"), tmp_path / "png", dataset=own)
    export_labels(find_row(runs, "fill"), tmp_path / "npz", ids="dense", form="npz")
    numbers = {"0": "background", "8": "one", "15": "two"}
    back = [row("png", "png/masks", numbers=numbers), row("npz", "npz/masks")]
    run_toy(planned(tmp_path, manager, *back), manager, runs)
    found = records(runs)
    weights = {
        name: (artifact(runs, found[f"{name}--net--s0"], "r1/segmenter") / "segmenter.pth").read_bytes()
        for name in ("fill", "png", "npz")
    }
    assert len(set(weights.values())) == 1
    for name in ("pseudo", "val"):
        assert len({record["scores"][name]["sha256"] for record in found.values()}) == 1


def test_what_a_row_of_predictions_does_not_have_is_one_sentence(scored):
    found = find_row(scored[0], "npy")
    with pytest.raises(StoreError, match=r"npy--net--s0 takes its predictions as they are: it has no pseudo labels$"):
        found.labels()
    with pytest.raises(StoreError, match=r"it has no segmenter$"):
        _ = found.segmenter
    assert found.predictions().ids == tuple(VAL)


def test_a_link_that_leads_nowhere_is_no_missing_file(tmp_path, manager):
    (write(tmp_path / "png", "palette", VAL) / "val1.png").unlink()
    (tmp_path / "png" / "val1.png").symlink_to("val1.png")
    assert "val1.png: is a link that leads back to itself" in refused(
        tmp_path, manager, predicted("theirs", folder="png", missing="ignore")
    )
