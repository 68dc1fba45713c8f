"""Records that anyone may have made: a fault is one sentence with file and field, and the other rows go on."""

import hashlib
import io
import json
import os
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from harness.cli.main import app
from harness.contract import DataError
from harness.records.files import LIMIT, read_record
from harness.records.reader import load_runs, sound_runs
from tests.leaderboard.board_records import confusions

NAN, INF = float("nan"), float("inf")
DELETE = object()
ORACLE = {"thresholds": [0.1], "miou": [0.1], "best_threshold": 0.1, "best_miou": 0.1, "area": 0.1}

FAULTS = [
    ("benchmark", "../../evil", "benchmark: '../../evil' is not of the form"),
    ("benchmark", "/root/evil", "benchmark: '/root/evil' is not"),
    ("benchmark", "evil\n", "benchmark: 'evil\\n' is not"),
    ("fingerprint", "../../../x", "fingerprint: '../../../x' is not"),
    ("stages.0.key", "../../x", "stages.0.key: '../../x' is not"),
    ("stages.0.seconds", NAN, "stages.0.seconds: nan is no finite number"),
    ("stages.0.seconds", INF, "stages.0.seconds: inf is no finite number"),
    ("stages.0.seconds", 1e300, "stages.0.seconds: Input should be less than or equal to"),
    ("stages.0.peak_mib", -1.0, "stages.0.peak_mib: Input should be greater than or equal to 0"),
    ("oracle", {**ORACLE, "miou": [NAN]}, "oracle.miou.0: nan"),
    ("oracle", {**ORACLE, "miou": []}, "oracle: 1 thresholds and 0 miou"),
    ("label_coverage", INF, "label_coverage: inf"),
    ("label_coverage", 1.5, "label_coverage: Input should be less than or equal to 1"),
    ("protocol", [], "protocol: Input should be a valid dictionary"),
    ("protocol.scoring", 5, "protocol.scoring: Input should be a valid dictionary"),
    ("protocol.scoring.bootstrap", 0, "protocol: scoring.bootstrap: Input should be greater than or equal to 100"),
    ("protocol.scoring.bootstrap", -1, "protocol: scoring.bootstrap"),
    ("protocol.scoring.bootstrap", "x", "protocol: scoring.bootstrap: Input should be a valid integer"),
    ("protocol.scoring.bootstrap", 10**12, "protocol: scoring.bootstrap: Input should be less than or equal to 100000"),
    ("protocol.scoring.dev_fraction", 1.0, "protocol: scoring.dev_fraction"),
    ("protocol.segmenter.optim", {"lr": [0.1, NAN]}, "protocol.segmenter.optim.lr.1: nan"),
    ("rounds", {}, "rounds: Input should be a valid list"),
    ("rounds", [], "rounds: List should have at least 1 item"),
    ("rounds", [5], "rounds.0: Input should be a valid dictionary"),
    ("reported", 5, "reported: Input should be a valid list"),
    ("reported", [{"value": 0.5}], "reported.0.metric: Field required"),
    ("meter", [], "meter: Input should be a valid dictionary"),
    ("meter", {"tags": 5}, "meter.tags: Input should be a valid dictionary"),
    ("meter", {"tags": {"reads": -1, "images": 0}}, "meter.tags.reads: Input should be greater"),
    ("scores", [], "scores: Input should be a valid dictionary"),
    ("scores.val.sha256", "x", "scores.val.sha256: 'x' is not"),
    ("scores.val.confusion", "../../x.npz", "scores.val.confusion: '../../x.npz' is not"),
    ("scores.val.images", 0, "scores.val.images: Input should be greater"),
    ("scores.val.images", True, "scores.val.images: Input should be a valid integer"),
    ("dataset.classes", ["c"] * 256, "dataset.classes: List should have at most 255 items"),
    ("supervision", "F1e999%", "supervision: 'F1e999%' is not"),
    ("seed", "0", "seed: Input should be a valid integer"),
    ("seed", -1, "seed: Input should be greater"),
    ("label", "\ud800", "label: holds half a character"),
    ("params", {"\ud800": 1}, "params.\\ud800: holds half a character"),
    ("zebra", 1, "zebra: Extra inputs are not permitted"),
    ("schema_version", [], "schema_version: [], this version reads 1"),
    ("method", DELETE, "method: Field required"),
]  # fmt: skip


def broken(path, field, value):
    """The record in ``path`` with one dotted field changed."""
    record = json.loads(path.read_text())
    *parents, last = (int(part) if part.isdigit() else part for part in field.split("."))
    target = record
    for part in parents:
        target = target[part]
    if value is DELETE:
        del target[last]
    else:
        target[last] = value
    path.write_text(json.dumps(record))


