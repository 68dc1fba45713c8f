from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from harness.contract import StoreError
from harness.contract.inputs import IMAGENET_MEAN, IMAGENET_STD
from harness.contract.protocol import TestSettings as Settings
from harness.modelling import crf, inference
from harness.modelling.crf import predict, predict_probabilities
from harness.modelling.preprocess import Uint8Preprocessor


class Colours(torch.nn.Module):
    """Three classes: the normalised channels; coarse, like a network."""

    def __init__(self) -> None:
        super().__init__()
        self.data_preprocessor = Uint8Preprocessor()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.batches: list[tuple[int, ...]] = []

    def encode_decode(self, inputs: torch.Tensor, metas: list[dict[str, Any]]) -> torch.Tensor:
        self.batches.append(tuple(inputs.shape))
        coarse = functional.avg_pool2d(inputs, 4, ceil_mode=True)
        return functional.interpolate(coarse, metas[0]["img_shape"], mode="bilinear", align_corners=False)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Colours:
    network = Colours()
    monkeypatch.setattr(inference, "load_segmenter", lambda folder, device: network)
    return network


def photographs(*sizes: tuple[int, int]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    images = []
    for height, width in sizes:
        image = np.zeros((height, width, 3), dtype=np.uint8)
        image[np.arange(height)[:, None], np.arange(width)[None], rng.integers(0, 3)] = 255
        images.append(image)
    return images


def test_masks_come_in_order_at_image_size_and_equal_sizes_share_batches(model: Colours, tmp_path: Any) -> None:
    images = photographs((20, 30), (30, 20), (20, 30), (9, 7), (20, 30))
    items = [(f"i{k}", image) for k, image in enumerate(images)]
    found = list(predict(tmp_path, iter(items), settings=Settings()))
    assert [image_id for image_id, _ in found] == [image_id for image_id, _ in items]
    for (_, mask), image in zip(found, images, strict=True):
        assert mask.shape == image.shape[:2]
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, image.argmax(2))
    assert sorted(shape[0] for shape in model.batches) == [1, 1, 3]


def test_probabilities_are_the_mean_softmax_of_the_views(model: Colours, tmp_path: Any) -> None:
    images = photographs((20, 30), (16, 16))
    settings = Settings(scales=(0.5, 1.0), flip=True, base=24)
    for probabilities, image in zip(predict_probabilities(tmp_path, images, settings=settings), images, strict=True):
        assert probabilities.shape == (3, *image.shape[:2])
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities.sum(0), 1.0, atol=1e-5)
    sides = {shape[2:] for shape in model.batches}
    assert sides == {torch.Size((8, 12)), torch.Size((16, 24)), torch.Size((12, 12)), torch.Size((24, 24))}
    assert len(model.batches) == 8


def test_flipped_views_are_flipped_back(model: Colours, tmp_path: Any) -> None:
    image = np.zeros((16, 16, 3), dtype=np.uint8)
    image[:, :8, 0] = 255
    image[:, 8:, 2] = 255
    ((_, mask),) = predict(tmp_path, [("i", image)], settings=Settings(flip=True))
    np.testing.assert_array_equal(mask, np.where(np.arange(16) < 8, 0, 2)[None].repeat(16, 0))


def test_one_view_gives_the_same_mask_as_its_probabilities(model: Colours, tmp_path: Any) -> None:
    image = np.random.default_rng(1).integers(0, 255, (21, 33, 3), dtype=np.uint8)
    ((_, mask),) = predict(tmp_path, [("i", image)], settings=Settings())
    (probabilities,) = predict_probabilities(tmp_path, [image], settings=Settings())
    np.testing.assert_array_equal(mask, probabilities.argmax(0))


def test_normalisation_is_that_of_imagenet_in_rgb() -> None:
    image = np.random.default_rng(1).integers(0, 255, (1, 5, 6, 3), dtype=np.uint8)
    expected = ((image.astype(np.float64) - IMAGENET_MEAN) / IMAGENET_STD).transpose(0, 3, 1, 2)
    found = Uint8Preprocessor().normalise(torch.from_numpy(image))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_folder_without_segmenter_is_an_error(tmp_path: Any) -> None:
    with pytest.raises(StoreError, match="no readable segmenter"):
        next(predict(tmp_path, [], settings=Settings()))


def noisy_square() -> tuple[np.ndarray, np.ndarray]:
    """A red square on blue, and the same with some pixels of the other colour."""
    inside = np.zeros((32, 40), dtype=bool)
    inside[8:24, 10:30] = True
    clean = np.where(inside[..., None], (250, 5, 0), (0, 5, 250)).astype(np.uint8)
    return clean, np.where(inside, 0, 2)


def test_a_crf_at_test_time_snaps_the_averaged_probabilities_to_the_image(model: Colours, tmp_path: Any) -> None:
    image, truth = noisy_square()
    coarse = Settings(scales=(0.5, 1.0), flip=True)
    ((_, before),) = predict(tmp_path, [("i", image)], settings=coarse)
    assert (before != truth).any()
    refined = Settings(scales=(0.5, 1.0), flip=True, crf=True)
    ((_, after),) = predict(tmp_path, [("i", image)], settings=refined)
    assert after.dtype == np.uint8
    np.testing.assert_array_equal(after, truth)
    (averaged,) = predict_probabilities(tmp_path, [image], settings=coarse)
    (marginals,) = predict_probabilities(tmp_path, [image], settings=refined)
    np.testing.assert_array_equal(marginals, crf.refine(averaged, image))
    np.testing.assert_array_equal(marginals.argmax(0), after)


def test_a_crf_leaves_out_classes_that_are_nowhere_likely() -> None:
    image, truth = noisy_square()
    probabilities = np.full((4, 32, 40), 0.005, dtype=np.float32)
    probabilities[0] = np.where(truth == 0, 0.7, 0.3)
    probabilities[2] = 0.99 - probabilities[0]
    found = crf.refine(probabilities, image)
    assert not found[[1, 3]].any()
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)
    np.testing.assert_array_equal(found.argmax(0), truth)
    alone = probabilities[1:2]
    assert crf.refine(alone, image) is alone


def test_the_crf_runs_on_another_device_in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    image, _ = noisy_square()
    asked = []

    class Recorded:
        def __init__(self, image: Any, **how: Any) -> None:
            asked.append((how["backend"], how["device"]))

        def infer(self, probabilities: np.ndarray, iterations: int) -> np.ndarray:
            return probabilities

    monkeypatch.setattr(crf, "DenseCRF", Recorded)
    for device in ("cpu", "cuda:1"):
        crf.refine(np.full((2, 32, 40), 0.5, dtype=np.float32), image, device)
    assert asked == [("numba", "cpu"), ("torch", "cuda:1")]
