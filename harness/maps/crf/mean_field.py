"""Mean field of the dense CRF in numba: parallel over pixels, all labels and problems of an image side by side.

Marginals sum to one, so L labels need L - 1 filtered channels, and a two-label problem needs one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numba import njit, prange

from harness.maps.crf.kernels import Floats
from harness.maps.crf.lattice import Lattice

if TYPE_CHECKING:
    from harness.contract.arrays import Image
    from harness.maps.crf.kernels import Bilateral, Gaussian

_ROWS = 256
"""Pixels of a block; their values stay in the cache of a core while several loops pass over them."""


class NumbaSolver:
    """Mean field on the CPU.

    Args:
        image: (H, W, 3) uint8, RGB.
        pairwise: Kernels.
    """

    def __init__(self, image: Image, pairwise: Sequence[Gaussian | Bilateral]) -> None:
        self._kernels = [
            (
                kernel.compat,
                Lattice(kernel.features(image)) if kernel.of_image else _shared_lattice(kernel, image.shape[:2]),
            )
            for kernel in pairwise
        ]
        self._of_all = np.empty((image.shape[0] * image.shape[1], 1), np.float32)
        self._messages(np.ones_like(self._of_all), self._of_all, self._scratch(1))

    def solve(self, probabilities: Floats, iterations: int, clip: float) -> Floats:
        """Marginals, like ``DenseCRF.infer_many``."""
        problems, labels, height, width = probabilities.shape
        logs = np.clip(probabilities, clip, 1, dtype=np.float32)
        np.log(logs, out=logs)
        # Negative energies over that of the last label, and the marginals of all labels but the last.
        unary = np.empty((height * width, problems * (labels - 1)), np.float32)
        _against_last(logs.reshape(problems, labels, -1), unary)
        marginals, messages, scratch = unary.copy(), np.empty_like(unary), self._scratch(unary.shape[1])
        rows = [array.reshape(-1, labels - 1) for array in (unary, messages, marginals)]
        _softmax(rows[2])
        unary -= self._of_all
        for _ in range(iterations):
            self._messages(marginals, messages, scratch)
            _logits(*rows)
            _softmax(rows[2])
        return _with_last(marginals, labels).reshape(probabilities.shape)

    def _messages(self, marginals: Floats, out: Floats, scratch: Floats) -> None:
        """Write the sum over the kernels of compat * K_norm Q into ``out``; both (N, C) float32."""
        if not self._kernels:
            out[:] = 0
        for number, (compat, lattice) in enumerate(self._kernels):
            lattice.filter_into(out, marginals, compat, scratch, add=number > 0)

    def _scratch(self, channels: int) -> Floats:
        return np.empty(2 * channels * max((lattice.rows for _, lattice in self._kernels), default=0), np.float32)


@lru_cache(maxsize=2)  # upright and lying photographs
def _shared_lattice(kernel: Gaussian | Bilateral, size: tuple[int, int]) -> Lattice:
    """The lattice of a kernel on positions alone, which all images of a size share."""
    return Lattice(kernel.features(np.empty((*size, 3), np.uint8)))


@njit(parallel=True, cache=True)
def _against_last(logs: Floats, out: Floats) -> None:
    """The difference of every label to the last: (P, L, N) -> ``out`` (N, P * (L - 1))."""
    problems, labels, count = logs.shape
    for block in prange((count + _ROWS - 1) // _ROWS):
        points = range(block * _ROWS, min((block + 1) * _ROWS, count))
        for problem in range(problems):
            for label in range(labels - 1):
                for point in points:
                    value = logs[problem, label, point] - logs[problem, labels - 1, point]
                    out[point, problem * (labels - 1) + label] = value


@njit(parallel=True, cache=True)
def _with_last(marginals: Floats, labels: int) -> Floats:
    """(N, P * (L - 1)) -> (P, L, N) float32 with the last label restored."""
    count, channels = marginals.shape
    problems = channels // (labels - 1)
    out = np.empty((problems, labels, count), np.float32)
    for block in prange((count + _ROWS - 1) // _ROWS):
        points = range(block * _ROWS, min((block + 1) * _ROWS, count))
        for problem in range(problems):
            for point in points:
                out[problem, labels - 1, point] = 1
            for label in range(labels - 1):
                for point in points:
                    value = marginals[point, problem * (labels - 1) + label]
                    out[problem, label, point] = value
                    out[problem, labels - 1, point] -= value
            for point in points:
                out[problem, labels - 1, point] = max(out[problem, labels - 1, point], np.float32(0))
    return out


@njit(parallel=True, cache=True, fastmath=True)
def _logits(unary: Floats, messages: Floats, out: Floats) -> None:
    """Energies of L - 1 labels over that of the last, which receives what the others leave of the message to all."""
    count, group = messages.shape
    for row in prange(count):
        total = np.float32(0)
        for label in range(group):
            total += messages[row, label]
        for label in range(group):
            out[row, label] = unary[row, label] + messages[row, label] + total


@njit(parallel=True, cache=True, fastmath=True)
def _softmax(logits: Floats) -> None:
    """In place, over the L - 1 columns and an implicit last label with logit 0; block by block, for vector code."""
    count, group = logits.shape
    for block in prange((count + _ROWS - 1) // _ROWS):
        rows = logits[block * _ROWS : (block + 1) * _ROWS]
        flat = rows.reshape(-1)
        if group == 1:
            for index in range(len(flat)):
                small = _exp(-abs(flat[index]))
                flat[index] = (np.float32(1) if flat[index] >= 0 else small) / (np.float32(1) + small)
            continue
        last = np.zeros(len(rows), np.float32)
        for row in range(len(rows)):
            for label in range(group):
                last[row] = min(last[row], -rows[row, label])
            for label in range(group):
                rows[row, label] += last[row]
        for index in range(len(flat)):
            flat[index] = _exp(flat[index])
        for row in range(len(rows)):
            total = _exp(last[row])
            for label in range(group):
                total += rows[row, label]
            share = np.float32(1) / total
            for label in range(group):
                rows[row, label] *= share


@njit(cache=True, fastmath=True)
def _exp(x: np.float32) -> np.float32:
    """Exponential of a float32 <= 0 to 4e-6 relative, at least 1e-38: a polynomial, which becomes vector code."""
    powers = max(x * np.float32(1.44269504), np.float32(-126))
    whole = np.int32(powers - np.float32(0.5))
    part = powers - np.float32(whole)
    value = np.float32(1.5403530e-4)
    value = value * part + np.float32(1.3333558e-3)
    value = value * part + np.float32(9.6181291e-3)
    value = value * part + np.float32(5.5504109e-2)
    value = value * part + np.float32(2.4022651e-1)
    value = value * part + np.float32(6.9314718e-1)
    value = value * part + np.float32(1)
    return value * np.int32((whole + np.int32(127)) << np.int32(23)).view(np.float32)