@pytest.fixture
def pair(records):
    """Records of two rows, one of which a test makes faulty."""
    records.add("good", wrong=0.1)
    return records, records.add("bad")


def leaderboard(records, out, *arguments):
    result = CliRunner().invoke(app, ["leaderboard", str(records.runs), "--out", str(out), *arguments])
    rows = json.loads((out / "demo.json").read_text())["rows"] if out.exists() else []
    return result.exit_code, result.stderr, [row["method"] for row in rows]


@pytest.mark.parametrize(("field", "value", "words"), FAULTS, ids=[f"{fault[0]}={fault[1]!r:.20}" for fault in FAULTS])
def test_a_faulty_field_is_one_sentence_that_names_file_and_field(pair, field, value, words):
    _, path = pair
    broken(path, field, value)
    with pytest.raises(DataError) as caught:
        read_record(path)
    assert str(caught.value).startswith(f"{path}: {words}")
    assert "\n" not in str(caught.value)


def test_a_score_of_no_round_is_named(pair):
    _, path = pair
    broken(path, "scores.zebra", json.loads(path.read_text())["scores"]["val"])
    with pytest.raises(DataError, match=r"scores\.zebra: no such score, a record of its rounds has pseudo, val"):
        read_record(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 3000 + "]" * 3000, "nested more than 100 levels deep"),
        ('{"seed": ' + "1" * 5000 + "}", "a number of 5000 digits"),
        ("[]", "file: holds no fields"),
        ("null", "file: holds no fields"),
        ("", "no valid JSON"),
        ("\udcff", "is not UTF-8 text"),
        (" " * (LIMIT + 1), "at most"),
    ],
    ids=["deep", "digits", "list", "null", "empty", "bytes", "large"],
)
def test_a_file_that_is_no_record_is_one_sentence(tmp_path, text, words):
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=words):
        read_record(path)


