"""Confusions from plain count arrays, and a generator of images for simulations."""

import numpy as np

from harness.scoring import Confusions


def from_counts(counts, ids=None):
    """Confusions of (N, C, C) pixel counts by image, truth and prediction."""
    index, truth, pred = np.nonzero(counts)
    ids = tuple(f"i{n:04d}" for n in range(len(counts))) if ids is None else tuple(ids)
    count = counts[index, truth, pred].astype(np.int64)
    return Confusions(
        ids, counts.shape[1], index.astype(np.int64), truth.astype(np.uint8), pred.astype(np.uint8), count
    )


def draw_truth(rng, images, classes=3):
    """(N, C) pixels: background everywhere, each other class on about half of the images, sizes of a wide range."""
    pixels = rng.lognormal(7, 0.8, (images, classes)).astype(np.int64)
    pixels[:, 1:] *= rng.random((images, classes - 1)) < 0.5
    return pixels


def draw_counts(rng, truth, wrong):
    """(N, C, C) counts of a method: of each class a Beta-distributed share with mean ``wrong`` goes to the next."""
    images, classes = truth.shape
    lost = rng.binomial(truth, rng.beta(4 * wrong, 4 * (1 - wrong), truth.shape))
    counts = np.zeros((images, classes, classes), np.int64)
    for cls in range(classes):
        counts[:, cls, cls] = truth[:, cls] - lost[:, cls]
        counts[:, cls, (cls + 1) % classes] += lost[:, cls]
    return counts
