"""Dense CRF at 500 x 375, 10 iterations: one two-label problem a present class, and all 21 labels at once.

Run ``python benchmarks/bench_crf.py [PHOTOGRAPH]``. Where ``pydensecrf`` is installed the same problems go through it
in the same run, and the two results are compared.
"""

from __future__ import annotations

import argparse
import time

import numba
import numpy as np
from PIL import Image

from harness.maps import Bilateral, DenseCRF, Gaussian

SIZE = (375, 500)
ITERATIONS = 10


def photograph(path):
    """(375, 500, 3) uint8: the given picture, or blurred blocks with noise."""
    if path:
        with Image.open(path) as image:
            return np.array(image.convert("RGB").resize(SIZE[::-1], Image.Resampling.BICUBIC))
    rng = np.random.default_rng(0)
    blocks = Image.fromarray(rng.integers(0, 256, (8, 10, 3)).astype(np.uint8))
    smooth = np.array(blocks.resize(SIZE[::-1], Image.Resampling.BICUBIC), np.float32)
    return np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def blobs(count):
    """(count, 375, 500) float32 in [0, 1]."""
    planes = np.random.default_rng(1).random((count, 12, 16)).astype(np.float32) ** 3
    large = [Image.fromarray(p).resize(SIZE[::-1], Image.Resampling.BICUBIC) for p in planes]
    return np.clip(np.stack([np.asarray(p) for p in large]), 1e-4, 1)


def problems():
    """Name, (P, L, H, W) probabilities, kernels."""
    for classes in (1, 2, 3):
        score = blobs(classes)
        pairwise = [Gaussian(3, 10), Bilateral(80, 13, 10)]
        yield f"{classes} x 2 labels", np.stack([(1 - score) ** 11, score], axis=1), pairwise
    scores = blobs(21)
    yield "21 labels", (scores / scores.sum(axis=0))[None], [Gaussian(1, 3), Bilateral(67, 3, 4)]


def ours(image, batch, pairwise):
    return DenseCRF(image, pairwise=pairwise).infer_many(batch, ITERATIONS)


def theirs(image, batch, pairwise):
    from pydensecrf import densecrf

    gaussian, bilateral = pairwise
    found = []
    for probabilities in batch:
        crf = densecrf.DenseCRF2D(SIZE[1], SIZE[0], len(probabilities))
        energy = -np.log(np.clip(probabilities, 1e-5, 1)).reshape(len(probabilities), -1)
        crf.setUnaryEnergy(np.ascontiguousarray(energy, np.float32))
        crf.addPairwiseGaussian(sxy=gaussian.sxy, compat=gaussian.compat)
        crf.addPairwiseBilateral(sxy=bilateral.sxy, srgb=bilateral.srgb, rgbim=image, compat=bilateral.compat)
        found.append(np.array(crf.inference(ITERATIONS)).reshape(probabilities.shape))
    return np.stack(found)


def fastest(solve, repeats, *arguments):
    """Result, and the smallest (wall, CPU) seconds."""
    spent = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        found = solve(*arguments)
        spent.append((time.perf_counter() - wall, time.process_time() - cpu))
    return found, np.min(spent, axis=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photograph", nargs="?")
    parser.add_argument("--threads", type=int, default=min(2, numba.config.NUMBA_NUM_THREADS))
    parser.add_argument("--repeats", type=int, default=3, help="the fastest of these counts")
    options = parser.parse_args()
    numba.set_num_threads(options.threads)
    try:
        import pydensecrf.densecrf  # noqa: F401

        compare = True
    except ImportError:
        compare = False
        print("pydensecrf is not installed: no comparison")
    image = photograph(options.photograph)
    DenseCRF(image[:8, :8].copy()).infer(np.full((3, 8, 8), 1 / 3, np.float32), 1)
    print(f"{'problem':14} {'wall s':>8} {'CPU s':>8} {'theirs':>8} {'faster':>8} {'same label':>11} {'99 % |dQ|':>10}")
    for name, batch, pairwise in problems():
        found, (wall, cpu) = fastest(ours, options.repeats, image, batch, pairwise)
        line = f"{name:14} {wall:8.3f} {cpu:8.3f}"
        if compare:
            other, (slow, _) = fastest(theirs, options.repeats, image, batch, pairwise)
            same = (found.argmax(axis=1) == other.argmax(axis=1)).mean()
            line += f" {slow:8.3f} {slow / wall:8.2f} {same:11.5f} {np.quantile(abs(found - other), 0.99):10.5f}"
        print(line)


if __name__ == "__main__":
    main()
