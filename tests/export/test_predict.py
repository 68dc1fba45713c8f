"""New images are predicted as the row's protocol says, whatever their size, and however many cannot be read."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from harness.contract.protocol import TestSettings as Settings
from harness.export import find_images, find_row, load_model
from harness.modelling import photographs
from harness.modelling.photographs import Predictor, _enlarged, _tiles
from tests.commands import wsss
from tests.export.conftest import photograph


def predict(photo_folder, *more):
    return wsss("predict", *more, "--runs", photo_folder / "runs", "--device", "cpu")


@pytest.fixture
def folder(tmp_path):
    """Two photographs of odd sizes below a folder, a truncated one, and a text file."""
    (tmp_path / "new" / "deep").mkdir(parents=True)
    Image.fromarray(photograph(1)[0]).save(tmp_path / "new" / "one.png")
    Image.fromarray(photograph(2)[0][:17, :23]).save(tmp_path / "new" / "deep" / "two.JPG", "JPEG")
    (tmp_path / "new" / "cut.png").write_bytes((tmp_path / "new" / "one.png").read_bytes()[:200])
    (tmp_path / "new" / "notes.txt").write_text("no image")
    return tmp_path / "new"


def test_a_folder_is_predicted_an_unreadable_image_is_named_and_the_others_are_done(photo_folder, folder, tmp_path):
    ending = predict(photo_folder, "full", folder, "--out", tmp_path / "out", "--overlay")
    assert ending.code == 3
    assert ending.stderr.startswith(f"left out: {folder / 'cut.png'}: damaged or no image")
    assert ending.stderr.count("\n") == 1
    assert ending.stdout == f"2 of 3 images predicted by full--tiny--s0: {tmp_path / 'out'}\n"
    found = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert found == {"classes.csv", "one.png", "one.overlay.jpg", "deep/two.png", "deep/two.overlay.jpg"}
    with Image.open(tmp_path / "out" / "deep" / "two.png") as mask:
        assert (mask.size, mask.mode) == ((23, 17), "P")
    with Image.open(tmp_path / "out" / "deep" / "two.overlay.jpg") as overlay:
        assert overlay.size == (23, 17)


def test_images_of_the_data_set_get_the_labels_that_the_store_holds(photo_folder, tmp_path):
    (tmp_path / "list.txt").write_text(
        "".join(f"{photo_folder / 'data' / 'JPEGImages' / f'photo {number}.png'}\n" for number in range(8, 12))
    )
    for ids, table in (("dense", [0, 1, 2]), ("dataset", [0, 8, 15])):
        out = tmp_path / ids
        assert predict(photo_folder, "full", tmp_path / "list.txt", "--out", out, "--ids", ids).code == 0
        reader = find_row(photo_folder / "runs", "full").predictions()
        for name in reader.ids:
            np.testing.assert_array_equal(np.array(Image.open(out / f"{name}.png")), np.array(table)[reader.mask(name)])


def test_one_image_by_a_row_without_a_network_and_with_a_crf(photo_folder, folder, tmp_path):
    for row, more in (("background", ()), ("full", ("--crf",))):
        code, output = predict(photo_folder, row, folder / "one.png", "--out", tmp_path / row, *more)
        assert code == 0, output
        assert np.array(Image.open(tmp_path / row / "one.png")).shape == photograph(1)[1].shape
    assert not np.array(Image.open(tmp_path / "background" / "one.png")).any()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nowhere", "nowhere: no such file"),
        ("empty", "holds no image (.jpg"),
        ("list.txt", "lists no image; a list has one path per line"),
        ("twice", "would have the same label map as"),
        ("dot.txt", "dot.txt: '.' names no image; a list has one path per line"),
    ],
)
def test_what_names_no_images_is_one_sentence(photo_folder, tmp_path, source, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "twice").mkdir()
    (tmp_path / "list.txt").write_text("\n")
    (tmp_path / "dot.txt").write_text("a.png\n.\n")
    for suffix in ("png", "jpg"):
        (tmp_path / "twice" / f"a.{suffix}").write_bytes(b"")
    ending = predict(photo_folder, "full", tmp_path / source, "--out", tmp_path / "out")
    assert (ending.code, ending.output.count("\n")) == (2, 1)
    assert words in ending.output
    assert not (tmp_path / "out").exists()


def test_paths_of_a_list_are_relative_to_it_and_keep_their_folders(photo_folder, folder, tmp_path):
    (folder / "list.txt").write_text("one.png\ndeep/two.JPG\nmissing.png\n")
    ending = predict(photo_folder, "full", folder / "list.txt", "--out", tmp_path / "out")
    assert (ending.code, ending.stderr) == (3, f"left out: {folder / 'missing.png'}: no such file\n")
    assert {path.stem for path in (tmp_path / "out").rglob("*.png")} == {"one", "two"}
    assert (tmp_path / "out" / "deep" / "two.png").exists()


def test_label_maps_never_replace_images(folder, tmp_path):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder / "list.txt").write_text("one.png\n")
    (tmp_path / "link").symlink_to(folder)
    for images, out in ((folder, folder), (folder / "one.png", tmp_path / "link"), (folder / "list.txt", folder)):
        ending = wsss("predict", "full", images, "--out", out, "--runs", tmp_path / "runs")
        assert (ending.code, ending.output.count("\n")) == (2, 1)
        assert ending.output.endswith(("is the folder of the images; name another one\n", "name another folder\n"))
    assert all(path.read_bytes() == content for path, content in before.items())


def test_label_maps_below_the_folder_of_images_are_no_images_of_the_next_call(folder):
    before = find_images(folder)
    (folder / "out").mkdir()
    Image.fromarray(photograph(1)[1]).save(folder / "out" / "one.png")
    assert find_images(folder, folder / "out") == before
    assert len(find_images(folder)) == len(before) + 1


@pytest.fixture
def large(monkeypatch):
    """Images of more than 4,096 pixels count as large, and tiles are small."""
    monkeypatch.setattr(photographs, "MOST_PIXELS", 4096)
    monkeypatch.setattr(photographs, "TILE", 64)
    monkeypatch.setattr(photographs, "MARGIN", 16)


def scene(height, width):
    """Broad stripes of the colours that the tiny network knows."""
    image = np.full((height, width, 3), 115, np.uint8)
    image[:, width // 4 : width // 2, 0] = 250
    image[height // 2 :, width // 2 : 3 * width // 4, 2] = 250
    return image


def test_a_large_image_in_tiles_is_labelled_like_a_whole_one_but_for_the_seams(photo_folder, monkeypatch):
    row = find_row(photo_folder / "runs", "full")
    image = scene(150, 210)
    whole = load_model(row).label(image)
    monkeypatch.setattr(photographs, "MOST_PIXELS", 96 * 96)
    monkeypatch.setattr(photographs, "TILE", 96)
    monkeypatch.setattr(photographs, "MARGIN", 24)
    tiled = load_model(row).label(image)
    assert tiled.shape == whole.shape
    assert (tiled == whole).mean() > 0.9


def test_a_large_image_with_a_base_size_is_seen_at_that_size(photo_folder, large):
    row = find_row(photo_folder / "runs", "full")
    model = Predictor(row.segmenter, Settings(base=60), 3)
    seen = []
    backbone = model.model.backbone
    backbone.register_forward_pre_hook(lambda network, inputs: seen.append(tuple(inputs[0].shape[2:])))
    image = scene(150, 210)
    mask = model.label(image)
    assert seen == [(43, 60)]
    photographs.MOST_PIXELS = 1 << 22
    assert (mask == model.label(image)).mean() > 0.98


def test_tiles_cover_a_side_once_and_lie_inside_what_they_see():
    for side in (1, 63, 64, 65, 100, 127, 128, 1024, 1025, 1500, 6000):
        tiles = list(_tiles(side))
        covered = np.zeros(side, int)
        for seen, given in tiles:
            assert seen.start <= given.start < given.stop <= seen.stop
            assert seen.stop - seen.start <= 1024
            covered[given] += 1
            assert given.start == 0 or given.start - seen.start >= 64
            assert given.stop == side or seen.stop - given.stop >= 64
        assert (covered == 1).all()


def test_scores_are_enlarged_strip_by_strip_as_at_once(monkeypatch):
    import torch

    scores = np.random.default_rng(0).random((3, 9, 14), np.float32)
    monkeypatch.setattr(photographs, "MOST_SCORES", 4 * 3 * 41 * 7)
    at_once = torch.nn.functional.interpolate(torch.from_numpy(scores)[None], (50, 41), mode="bilinear")[0].argmax(0)
    assert (_enlarged(scores, (50, 41)) == at_once.numpy()).mean() > 0.999
