"""Pictures of a page: only where the licence flag allows them, only of what the store still holds."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from harness.api.runs import open_benchmark
from harness.cli.gallery import changes, choose
from harness.cli.main import app
from harness.contract import PseudoLabel
from harness.data.params import SyntheticParams
from harness.data.synthetic import SyntheticDataset
from harness.engine.plan import config, rows
from harness.engine.plan.keys import dataset_info
from harness.engine.store.store import Artifact, Store
from harness.maps.labels import LabelWriter
from harness.registry import manager
from tests.leaderboard.board_records import Records, one_round

ROOT = Path(__file__).parent.parent.parent
PARAMS = {"size": 64, "train": 6, "val": 6, "classes": 3}
STAGES = ("r1/score labels", "train"), ("score predictions", "val")


def publish(store, key, upstream, write):
    built = store.build(key)
    write(built)
    store.publish(
        built,
        lambda files: Artifact(key, "x", "x", {"upstream": upstream}, files, seconds=1.0, peak_mib=None, device="cpu"),
    )


def add_row(records, label, dataset, *, info, wrong, fingerprint):
    """A record of one row with its label maps in the store: the truth, with ``wrong`` rows of pixels turned round."""
    store, stages = Store(records.runs), []
    for role, split in STAGES:
        labels, counted = (hashlib.sha256(f"{label}{split}{n}".encode()).hexdigest() for n in (0, 1))

        def write(folder, split=split):
            with LabelWriter(folder) as writer:
                for image_id in dataset.ids(split):
                    mask = dataset.mask(image_id)
                    mask[:wrong] = (mask[:wrong] + 1) % 4
                    writer.write(PseudoLabel(image_id, mask))

        publish(store, labels, {}, write)
        publish(store, counted, {"scored": labels}, lambda folder: None)
        stages.append({"name": role, "key": counted})
    records.add(label, dataset=info, stages=stages, rounds=one_round("made"), backbone="tiny", fingerprint=fingerprint)


@pytest.fixture
def table(tmp_path):
    """Records, store and benchmark file of two rows; returns a function that renders the page."""
    dataset = SyntheticDataset(SyntheticParams(**PARAMS))

    def render(show_images=True, params=PARAMS, **described):
        records = Records(tmp_path / "runs")
        info = dataset_info(dataset).model_dump(mode="json") | {"show_images": show_images} | described
        file = tmp_path / "demo.yaml"
        small = {"optim": {"iterations": 1}, "augment": {"crop": 64}}
        protocol = {"classifier": small, "segmenter": {"config": str(ROOT / "configs/segmenters/fcn.py"), **small}}
        content = {"name": "demo", "dataset": {"name": "synthetic", "params": params}, "backbones": ["tiny"]}
        file.write_text(json.dumps({**content, "methods": ["full"], "protocol": protocol}))
        fingerprint = open_benchmark(file, records.runs, manager()).settings.fingerprint
        for label, wrong in (("full", 0), ("half", 32)):
            add_row(records, label, dataset, info=info, wrong=wrong, fingerprint=fingerprint)
        return page_of(tmp_path)

    return render


def page_of(folder):
    arguments = ["leaderboard", str(folder / "demo.yaml"), "--runs", str(folder / "runs"), "--format", "html"]
    result = CliRunner().invoke(app, arguments, env={"WSSS_PLUGINS": ""})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_page_made_from_a_benchmark_file_shows_what_the_store_holds(table):
    page = table()
    assert page.count("<img ") == 2 * 4 * (2 + 2 * 2), "4 images of 2 splits: image, truth, and two maps a row"
    assert "where it flipped against full" in page
    assert "50.0 % only here wrong" in page


def test_a_page_made_from_a_benchmark_file_reads_the_file_and_opens_its_data_once(table, tmp_path, monkeypatch):
    opened = []

    def watch(module, name):
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given, **named: opened.append(name) or original(*given, **named))

    page = table()
    watch(config, "load_benchmark")
    watch(rows, "open_data")
    assert page_of(tmp_path) == page
    assert opened == ["load_benchmark", "open_data"]


@pytest.mark.parametrize(
    "change",
    [{"show_images": False}, {"params": PARAMS | {"size": 96}}, {"classes": ["background", "one", "two", "three"]}],
)
def test_no_picture_without_the_licence_flag_or_of_other_data(table, change):
    assert "<img" not in table(**change)


def test_the_images_are_chosen_by_hash_and_do_not_depend_on_the_order():
    names = [f"i{n}" for n in range(20)]
    assert choose(names) == choose(names[::-1])
    assert len(choose(names)) == 4
    assert choose(["b", "a"]) == ["a", "b"]


def test_changes_mark_only_scored_pixels():
    truth = np.array([[1, 1, 1, 1, 255]], np.uint8)
    label = np.array([[1, 1, 2, 2, 2]], np.uint8)
    other = np.array([[1, 2, 1, 2, 0]], np.uint8)
    png, share = changes(label, truth, other)
    assert np.asarray(Image.open(io.BytesIO(png))).tolist() == [[0, 1, 2, 3, 0]]
    assert share == {"only here right": 0.2, "only here wrong": 0.2, "wrong in both": 0.2}
    png, share = changes(label, truth, None)
    assert np.asarray(Image.open(io.BytesIO(png))).tolist() == [[0, 0, 1, 1, 0]]
    assert share == {"wrong": 0.4}
