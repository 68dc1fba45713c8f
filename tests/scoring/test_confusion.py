"""Promises of the per-image confusion."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.contract import DataError
from harness.scoring import Confusions, image_confusion, score

C = 4
labels = hnp.arrays(np.uint8, (5, 7), elements=st.sampled_from([0, 1, 2, 3, 255]))


def by_hand(truth, pred):
    counts = np.zeros((C, C + 1), np.int64)
    for t, p in zip(truth.ravel().tolist(), pred.ravel().tolist(), strict=True):
        if t != 255:
            counts[t, min(p, C)] += 1
    return counts


@settings(max_examples=50, deadline=None)
@given(labels, labels)
def test_equals_counting_pixel_by_pixel(truth, pred):
    assert (score([("a", truth, pred)], C).total() == by_hand(truth, pred)).all()


def test_triplets_are_ascending_and_positive_and_hold_the_miss_as_255():
    truth = np.array([[0, 0, 1, 255]], np.uint8)
    pred = np.array([[0, 255, 0, 2]], np.uint8)
    assert image_confusion(truth, pred, C).tolist() == [[0, 0, 1], [0, 255, 1], [1, 0, 1]]


def test_strided_views_are_counted_like_their_copies():
    rng = np.random.default_rng(0)
    truth, pred = rng.integers(0, C, (2, 8, 10)).astype(np.uint8)
    view = image_confusion(truth[::2, ::-1].T, pred[::2, ::-1].T, C)
    assert (view == image_confusion(truth[::2].copy(), pred[::2].copy(), C)).all()


def test_size_mismatch_names_the_image_and_both_sizes():
    with pytest.raises(DataError, match=r"'cat_1'.*2 x 3.*4 x 5"):
        image_confusion(np.zeros((4, 5), np.uint8), np.zeros((2, 3), np.uint8), C, image_id="cat_1")


@pytest.mark.parametrize(("truth", "pred", "where"), [(4, 0, "mask of image"), (0, 9, "label map of image")])
def test_value_outside_the_classes_names_image_and_value(truth, pred, where):
    with pytest.raises(DataError, match=f"{where} 'x': value {truth + pred} is no class"):
        image_confusion(np.full((1, 1), truth, np.uint8), np.full((1, 1), pred, np.uint8), C, image_id="x")


def test_other_types_than_uint8_are_refused():
    with pytest.raises(DataError, match="int64"):
        image_confusion(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.int64), C)


@pytest.fixture
def three():
    rng = np.random.default_rng(1)
    maps = rng.choice([0, 1, 2, 3, 255], (3, 2, 6, 6)).astype(np.uint8)
    return [(name, *pair) for name, pair in zip("cab", maps, strict=True)]


def test_order_of_arrival_leaves_no_trace(three):
    assert score(three, C).to_bytes() == score(three[::-1], C).to_bytes()


def test_file_bytes_depend_on_the_content_alone_and_come_back(three, tmp_path):
    confusions = score(three, C)
    digest = confusions.save(tmp_path / "one.npz")
    assert digest == score(three, C).save(tmp_path / "two.npz")
    assert digest == hashlib.sha256((tmp_path / "two.npz").read_bytes()).hexdigest()
    loaded = Confusions.load(tmp_path / "one.npz", sha256=digest)
    assert loaded.ids == ("a", "b", "c")
    assert (loaded.dense() == confusions.dense()).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.npz", "two.npz"]


def test_known_content_keeps_its_hash_across_versions():
    confusions = score([("a", np.array([[0, 1]], np.uint8), np.array([[0, 255]], np.uint8))], 2)
    assert hashlib.sha256(confusions.to_bytes()).hexdigest().startswith("b8fbf6cb5b5181af")


def test_dense_total_areas_and_subset_agree(three):
    confusions = score(three, C)
    dense = confusions.dense()
    assert dense.shape == (3, C, C + 1)
    assert (dense.sum(0) == confusions.total()).all()
    assert (confusions.areas()[:, 0] == dense[:, range(C), range(C)]).all()
    assert (confusions.areas()[:, 1] == dense.sum(2)).all()
    assert (confusions.areas()[:, 2] == dense.sum(1)[:, :C]).all()
    assert (confusions.subset(["c", "a"]).dense() == dense[[2, 0]]).all()


def test_an_image_without_scored_pixels_keeps_its_place():
    blank = np.full((2, 2), 255, np.uint8)
    confusions = score([("a", blank, blank), ("b", np.zeros((2, 2), np.uint8), blank)], C)
    assert confusions.ids == ("a", "b")
    assert confusions.dense().sum((1, 2)).tolist() == [0, 4]
    assert Confusions.from_bytes(confusions.to_bytes()).subset(["a"]).total().sum() == 0


def test_nothing_scored_is_an_empty_set():
    assert Confusions.from_bytes(score([], C).to_bytes()).ids == ()


def test_subset_of_an_image_that_was_not_scored_is_refused(three):
    with pytest.raises(DataError, match="'z' was not scored"):
        score(three, C).subset(["a", "z"])


def test_an_id_scored_twice_is_refused(three):
    with pytest.raises(DataError, match="'c' was scored twice"):
        score([*three, three[0]], C)


def test_damaged_missing_and_changed_files_are_named(three, tmp_path):
    path = tmp_path / "x.npz"
    with pytest.raises(DataError, match=r"x\.npz: no such file"):
        Confusions.load(path)
    score(three, C).save(path)
    with pytest.raises(DataError, match=r"x\.npz: content hash"):
        Confusions.load(path, sha256="0" * 64)
    for length in (0, 10, path.stat().st_size // 2):
        path.write_bytes(path.read_bytes()[:length])
        with pytest.raises(DataError, match=r"x\.npz: not a readable confusion file"):
            Confusions.load(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ids": ("a", "a")}, "occurs twice"),
        ({"index": [0]}, "differ in length"),
        ({"index": [0, 2]}, "belongs to no image"),
        ({"truth": [0, 5]}, "no true class"),
        ({"count": [1, 0]}, "no pixels"),
        ({"pred": [0, 7]}, "value 7 is no class"),
    ],
)
def test_contradicting_arrays_are_refused(change, sentence):
    fields = {"ids": ("a", "b"), "index": [0, 1], "truth": [0, 1], "pred": [0, 255], "count": [3, 4]} | change
    kinds = {"index": np.int64, "truth": np.uint8, "pred": np.uint8, "count": np.int64}
    arrays = {name: np.array(fields[name], kind) for name, kind in kinds.items()}
    with pytest.raises(DataError, match=sentence):
        Confusions(ids=fields["ids"], num_classes=C, **arrays)
