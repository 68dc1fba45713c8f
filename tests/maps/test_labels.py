from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.contract import DataError, PseudoLabel, SoftScores
from harness.maps import LabelReader, LabelWriter, voc_palette


def label(name="a", shape=(6, 8), soft=False, seed=0):
    mask = np.random.default_rng(seed).choice(np.array([0, 1, 20, 255], np.uint8), shape)
    values = np.full((1, 2, 2), 0.5, np.float16)
    return PseudoLabel(name, mask, SoftScores((1,), values, shape) if soft else None)


def written(folder, *labels):
    with LabelWriter(folder) as writer:
        for item in labels:
            writer.write(item)
    return LabelReader(folder)


def test_what_was_written_is_read(tmp_path):
    a, b = label("a", soft=True), label("b", seed=1)
    reader = written(tmp_path, b, a)
    assert reader.ids == ("a", "b")
    np.testing.assert_array_equal(reader.mask("b"), b.mask)
    np.testing.assert_array_equal(reader.label("a").mask, a.mask)
    assert reader.label("a").scores.size == (6, 8)
    assert reader.scores("b") is None


def test_labels_without_scores_need_no_score_store(tmp_path):
    assert written(tmp_path, label()).scores("a") is None
    assert not (tmp_path / "scores.json").exists()


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_any_id_survives_as_a_file_name(tmp_path_factory, name):
    reader = written(tmp_path_factory.mktemp("labels"), label(name))
    assert reader.ids == (name,)
    assert reader.mask(name).shape == (6, 8)


def test_ids_never_leave_the_folder(tmp_path):
    written(tmp_path / "labels", label("../../escaped"), label("/etc/escaped"))
    assert {path.name for path in tmp_path.iterdir()} == {"labels"}


def test_the_same_labels_give_the_same_bytes(tmp_path):
    for name in ("x", "y"):
        written(tmp_path / name, label("a", soft=True), label("b"))
    files = sorted(p.relative_to(tmp_path / "x") for p in (tmp_path / "x").rglob("*") if p.is_file())
    assert len(files) == 4
    for file in files:
        assert (tmp_path / "x" / file).read_bytes() == (tmp_path / "y" / file).read_bytes()


def test_a_stored_mask_opens_with_the_colours_of_voc(tmp_path):
    written(tmp_path, PseudoLabel("a", np.array([[0, 1, 15, 255]], np.uint8)))
    with Image.open(tmp_path / "masks" / "a.png") as image:
        assert image.mode == "P"
        colours = np.asarray(image.convert("RGB"))[0].tolist()
    assert colours == [[0, 0, 0], [128, 0, 0], [192, 128, 128], [224, 224, 192]]
    assert len(voc_palette()) == 768


def test_an_image_is_written_once(tmp_path):
    with LabelWriter(tmp_path) as writer:
        writer.write(label())
        with pytest.raises(DataError, match="'a' was written twice"):
            writer.write(label())


@pytest.mark.parametrize(
    ("mask", "soft", "words"),
    [
        (np.zeros((2, 2), np.int64), None, "int64"),
        (np.zeros((2, 2, 1), np.uint8), None, r"\(2, 2, 1\)"),
        (np.zeros((0, 2), np.uint8), None, r"\(0, 2\)"),
        (np.zeros((2, 2), np.uint8), SoftScores((), np.zeros((0, 1, 1), np.float16), (2, 3)), r"cover \(2, 3\)"),
    ],
)
def test_labels_that_break_their_contract_are_refused_by_name(tmp_path, mask, soft, words):
    with LabelWriter(tmp_path) as writer, pytest.raises(DataError, match=f"'a'.*{words}"):
        writer.write(PseudoLabel("a", mask, soft))


def test_missing_and_damaged_labels_are_named(tmp_path):
    with pytest.raises(DataError, match="no pseudo labels here"):
        LabelReader(tmp_path)
    reader = written(tmp_path, label())
    with pytest.raises(DataError, match=r"b\.png: no pseudo label of image 'b'"):
        reader.mask("b")
    file = tmp_path / "masks" / "a.png"
    content = file.read_bytes()
    for damaged in (content[: len(content) - 30], b"no picture"):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match=r"a\.png: damaged label map"):
            reader.mask("a")
    Image.new("RGB", (3, 3)).save(file)
    with pytest.raises(DataError, match=r"a\.png: .* RGB"):
        reader.mask("a")
