"""Compares the backends of the dense CRF with pydensecrf2, where it is installed: time, memory, and labels.

``python -m speed.crf speed [PHOTOGRAPH]`` measures problems of 500 x 375 pixels: one of two labels per present class,
and all 21 labels together.

``python -m speed.crf agree FOLDER LIST [SCORES]`` compares the labels of real photographs, in the settings that papers
use. SCORES is a folder of stored class activation maps; without it the scores are random blobs.

Compilation is not counted; numba keeps its result on disk.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from harness.contract import ConfigError
from harness.maps import Bilateral, DenseCRF, Gaussian, ScoreReader, upsample
from harness.maps.params import CrfBackend

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Kernels = Sequence[Gaussian | Bilateral]

SIZE = (375, 500)
ITERATIONS = 10
JOINT = (Gaussian(3, 3), Bilateral(80, 13, 10))
PER_CLASS = (Gaussian(3, 10), Bilateral(80, 13, 10))
TEST = (Gaussian(1, 3), Bilateral(67, 3, 4))
WIDE = (Gaussian(3, 3), Bilateral(140, 5, 5))
LABELS_21 = (("21 labels, test", TEST), ("21 labels, joint", JOINT))


def read(path: Path, size: tuple[int, int] | None = None) -> Pixels:
    """(H, W, 3) uint8."""
    with Image.open(path) as file:
        image = file.convert("RGB")
        return np.array(image.resize(size[::-1], Image.Resampling.BICUBIC) if size else image)


def blocks() -> Pixels:
    """(375, 500, 3) uint8: blurred blocks with noise."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (8, 10, 3)).astype(np.uint8))
    smooth = np.array(small.resize(SIZE[::-1], Image.Resampling.BICUBIC), np.float32)
    return np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def blobs(count: int, size: tuple[int, int], seed: int = 1) -> Floats:
    """(count, H, W) float32 in [0, 1]."""
    planes = np.random.default_rng(seed).random((count, 12, 16)).astype(np.float32) ** 3
    large = [Image.fromarray(p).resize(size[::-1], Image.Resampling.BICUBIC) for p in planes]
    return np.stack([np.asarray(p, np.float32) for p in large]).clip(1e-4, 1)


def per_class(scores: Floats) -> Floats:
    """(K, 2, H, W): background (1 - s)^11 and s."""
    return np.stack([(1 - scores) ** 11, scores], axis=1)


def joint(scores: Floats, alpha: int = 24) -> Floats:
    """(1, K + 1, H, W): background (1 - max)^alpha and the scores."""
    background: Floats = (1 - scores.max(axis=0, keepdims=True)) ** alpha
    return np.concatenate([background, scores])[None]


def normalised(scores: Floats) -> Floats:
    """(1, L, H, W), sums to 1 over L."""
    return np.asarray(scores / scores.sum(axis=0))[None]


def solve(backend: CrfBackend, image: Pixels, batch: Floats, pairwise: Kernels) -> Floats:
    return DenseCRF(image, pairwise=pairwise, backend=backend).infer_many(batch, ITERATIONS)


def fastest(
    repeats: int, backend: CrfBackend, image: Pixels, batch: Floats, pairwise: Kernels
) -> npt.NDArray[np.float64]:
    """(2,) float64: the smallest wall and processor seconds."""
    spent = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        solve(backend, image, batch, pairwise)
        spent.append((time.perf_counter() - wall, time.process_time() - cpu))
    return np.asarray(np.min(spent, axis=0))


def _peak(backend: CrfBackend, threads: int, image: Pixels, batch: Floats, pairwise: Kernels) -> float:
    numba.set_num_threads(threads)
    solve(backend, np.zeros((8, 8, 3), np.uint8), np.full((1, 3, 8, 8), 1 / 3, np.float32), JOINT)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _resident("VmRSS")
    solve(backend, image, batch, pairwise)
    return (_resident("VmHWM") - before) / 1024


def _resident(field: str) -> int:
    """A field of the memory of this process in KiB."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])


def peak_mib(*arguments: Any) -> float:
    """By how much the resident memory of a fresh process grows at most; arguments are those of ``_peak`` (Linux)."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, arguments)


