from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from harness.contract import DataError, SoftScores
from harness.maps import ScoreReader, ScoreWriter, downsample, upsample


def scores(classes=(1, 3), shape=(4, 5), size=(16, 20), seed=0):
    values = np.random.default_rng(seed).random((len(classes), *shape)).astype(np.float16)
    return SoftScores(classes, values, size)


def written(folder, **images):
    with ScoreWriter(folder) as writer:
        for name, image_scores in images.items():
            writer.write(name, image_scores)
    return folder


def test_what_was_written_is_read(tmp_path):
    a, b = scores(), scores((2,), (7, 3), (7, 3), seed=1)
    reader = ScoreReader(written(tmp_path, b=b, a=a))
    assert reader.ids == ("b", "a")
    assert len(reader) == 2
    assert "a" in reader
    for name, image_scores in (("a", a), ("b", b)):
        read = reader.get(name)
        assert (read.classes, read.size) == (image_scores.classes, image_scores.size)
        np.testing.assert_array_equal(read.values, image_scores.values)
        assert read.values.dtype == np.float16


def test_an_image_without_scores_is_none_and_one_without_classes_is_empty(tmp_path):
    reader = ScoreReader(written(tmp_path, empty=scores((), (4, 5))))
    assert reader.get("other") is None
    assert reader.get("empty").values.shape == (0, 4, 5)
    assert upsample(reader.get("empty")).shape == (0, 16, 20)


def test_changing_what_was_read_does_not_change_the_store(tmp_path):
    reader = ScoreReader(written(tmp_path, a=scores()))
    reader.get("a").values[:] = 0
    assert reader.get("a").values.any()


def test_a_reader_goes_to_another_process_as_its_path(tmp_path):
    reader = ScoreReader(written(tmp_path, a=scores(shape=(100, 100))))
    payload = pickle.dumps(reader)
    assert len(payload) < 1000
    np.testing.assert_array_equal(pickle.loads(payload).get("a").values, reader.get("a").values)


def test_the_same_order_of_writing_gives_the_same_bytes(tmp_path):
    folders = [written(tmp_path / name, a=scores(), b=scores(seed=1)) for name in ("x", "y")]
    for file in ("scores.f16", "scores.json"):
        assert (folders[0] / file).read_bytes() == (folders[1] / file).read_bytes()


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (SoftScores((1,), np.zeros((1, 2, 2), np.float32), (2, 2)), "float16"),
        (SoftScores((1, 2), np.zeros((1, 2, 2), np.float16), (2, 2)), r"\(2, h, w\)"),
        (SoftScores((2, 1), np.zeros((2, 2, 2), np.float16), (2, 2)), "ascending"),
        (SoftScores((1,), np.full((1, 2, 2), np.nan, np.float16), (2, 2)), "NaN"),
    ],
)
def test_scores_that_break_their_contract_are_refused_by_name(tmp_path, bad, words):
    with ScoreWriter(tmp_path) as writer, pytest.raises(DataError, match=f"'a'.*{words}"):
        writer.write("a", bad)


def test_an_image_is_written_once(tmp_path):
    with ScoreWriter(tmp_path) as writer:
        writer.write("a", scores())
        with pytest.raises(DataError, match="'a' were written twice"):
            writer.write("a", scores())


def test_a_failed_writer_leaves_no_store(tmp_path):
    def stopped():
        with ScoreWriter(tmp_path) as writer:
            writer.write("a", scores())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stopped()
    with pytest.raises(DataError, match=r"scores\.json: no soft scores"):
        ScoreReader(tmp_path)


def test_a_store_that_was_cut_short_is_refused(tmp_path):
    planes = written(tmp_path, a=scores()) / "scores.f16"
    planes.write_bytes(planes.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"scores\.f16: missing or cut short"):
        ScoreReader(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"version": 99, "images": {}}'])
def test_a_damaged_index_is_refused(tmp_path, text):
    (written(tmp_path, a=scores()) / "scores.json").write_text(text)
    with pytest.raises(DataError, match=r"scores\.json"):
        ScoreReader(tmp_path)


def test_voc_train_aug_fits_in_half_a_gigabyte(tmp_path):
    images, classes = 10_582, 1.5
    values = downsample(np.zeros((2, 375, 500), np.float32), 4)
    written(tmp_path, **{"2007_000032": SoftScores((3, 15), values, (375, 500))})
    planes = (tmp_path / "scores.f16").stat().st_size / 2
    index = (tmp_path / "scores.json").stat().st_size
    assert planes == 94 * 125 * 2
    assert images * (classes * planes + index) < 0.5e9


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 6), st.integers(0, 9))
def test_upsampling_is_bilinear_without_aligned_corners(height, width, factor, seed):
    size = (height * factor - seed % factor, width * factor)
    if size[0] < height:
        size = (height, size[1])
    soft = scores((1, 2), (height, width), size, seed)
    expected = functional.interpolate(
        torch.from_numpy(soft.values).float()[None], size=size, mode="bilinear", align_corners=False
    )[0]
    up = upsample(soft)
    assert up.dtype == np.float32
    np.testing.assert_allclose(up, expected.numpy(), atol=1e-5)


def test_downsampling_takes_the_mean_of_each_cell_and_rounds_the_size_up():
    values = np.random.default_rng(0).random((2, 9, 14)).astype(np.float32)
    small = downsample(values, 4)
    assert small.shape == (2, 3, 4)
    assert small.dtype == np.float16
    cells = values[:, :8, :12].reshape(2, 2, 4, 3, 4).mean((2, 4))
    np.testing.assert_allclose(downsample(values[:, :8, :12], 4), cells, atol=1e-3)
    np.testing.assert_array_equal(downsample(values, 1), values.astype(np.float16))
