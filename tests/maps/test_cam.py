from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from harness.contract import InputRule
from harness.contract.protocol import CamSettings, TileSettings
from harness.maps import infer_cams, max_normalise, minmax_normalise
from harness.maps.cam import tile_boxes

CLASSES = 5
VECTORS = json.loads((Path(__file__).parent / "vectors" / "cam_tiles.json").read_text())
WEIGHTS = torch.randn(CLASSES, 3, generator=torch.Generator().manual_seed(3))
STRIDE = 8
SMALL = InputRule(16)


def corner_network(batch):
    """Feature i looks at pixel 8 i and its right neighbour, so mirror images give different maps."""
    seen = batch[:, :, ::STRIDE, ::STRIDE] + functional.pad(batch, (0, 1))[:, :, ::STRIDE, 1::STRIDE]
    return torch.einsum("kc,bchw->bkhw", WEIGHTS, seen).relu()


def patch_network(batch):
    """Feature i looks at the patch of pixels 8 i to 8 i + 7."""
    return torch.einsum("kc,bchw->bkhw", WEIGHTS, functional.avg_pool2d(batch, STRIDE)).relu()


def photographs(sizes=((60, 90), (90, 60), (60, 90), (61, 88), (40, 40)), seed=0):
    rng = np.random.default_rng(seed)
    tags = [(1, 4), (2,), (), (1, 2, 3, 4, 5), (5,)]
    for index, (height, width) in enumerate(sizes):
        coarse = rng.integers(0, 256, (height // 10, width // 10, 3)).astype(np.uint8)
        image = np.kron(coarse, np.ones((11, 11, 1), np.uint8))[:height, :width]
        yield f"image {index}", image, tags[index % len(tags)]


def reference(forward, image, classes, settings, rule):
    """Image by image, view by view, all classes, each map sampled at the centres of the stored cells."""
    height, width = image.shape[:2]
    out = (-(-height // settings.stride), -(-width // settings.stride))
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    mean, std = ([[v] for v in values] for values in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))
    total = torch.zeros(CLASSES, *out)
    for scale in settings.scales:
        factor = scale * (settings.base / max(height, width) if settings.base else 1)
        side = rule.side(height * factor), rule.side(width * factor)
        view = functional.interpolate(pixels, side, mode="bilinear", align_corners=False)
        view = (view - torch.tensor(mean)[None, ..., None]) / torch.tensor(std)[None, ..., None]
        for flipped in (False, True) if settings.flip else (False,):
            maps = forward(view.flip(-1) if flipped else view)
            maps = maps.flip(-1) if flipped else maps
            total += sample(maps, side, out, corners=rule.corners)[0]
    normalise = {"max": max_normalise, "minmax": minmax_normalise}[settings.normalise]
    return normalise(total[None])[0][[c - 1 for c in classes]].numpy()


def sample(maps, side, out, *, corners):
    """Where cell centres fall on the feature grid, in the [-1, 1] coordinates of ``grid_sample``."""
    axes = []
    for pixels, cells in zip(side, out, strict=True):
        at = (torch.arange(cells) + 0.5) * pixels / cells - 0.5
        axes.append(2 * at / (pixels - 1) - 1 if corners else 2 * (at + 0.5) / pixels - 1)
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], -1)[None]
    return functional.grid_sample(maps, grid, align_corners=corners, padding_mode="border")


@pytest.mark.parametrize("batch_pixels", [1, 20_000, None])
@pytest.mark.parametrize(
    "settings",
    [
        CamSettings(),
        CamSettings(scales=(0.5, 1.0), flip=False, stride=3, normalise="minmax"),
        CamSettings(scales=(1.0, 2.0), base=64, stride=1),
    ],
)
@pytest.mark.parametrize(("forward", "rule"), [(corner_network, SMALL), (patch_network, InputRule(16, corners=False))])
def test_batched_cams_equal_the_image_by_image_reference(batch_pixels, settings, forward, rule):
    items = list(photographs())
    found = list(infer_cams(forward, items, settings=settings, batch_pixels=batch_pixels, inputs=rule))
    assert [name for name, _ in found] == [name for name, _, _ in items]
    for (_, image, classes), (_, scores) in zip(items, found, strict=True):
        assert scores.classes == classes
        assert scores.size == image.shape[:2]
        assert scores.values.dtype == np.float16
        expected = reference(forward, image, classes, settings, rule)
        np.testing.assert_allclose(scores.values.astype(np.float32), expected, atol=1e-4 + 2**-11)


def test_sums_equal_the_reference_in_single_precision(monkeypatch):
    """The stored type is half; before that the error is at most 1e-4."""
    monkeypatch.setattr(torch.Tensor, "half", torch.Tensor.float)
    items = list(photographs())
    for (_, image, classes), (_, scores) in zip(
        items, infer_cams(corner_network, items, settings=CamSettings(), inputs=SMALL), strict=True
    ):
        expected = reference(corner_network, image, classes, CamSettings(), SMALL)
        np.testing.assert_allclose(scores.values, expected, atol=1e-4)


def test_a_mirrored_photograph_gives_mirrored_maps():
    (name, image, classes), *_ = photographs()
    pair = [(name, image, classes), ("mirror", np.ascontiguousarray(image[:, ::-1]), classes)]
    (_, plain), (_, mirrored) = infer_cams(corner_network, pair, settings=CamSettings(), inputs=SMALL)
    np.testing.assert_allclose(mirrored.values[:, :, ::-1], plain.values, atol=1e-3)


def test_a_spot_stays_where_it_is():
    """A bright square of a dark photograph comes back at its own place, at any scale."""
    image = np.zeros((129, 193, 3), np.uint8)
    image[40:57, 120:137] = 255

    def brightness(batch):
        return functional.avg_pool2d(batch.mean(1, keepdim=True), 3, stride=STRIDE, padding=1).relu()

    ((_, scores),) = infer_cams(brightness, [("spot", image, (1,))], settings=CamSettings(stride=1), inputs=SMALL)
    weight = scores.values[0].astype(float)
    weight[weight < 0.5] = 0
    centre = [(weight.sum(1 - axis) * np.arange(weight.shape[axis])).sum() / weight.sum() for axis in (0, 1)]
    np.testing.assert_allclose(centre, [48, 128], atol=0.5)


def test_images_without_tags_never_enter_the_network():
    def refuse(batch):
        raise AssertionError(batch.shape)

    ((name, scores),) = infer_cams(refuse, [("a", np.zeros((41, 60, 3), np.uint8), ())], settings=CamSettings())
    assert (name, scores.classes, scores.values.shape, scores.size) == ("a", (), (0, 11, 15), (41, 60))


def test_different_photographs_share_a_batch():
    batches = []

    def spy(batch):
        batches.append(tuple(batch.shape))
        return corner_network(batch)

    items = [(str(i), np.zeros((100 + i, 150 - i, 3), np.uint8), (1,)) for i in range(4)]
    list(infer_cams(spy, items, settings=CamSettings(scales=(1.0,))))
    assert batches == [(8, 3, 97, 161)]


def test_batches_respect_the_pixel_limit():
    sizes = []

    def spy(batch):
        sizes.append(batch.shape[0] * batch.shape[2] * batch.shape[3])
        return corner_network(batch)

    items = [(str(i), np.zeros((97, 161, 3), np.uint8), (1,)) for i in range(5)]
    list(infer_cams(spy, items, settings=CamSettings(scales=(1.0,)), batch_pixels=4 * 97 * 161))
    assert sizes == [4 * 97 * 161, 4 * 97 * 161, 2 * 97 * 161]


def test_at_most_two_windows_of_images_are_held():
    taken, finished, most = 0, 0, 0

    def source():
        nonlocal taken, most
        for index in range(20):
            taken += 1
            most = max(most, taken - finished)
            yield str(index), np.zeros((40, 40, 3), np.uint8), (1,)

    for _ in infer_cams(corner_network, source(), settings=CamSettings(), window_pixels=3 * 1600, inputs=SMALL):
        finished += 1
    assert (finished, taken) == (20, 20)
    assert most <= 2 * 3 + 1


def test_an_error_while_reading_reaches_the_caller_and_stops_the_reader():
    def source():
        yield next(photographs())
        raise FileNotFoundError("gone.jpg")

    with pytest.raises(FileNotFoundError, match=r"gone\.jpg"):
        list(infer_cams(corner_network, source(), settings=CamSettings(), window_pixels=1))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


def test_the_same_input_gives_the_same_bytes():
    first, second = (list(infer_cams(corner_network, photographs(), settings=CamSettings())) for _ in range(2))
    for (_, a), (_, b) in zip(first, second, strict=True):
        assert a.values.tobytes() == b.values.tobytes()


@pytest.mark.parametrize(
    ("rule", "side", "expected"),
    [
        (InputRule(), 500, 513),
        (InputRule(), 375, 385),
        (InputRule(), 3, 33),
        (InputRule(corners=False), 375, 384),
        (InputRule(16), 90, 97),
    ],
)
def test_sides_follow_the_rule(rule, side, expected):
    assert rule.side(side) == expected


@pytest.mark.parametrize("size", [(500, 375), (640, 480)])
def test_tiles_are_those_of_the_released_code(size):
    vector = VECTORS["tiles"]
    expected = vector[f"image_wh_{size[0]}x{size[1]}"]
    boxes = {scale: tile_boxes(size[::-1], scale, TileSettings()) for scale in vector["params"]["scales"]}
    assert [len(found) for found in boxes.values()] == expected["counts_per_scale"]
    for scale in (1, 2):
        for box, known in zip(boxes[scale], expected.get(f"boxes_x1y1x2y2_scale_{scale}", ()), strict=False):
            assert list(box) == known


def test_merged_tiles_equal_the_released_code():
    """Its maps may be negative where their minimum was cut out; the normalisation to [0, 1] has 0 there."""
    vector = VECTORS["merge"]
    image = np.array(vector["img"], np.uint8)
    boxes = [box for scale in vector["scales"] for box in tile_boxes(image.shape[:2], scale, TileSettings())]
    assert [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in boxes] == vector["boxes_xywh_no_flip"]
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))
    settings = CamSettings(scales=tuple(vector["scales"]), stride=1, normalise="minmax", tiles=TileSettings())
    classes = tuple(index + 1 for index, present in enumerate(vector["label"]) if present)
    ((_, scores),) = infer_cams(
        lambda batch: (batch * std + mean) / 255,
        [("a", image, classes)],
        settings=settings,
        inputs=InputRule(448, corners=False),
    )
    assert [str(cls - 1) for cls in scores.classes] == list(vector["cam"])
    for found, expected in zip(scores.values, vector["cam"].values(), strict=True):
        np.testing.assert_allclose(found, np.clip(expected, 0, 1), atol=vector["tol"])