def installed(backends: Sequence[CrfBackend]) -> Iterator[CrfBackend]:
    for backend in backends:
        try:
            DenseCRF(np.zeros((1, 1, 3), np.uint8), backend=backend)
            yield backend
        except ConfigError as error:
            print(error)


def speed(options: argparse.Namespace) -> None:
    image = read(options.photograph, SIZE) if options.photograph else blocks()
    problems: list[tuple[str, Floats, Kernels]] = [
        (f"{count} x 2 labels", per_class(blobs(count, SIZE)), PER_CLASS) for count in (1, 2, 3)
    ]
    problems += [(name, normalised(blobs(21, SIZE)), pairwise) for name, pairwise in LABELS_21]
    backends = list(installed(options.backends))
    print(f"{'problem':16} {'backend':12} {'wall s':>8} {'CPU s':>8} {'faster':>7} {'CPU':>6} {'MiB':>6}")
    for name, batch, pairwise in problems:
        spent = {}
        for backend in backends:
            solve(backend, image[:8, :8].copy(), batch[..., :8, :8].copy(), pairwise)
            spent[backend] = fastest(options.repeats, backend, image, batch, pairwise)
        slowest = spent[backends[-1]]
        for backend, seconds in spent.items():
            line = f"{name:16} {backend:12} {seconds[0]:8.3f} {seconds[1]:8.3f}"
            wall, cpu = slowest / seconds
            mib = peak_mib(backend, options.threads, image, batch, pairwise)
            print(f"{line} {wall:7.2f} {cpu:6.2f} {mib:6.0f}", flush=True)


def agree(options: argparse.Namespace) -> None:
    ids = options.list.read_text().split()[: options.count]
    reader = ScoreReader(options.scores) if options.scores else None
    agreement: dict[str, list[tuple[float, float, float]]] = {}
    for number, image_id in enumerate(ids):
        image = read(options.folder / f"{image_id}.jpg")
        size = image.shape[:2]
        stored = reader.get(image_id) if reader else None
        scores = blobs(number % 3 + 1, size, number) if stored is None else upsample(stored).clip(0, 1)
        many = blobs(21, size, number) * 0.2
        many[1 : len(scores) + 1] += scores
        settings: dict[str, tuple[Floats, Kernels]] = {
            "per class 3/10 80/13/10": (per_class(scores), PER_CLASS),
            "joint 3/3 80/13/10": (joint(scores), JOINT),
            "21 labels 1/3 67/3/4": (normalised(many), TEST),
            "21 labels 3/3 140/5/5": (normalised(many), WIDE),
        }
        for name, (batch, pairwise) in settings.items():
            ours = solve(options.backend, image, batch, pairwise)
            theirs = solve("pydensecrf2", image, batch, pairwise)
            same = float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean())
            gap = abs(ours - theirs)
            agreement.setdefault(name, []).append((same, float(np.quantile(gap, 0.99)), float(gap.max())))
    print(f"{len(ids)} photographs, {options.backend} and pydensecrf2")
    print(f"{'setting':26} {'same label':>11} {'worst image':>12} {'99 % |dQ|, worst':>17} {'largest':>9}")
    for name, rows in agreement.items():
        same, quantile, largest = np.array(rows).T
        print(f"{name:26} {same.mean():11.6f} {same.min():12.6f} {quantile.max():17.2e} {largest.max():9.2e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=min(2, numba.get_num_threads()))
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("speed")
    command.add_argument("photograph", nargs="?", type=Path)
    command.add_argument("--repeats", type=int, default=3, help="the fastest of these counts")
    command.add_argument("--backends", nargs="+", default=["numba", "pydensecrf2"], help="the last is the reference")
    command.set_defaults(run=speed)
    command = commands.add_parser("agree")
    command.add_argument("folder", type=Path)
    command.add_argument("list", type=Path)
    command.add_argument("scores", nargs="?", type=Path)
    command.add_argument("--count", type=int, default=50, help="photographs, from the top of the list")
    command.add_argument("--backend", default="numba")
    command.set_defaults(run=agree)
    options = parser.parse_args()
    numba.set_num_threads(options.threads)
    torch.set_num_threads(options.threads)
    options.run(options)


if __name__ == "__main__":
    main()
