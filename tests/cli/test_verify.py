"""Promises of ``wsss verify`` and of the contact sheet of ``wsss compare``, on a run of toys."""

import io
import json
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from harness.cli.contact_sheet import BOTH_WRONG, BROKEN, FIXED, Entry, change_map, colours_of, contact_sheet
from harness.records.marks import is_marked, mark_path
from tests.commands import wsss
from tests.engine.toy import BENCHMARK, MODELLING, PLUGIN

CLASSES = ("background", "cat", "dog")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a benchmark file and the runs folder of its two rows."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "model.py").write_text("model = dict(type='EncoderDecoder')\n")
    config = folder / "toy.yaml"
    config.write_text(yaml.safe_dump({**BENCHMARK, "methods": ["fill", "learnt"]}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.engine.code.roots.MODELLING", MODELLING)
        arguments = ("--plugin", PLUGIN, "--runs", folder / "runs", "--jobs", 1, "--device", "cpu", "--no-table")
        code, output = wsss("run", config, *arguments)
    assert code == 0, output
    return folder


@pytest.fixture
def runs(finished, tmp_path):
    """A runs folder of its own for each test."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path / "runs"


def record_of(runs, label):
    return next(runs.glob(f"records/*/{label}--*.json"))


def label_map_of(runs, label, role):
    record = json.loads(record_of(runs, label).read_text())
    scored = next(stage["key"] for stage in record["stages"] if stage["name"] == role)
    store = runs / "store"
    inputs = json.loads((store / scored[:2] / scored / "artifact.json").read_text())["inputs"]
    key = inputs["upstream"]["scored"]
    return next(iter(sorted((store / key[:2] / key / "masks").glob("*.png"))))


def picture_of(data):
    return Image.open(io.BytesIO(data))


def verify(runs, *more):
    return wsss("verify", runs, "--plugin", PLUGIN, *more)


def test_a_sound_run_is_verified_marked_and_ticked_in_the_table(runs):
    code, output = verify(runs)
    assert (code, output.splitlines()) == (0, ["fill--net--s0: verified", "learnt--net--s0: verified"])
    assert all(is_marked(path) for path in runs.glob("records/*/*.json"))
    assert "verified" in wsss("leaderboard", runs, "--format", "md").output


def test_one_record_can_be_verified_alone(runs):
    assert tuple(verify(record_of(runs, "fill"))) == (0, "fill--net--s0: verified\n")
    assert [is_marked(record_of(runs, label)) for label in ("fill", "learnt")] == [True, False]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        (("label_coverage",), 0.123, "label_coverage: the record says 0.123"),
        (("oracle", "best_miou"), 0.99, "oracle: the soft scores give other values of best_miou"),
        (("scores", "val", "images"), 99, "scores.val.images: the record says 99, scored are 3"),
        (("scores", "val", "sha256"), "0" * 64, "scores.val: the hash in the record is not that of its confusions"),
        (("scores", "val", "split"), "train", "scores.val.split: the record says train, it is val"),
        (("protocol", "scoring", "bootstrap"), 777, "fingerprint: the record says"),
        (("stages", 0, "seconds"), 1e-6, "seconds: the record says 1e-06"),
        (("meter", "tags", "reads"), 1, "meter: the record says"),
    ],
)
def test_any_number_that_was_edited_is_named_and_the_mark_is_lost(runs, field, value, words):
    assert verify(runs).code == 0
    path = record_of(runs, "fill")
    content = json.loads(path.read_text())
    *above, last = field
    inner = content
    for key in above:
        inner = inner[key]
    inner[last] = value
    path.write_text(json.dumps(content))
    assert not is_marked(path), "an edited record loses its mark before anyone verifies it again"
    code, output = verify(runs)
    assert code == 3
    assert "fill--net--s0: differs" in output
    assert words in output
    assert "learnt--net--s0: verified" in output
    assert not mark_path(path).exists()


def test_confusions_that_were_swapped_for_better_ones_are_found_out(runs):
    """The record and its confusion file agree with each other; only the label maps tell."""
    import hashlib

    from harness.scoring import Confusions

    path = record_of(runs, "fill")
    content = json.loads(path.read_text())
    file = path.parent / content["scores"]["val"]["confusion"]
    found = Confusions.load(file)
    perfect = Confusions(found.ids, found.num_classes, found.index, found.truth, found.truth, found.count)
    perfect.save(file)
    content["scores"]["val"]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    path.write_text(json.dumps(content))
    code, output = verify(runs)
    assert code == 3
    assert "scores.val: mIoU is 1.000000 by the recorded confusions and 0." in output
    assert "3 images differ, the first is 'val0'" in output


@pytest.mark.parametrize("role", ["score predictions", "r1/score labels"])
def test_a_label_map_that_was_changed_or_removed_is_no_evidence(runs, role):
    picture = label_map_of(runs, "fill", role)
    picture.write_bytes(picture.read_bytes()[:-4] + b"xxxx")
    code, output = verify(runs)
    assert code == 3
    assert "its label maps are not in the store" in output


def test_masks_other_than_those_of_the_record_are_refused(runs, tmp_path):
    config = tmp_path / "other.yaml"
    config.write_text(yaml.safe_dump({**BENCHMARK, "dataset": {"name": "toy", "params": {"masks": 1}}}))
    code, output = verify(runs, "--config", config)
    assert code == 2
    assert "the content of train/masks, val/masks is not what the record was made with" in output.replace("\n", " ")


def test_a_run_without_a_note_of_its_data_set_asks_for_the_config(runs, tmp_path):
    for note in (runs / "datasets").iterdir():
        note.unlink()
    code, output = verify(runs)
    assert code == 2
    assert "--config" in output
    assert verify(runs, "--config", tmp_path / "toy.yaml").code == 0


def test_a_failed_cell_has_nothing_to_verify(runs):
    path = record_of(runs, "fill")
    content = json.loads(path.read_text()) | {"status": "failed", "scores": {}}
    path.write_text(json.dumps(content))
    assert tuple(verify(path)) == (0, "fill--net--s0: no numbers (failed)\n")


def test_the_contact_sheet_is_written_only_where_the_licence_flag_allows_it(runs, tmp_path, monkeypatch):
    arguments = ("compare", "fill", "learnt", "--runs", runs, "--plugin", PLUGIN, "--out", tmp_path / "out")
    code, output = wsss(*arguments)
    assert code == 0, output
    assert "no contact sheet: the licence flag of the data set (show_images) does not allow pictures" in output
    assert not (tmp_path / "out").exists()
    for path in runs.glob("records/*/*.json"):
        content = json.loads(path.read_text())
        content["dataset"]["show_images"] = True
        path.write_text(json.dumps(content))
    assert "no contact sheet: the licence flag" in wsss(*arguments).output, "the data set itself still forbids it"
    monkeypatch.setattr("harness.contract.Dataset.show_images", True)
    code, output = wsss(*arguments)
    (sheet,) = (tmp_path / "out").iterdir()
    assert str(sheet) in output.replace("\n", "")
    assert picture_of(sheet.read_bytes()).width > 1000


def test_the_sheet_shows_which_row_is_right():
    truth = np.array([[0, 1, 1, 255]], np.uint8)
    before, after = np.array([[0, 1, 0, 0]], np.uint8), np.array([[1, 1, 1, 0]], np.uint8)
    entry = Entry("i0: 50.0 -> 75.0", np.zeros((1, 4, 3), np.uint8), truth, before, after)
    found = change_map(entry)
    assert [tuple(pixel) for pixel in found[0].tolist()] == [BROKEN, (244, 244, 242), FIXED, (0, 0, 0)]
    wrong = change_map(entry._replace(before=np.full((1, 4), 2, np.uint8), after=np.full((1, 4), 2, np.uint8)))
    assert tuple(wrong[0, 0].tolist()) == BOTH_WRONG
    data = contact_sheet([entry], ("image", "truth", "A", "B", "change"), CLASSES)
    assert data == contact_sheet([entry], ("image", "truth", "A", "B", "change"), CLASSES)
    assert picture_of(data).format == "PNG"


def entry_of(*values):
    truth, before, after = (np.full((40, 60), value, np.uint8) for value in values)
    return Entry("i0", np.zeros((40, 60, 3), np.uint8), truth, before, after)


def test_the_legend_names_every_class_that_a_picture_holds_in_its_own_colour():
    found = colours_of([entry_of(0, 2, 0), entry_of(255, 0, 0)], CLASSES)
    assert [name for name, _ in found] == ["background", "dog", "ignored (255)"]
    assert found[1][1] == (0, 128, 0)


def test_the_sheet_ends_with_swatches_of_the_classes_and_of_the_change():
    headers = ("image", "truth", "A", "B", "change")
    one, two = (picture_of(contact_sheet([entry_of(0, value, 0)], headers, CLASSES)) for value in (1, 2))
    assert one.size == two.size
    legends = [set(map(tuple, np.array(picture)[170:].reshape(-1, 3).tolist())) for picture in (one, two)]
    assert {(128, 0, 0), BROKEN, FIXED, BOTH_WRONG} <= legends[0]
    assert {(0, 128, 0)} <= legends[1] - legends[0]


def test_a_legend_of_many_classes_with_long_foreign_names_stays_inside_the_sheet():
    names = ["\u732b" * 60 + f" {number}\x1b[2J" for number in range(200)]
    values = np.arange(200, dtype=np.uint8).reshape(10, 20)
    entry = Entry("\u732b" * 400, np.zeros((10, 20, 3), np.uint8), values, values, values)
    sheet = picture_of(contact_sheet([entry], ["\u732b" * 99] * 5, names))
    assert sheet.width < 1100
    assert sheet.height < 3000