@pytest.mark.parametrize("grid", ["released", "overlap"])
@pytest.mark.parametrize("scale", [0.3, 0.75, 1, 257 / 333, 2.25])
def test_tiles_cover_the_image_whatever_its_size(grid, scale):
    tiles = TileSettings(crop=64, stride=40, grid=grid)
    for size in ((41, 333), (257, 120)):
        covered = np.zeros(size, int)
        for box in tile_boxes(size, scale, tiles):
            covered[box.y0 : box.y1, box.x0 : box.x1] += 1
        assert covered.min() >= 1


@pytest.mark.parametrize("batch_pixels", [1, None])
@pytest.mark.parametrize("grid", ["released", "overlap"])
def test_tiles_equal_an_average_of_their_own_maps(grid, batch_pixels):
    """Each tile on its own, laid over the image and averaged; stride 1, so cells are pixels."""
    tiles = TileSettings(crop=48, stride=32, grid=grid)
    settings = CamSettings(scales=(1.0, 1.5), stride=1, tiles=tiles)
    items = [item for item in photographs() if item[2]]
    found = infer_cams(corner_network, items, settings=settings, inputs=SMALL, batch_pixels=batch_pixels)
    for (_, image, classes), (_, scores) in zip(items, found, strict=True):
        total, count = np.zeros((len(classes), *image.shape[:2])), np.zeros(image.shape[:2])
        for scale in settings.scales:
            for x0, y0, x1, y1 in tile_boxes(image.shape[:2], scale, tiles):
                sides = (48, 48) if grid == "released" else ((y1 - y0) * scale, (x1 - x0) * scale)
                total[:, y0:y1, x0:x1] += tile_maps(image[y0:y1, x0:x1], classes, sides)
                count[y0:y1, x0:x1] += 2
        assert count.min() > 0
        expected = max_normalise(torch.from_numpy(total / count)[None])[0].numpy()
        np.testing.assert_allclose(scores.values.astype(np.float32), expected, atol=1e-3)