PLACES = {
    "pipe": (os.mkfifo, "is a pipe"),
    "folder": (os.mkdir, "is a folder"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is a device"),
    "circle": (lambda path: path.symlink_to(path), "is a link that leads back to itself"),
    "dangling": (lambda path: path.symlink_to(f"{path}.gone"), "is a link to a file that does not exist"),
}


@pytest.mark.parametrize("what", PLACES)
@pytest.mark.parametrize("suffix", [".json", ".val.npz"])
def test_what_is_no_file_in_place_of_a_record_or_confusions_is_left_out_and_nothing_hangs(pair, tmp_path, what, suffix):
    records, path = pair
    make, words = PLACES[what]
    place = path.with_suffix(suffix)
    place.unlink()
    make(place)
    code, said, rows = leaderboard(records, tmp_path / "out", "--format", "json")
    assert (code, rows) == (3, ["good"])
    assert said == f"left out: {place}: {words}{', a file is needed' if what in ('pipe', 'folder', 'device') else ''}\n"


def test_a_pipe_in_place_of_a_mark_is_no_mark(pair):
    records, path = pair
    os.mkfifo(path.with_suffix(".verified"))
    assert [run.verified for run in load_runs(records.runs)] == [False, False]


def test_a_benchmark_that_names_another_folder_writes_nothing_outside_of_out(pair, tmp_path):
    records, path = pair
    broken(path, "benchmark", "../../evil")
    before = {found for found in tmp_path.rglob("*") if found.is_file()}
    code, said, rows = leaderboard(records, tmp_path / "a" / "b" / "out")
    written = {found for found in tmp_path.rglob("*") if found.is_file()} - before
    assert (code, rows) == (3, ["good"])
    assert said.count("\n") == 1
    assert {found.parent for found in written} == {tmp_path / "a" / "b" / "out"}


def test_a_table_of_faulty_records_alone_is_one_sentence_and_nothing_is_written(pair, tmp_path):
    records, path = pair
    for record in path.parent.glob("*.json"):
        broken(record, "seed", NAN)
    code, said, rows = leaderboard(records, tmp_path / "out")
    assert (code, rows, said.count("\n")) == (2, [], 1)
    assert "seed: nan is no finite number" in said
    assert "(and 1 more records cannot be used)" in said


def archive(**changes):
    """Confusions as bytes with some of their ``.npy`` members exchanged; ``None`` takes one away."""
    whole = zipfile.ZipFile(io.BytesIO(confusions(0.3).to_bytes()))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", changes.pop("compression", zipfile.ZIP_STORED)) as made:
        for name in whole.namelist():
            content = changes.get(name.removesuffix(".npy"), whole.read(name))
            if content is not None:
                made.writestr(name, content)
    return file.getvalue()


def npy(array, shape=None):
    """A ``.npy`` member; ``shape`` is what its header lies."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), allow_pickle=True)
    said = file.getvalue()
    if shape is None:
        return said
    true = str(np.shape(array)).encode()
    return said.replace(b"'shape': " + true, b"'shape': " + shape, 1)


ENTRIES = len(confusions(0.3).count)
ARCHIVES = {
    "damaged": (confusions(0.3).to_bytes()[:400], "not a readable confusion file"),
    "text": (b"no zip at all", "not a readable confusion file"),
    "huge": (archive(count=npy(np.ones(9, np.int64), b"(999999999999,)")), "array count is not of the length"),
    "huge ids": (archive(ids=npy(np.array(["a"] * 9), b"(999999999999,)")), "array ids is not of the length"),
    "objects": (archive(count=npy(np.array([{}] * 3, object))), "array count is not of type"),
    "floats": (archive(count=npy(np.full(ENTRIES, np.nan))), "array count is not of type"),
    "negative": (archive(count=npy(np.full(ENTRIES, -1, np.int64))), "no true class or no pixels"),
    "overflowing": (archive(count=npy(np.full(ENTRIES, 2**62, np.int64))), "more pixels than images can hold"),
    "half a character": (archive(ids=npy(np.array(["\ud800"] * 12))), "not a readable confusion file"),
    "missing": (archive(count=None), "its arrays must be ids, num_classes"),
    "compressed": (archive(compression=zipfile.ZIP_DEFLATED), "its arrays are compressed"),
    "scalar ids": (archive(ids=npy(np.array("a"))), "array ids is not of the length"),
    "other classes": (archive(num_classes=npy(np.array(10**9))), "1000000000 classes"),
    "outside": (archive(index=npy(np.full(ENTRIES, 99, np.int64))), "belongs to no image"),
}  # fmt: skip


@pytest.mark.parametrize("what", ARCHIVES)
def test_confusions_that_cannot_be_counted_are_left_out_with_their_file(pair, what):
    records, path = pair
    data, words = ARCHIVES[what]
    place(path, data)
    said = []
    assert [run.record.label for run in sound_runs(load_runs(records.runs), said.append)] == ["good"]
    assert len(said) == 1
    assert said[0].startswith(f"{path.with_suffix('.val.npz')}: ")
    assert words in said[0]
    assert "\n" not in said[0]


def place(path, data):
    """Other confusions beside a record, with their hash in it."""
    path.with_suffix(".val.npz").write_bytes(data)
    broken(path, "scores.val.sha256", hashlib.sha256(data).hexdigest())


def test_confusions_of_other_images_or_masks_than_the_other_rows_are_left_out(records):
    for label in ("one", "two"):
        records.add(label)
    ids = records.add("other_ids")
    found = confusions(0.3)
    renamed = replace(found, ids=tuple(f"x{name}" for name in found.ids))
    place(ids, renamed.to_bytes())
    masks = records.add("other_masks")
    turned = replace(found, truth=(found.truth + 1) % 4)
    place(masks, turned.to_bytes())
    said = []
    assert [run.record.label for run in sound_runs(load_runs(records.runs), said.append)] == ["one", "two"]
    assert said == [f"{path}: scores.val: not that of the other records of its fingerprint" for path in (ids, masks)]


def test_another_protocol_or_data_set_under_the_same_fingerprint_is_left_out(records):
    records.add("one")
    records.add("two")
    broken(records.add("bootstraps"), "protocol.scoring.bootstrap", 200)
    broken(records.add("classes"), "dataset.classes", ["a", "b", "c", "d"])
    said = []
    assert [run.record.label for run in sound_runs(load_runs(records.runs), said.append)] == ["one", "two"]
    assert ["protocol" in said[0], "dataset" in said[1]] == [True, True]


@pytest.mark.parametrize("field", ["schema_version", "scores.val.images"])
def test_compare_goes_on_with_the_sound_rows(pair, field):
    records, path = pair
    records.add("third", wrong=0.2)
    broken(path, field, 77)
    result = CliRunner().invoke(app, ["compare", "good", "third", "--runs", str(records.runs)])
    assert result.exit_code == 3
    assert result.stderr.startswith("left out: ")
    assert result.stderr.count("\n") == 1
    assert "mIoU: B - A" in result.stdout


def test_what_a_faulty_record_needs_is_never_guessed_when_a_store_is_pruned(pair):
    records, path = pair
    broken(path, "stages", {"a": 1})
    result = CliRunner().invoke(app, ["store", "gc", "--runs", str(records.runs)])
    assert result.exit_code == 2
    path.unlink()
    os.mkfifo(path)
    assert CliRunner().invoke(app, ["store", "gc", "--runs", str(records.runs)]).exit_code == 2


def test_records_below_a_folder_of_runs_folders_are_told_from_its_other_json_files(pair):
    records, _ = pair
    (records.runs / "digests.json").write_text("{}")
    assert len(load_runs(records.runs.parent)) == 2
