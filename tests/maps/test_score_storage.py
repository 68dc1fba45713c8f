"""Soft scores of the paper-scale data sets fit on a disk: the store's own files, at real sizes, counted up."""

from __future__ import annotations

from itertools import cycle, islice

import numpy as np
import pytest
import torch

from harness.contract import InputRule
from harness.contract.protocol import CamSettings
from harness.maps import ScoreReader, ScoreWriter, infer_cams

SAMPLE = 10
GIGABYTE = 1e9

DATA_SETS = {
    # name: images, (H, W) of the largest common photograph, classes of SAMPLE images in turn, limit in bytes
    "VOC 2012 train_aug": (10_582, (375, 500), (1, 2), 1.5, 0.5 * GIGABYTE),
    "COCO 2014 train": (82_081, (480, 640), (3, 3, 3, 3, 3, 3, 3, 3, 3, 2), 2.9, 10 * GIGABYTE),
}


def network(batch: torch.Tensor) -> torch.Tensor:
    """80 random positive maps at stride 16; random numbers do not shrink."""
    generator = torch.Generator().manual_seed(0)
    shape = len(batch), 80, -(-batch.shape[2] // 16), -(-batch.shape[3] // 16)
    return torch.rand(shape, generator=generator)


@pytest.mark.parametrize("name", DATA_SETS)
def test_maps_of_every_training_image_fit(name, tmp_path):
    """With the protocol's default stride, whatever the scales: present classes only, half precision, strided."""
    images, size, counts, mean, limit = DATA_SETS[name]
    classes = [tuple(range(1, count + 1)) for count in islice(cycle(counts), SAMPLE)]
    assert np.mean([len(present) for present in classes]) == mean
    settings = CamSettings(scales=(1.0,), flip=False)
    photograph = np.zeros((*size, 3), np.uint8)
    items = ((f"{name} {number:012d}", photograph, present) for number, present in enumerate(classes))
    with ScoreWriter(tmp_path) as writer:
        for image_id, scores in infer_cams(network, items, settings=settings, inputs=InputRule(16)):
            writer.write(image_id, scores)
    assert len(ScoreReader(tmp_path)) == SAMPLE
    stored = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert 0.5 * limit < stored / SAMPLE * images < limit


def test_nothing_grows_with_the_classes_that_an_image_does_not_show(tmp_path):
    photograph = np.zeros((480, 640, 3), np.uint8)
    sizes = []
    for number, present in enumerate([(1,), (80,), (1, 80)]):
        with ScoreWriter(tmp_path / str(number)) as writer:
            settings = CamSettings(scales=(1.0,), flip=False)
            for image_id, scores in infer_cams(network, [("a", photograph, present)], settings=settings):
                writer.write(image_id, scores)
        sizes.append((tmp_path / str(number) / "scores.f16").stat().st_size)
    assert sizes == [160 * 120 * 2, 160 * 120 * 2, 2 * 160 * 120 * 2]