def tile_maps(crop, classes, sides):
    """Summed maps of a crop and its mirror image, at the size of the crop."""
    pixels = torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1)[None].float()
    mean, std = ([[v] for v in values] for values in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))
    side = tuple(SMALL.side(s) for s in sides)
    view = functional.interpolate(pixels, side, mode="bilinear", align_corners=False)
    view = (view - torch.tensor(mean)[None, ..., None]) / torch.tensor(std)[None, ..., None]
    maps = corner_network(view) + corner_network(view.flip(-1)).flip(-1)
    return sample(maps, side, crop.shape[:2], corners=True)[0, [c - 1 for c in classes]].numpy()


def test_tiles_share_batches_and_keep_a_strided_map():
    shapes = []

    def spy(batch):
        shapes.append(tuple(batch.shape[2:]))
        return corner_network(batch)

    settings = CamSettings(scales=(0.5, 2.0), stride=4, tiles=TileSettings(crop=64, stride=48))
    items = [(str(k), np.full((90, 130 - k, 3), 200, np.uint8), (1, 2)) for k in range(3)]
    found = list(infer_cams(spy, items, settings=settings, inputs=SMALL, batch_pixels=1 << 22))
    assert set(shapes) == {(65, 65)}
    assert len(shapes) == 1
    assert [scores.values.shape for _, scores in found] == [(2, 23, 33), (2, 23, 33), (2, 23, 32)]
    assert all(np.isfinite(scores.values).all() for _, scores in found)


def test_settings_without_tiles_look_as_before_and_gaps_are_refused():
    assert "tiles" not in CamSettings().model_dump(mode="json")
    assert CamSettings(tiles=TileSettings()).model_dump(mode="json")["tiles"]["crop"] == 448
    with pytest.raises(ValueError, match="stride must not exceed crop"):
        TileSettings(crop=100, stride=101)
