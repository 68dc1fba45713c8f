"""High-dimensional Gaussian filtering on the permutohedral lattice (Adams, Baek, Davis, Eurographics 2010).

What is unusual here:

* A vertex is one 64-bit integer. All coordinates of a vertex leave the same remainder modulo d + 1, so the quotients
  and that remainder pack exactly, and stepping to a neighbour is adding a constant.
* Splatting gathers: every vertex collects from its own list of pixels. It runs in parallel without atomics and gives
  the same sums whatever the number of threads.
* The normalisation sqrt(K 1)^-1 of both sides is folded into the barycentric weights.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from harness.contract.errors import ConfigError

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

_CHUNKS = 64
"""Ranges of points, or of vertices, that the threads share among themselves; enough to keep many cores busy."""
_PARTS = 8
"""Parts of the points whose vertices are numbered side by side; more parts cost more when they are put together."""
_FEW = 2
"""Up to this many channels are summed one after another, each in a register; more of them are summed side by side."""


class Lattice:
    """Normalised Gaussian filter with unit standard deviation over N points in d dimensions.

    Args:
        features: (d, N) float32 positions, already divided by the standard deviations.

    Attributes:
        rows: Rows of each scratch buffer: one per vertex, and one that stays zero.

    Raises:
        ConfigError: The positions spread so far that vertices cannot be numbered in 63 bits.
    """

    def __init__(self, features: Floats) -> None:
        dimensions, count = features.shape
        scale = scales(dimensions)
        low, strides = packing(features.min(axis=1), features.max(axis=1))
        keys, self._weights = _embed(features, scale, low, strides)
        self._ids, vertices, table, numbers = _number(keys)
        del keys  # the largest array of all
        self._neighbours = _find_neighbours(vertices, table, numbers, neighbour_steps(strides))
        del table, numbers
        self._starts, self._points, self._collected = _invert(self._ids, self._weights, len(vertices))
        # Ranges of vertices with about equally many points each.
        self._chunks = np.searchsorted(self._starts, np.linspace(0, self._starts[-1], _CHUNKS + 1)).astype(np.int64)
        self._chunks[-1] = len(vertices)
        self._slice_scale = np.float32(1 / (1 + 2.0**-dimensions))
        self.rows = len(vertices) + 1
        norm = np.empty((count, 1), np.float32)
        self.filter_into(norm, np.ones_like(norm), 1.0, np.empty(2 * self.rows, np.float32), add=False)
        norm = 1 / np.sqrt(norm + np.float32(1e-20))
        self._weights *= norm
        self._collected *= norm[self._points, 0]

    def filter_into(self, out: Floats, values: Floats, weight: float, scratch: Floats, *, add: bool) -> None:
        """Add ``weight`` times the filtered values to ``out``, or write them into it.

        Args:
            out: (N, C) float32.
            values: (N, C) float32.
            weight: Factor of the filtered values.
            scratch: At least 2 * ``rows`` * C float32, overwritten.
            add: False overwrites what ``out`` holds.
        """
        size = self.rows * values.shape[1]
        grid, other = (scratch[k * size : (k + 1) * size].reshape(self.rows, -1) for k in (0, 1))
        grid[-1] = other[-1] = 0
        _splat(values, self._points, self._collected, self._starts, self._chunks, grid)
        for pairs in self._neighbours:
            _blur(grid, other, pairs)
            grid, other = other, grid
        _slice(grid, self._ids, self._weights, np.float32(weight) * self._slice_scale, out, add)


def scales(dimensions: int) -> Floats:
    """Diagonal of the elevation matrix, with the filter's standard deviation taken out (section 3.1 and page 6)."""
    deviation = math.sqrt(2 / 3) * (dimensions + 1)
    return np.array([deviation / math.sqrt((i + 1) * (i + 2)) for i in range(dimensions)], np.float32)


def packing(lowest: Floats, highest: Floats) -> tuple[Longs, Longs]:
    """Smallest quotient of each coordinate and its stride in a packed key, each (d + 1,) int64.

    The last coordinate follows from the others, so its stride is 0.

    Args:
        lowest: (d,) float32, the smallest position in each dimension.
        highest: (d,) float32, the largest.
    """
    size = len(lowest) + 1
    bottom, top = (extreme.astype(np.float64) * scales(size - 1) for extreme in (lowest, highest))
    low, spans = [], []
    for axis in range(size - 1):
        least, most = (axis * bottom[axis - 1], axis * top[axis - 1]) if axis else (0.0, 0.0)
        # 4 quotients beyond the positions leave room for the corners of a simplex and for their neighbours.
        low.append(math.floor((bottom[axis:].sum() - most) / size) - 4)
        spans.append(math.ceil((top[axis:].sum() - least) / size) + 4 - low[-1])
    if size * math.prod(spans) >= 2**63:
        raise ConfigError("standard deviations of the dense CRF are too small for this image")
    strides = [size * math.prod(spans[:axis]) for axis in range(size - 1)] + [0]
    return np.array([*low, 0], np.int64), np.array(strides, np.int64)


def neighbour_steps(strides: Longs) -> Longs:
    """(axis, side, remainder) -> what to add to a key to reach a neighbour; (d + 1, 2, d + 1) int64."""
    size = len(strides)
    steps = np.empty((size, 2, size), np.int64)
    for axis in range(size):
        along = int(strides[axis])
        others = int(strides.sum()) - along
        steps[axis, 0, 1:], steps[axis, 0, 0] = along - 1, size - 1 - others
        steps[axis, 1, :-1], steps[axis, 1, -1] = 1 - along, others - (size - 1)
    return steps


@njit(parallel=True, cache=True)
def _embed(features: Floats, scale: Floats, low: Longs, strides: Longs) -> tuple[Longs, Floats]:
    """Keys (N, d + 1) int64 of the enclosing simplex' vertices and barycentric weights (N, d + 1) float32."""
    dimensions, count = features.shape
    size = dimensions + 1
    keys = np.empty((count, size), np.int64)
    weights = np.empty((count, size), np.float32)
    step = count // _CHUNKS + 1
    for chunk in prange(_CHUNKS):
        elevated = np.empty(size, np.float32)
        floor = np.empty(size, np.int64)
        rank = np.empty(size, np.int64)
        barycentric = np.empty(size + 1, np.float32)
        offset = np.empty(size, np.float32)
        descent = np.empty(size, np.int64)
        for point in range(chunk * step, min((chunk + 1) * step, count)):
            total = np.float32(0)
            for axis in range(dimensions, 0, -1):
                scaled = features[axis - 1, point] * scale[axis - 1]
                elevated[axis] = total - np.float32(axis) * scaled
                total += scaled
            elevated[0] = total
            _enclose(elevated, floor, rank, barycentric, offset)
            key = 0
            for axis in range(size):
                key += (floor[axis] - low[axis]) * strides[axis]
                descent[dimensions - rank[axis]] = strides[axis]
            for remainder in range(size):
                keys[point, remainder] = key
                weights[point, remainder] = barycentric[remainder]
                key += 1 - descent[remainder]
    return keys, weights


@njit(cache=True)
def _enclose(elevated: Floats, floor: Longs, rank: Longs, barycentric: Floats, offset: Floats) -> None:
    """Nearest remainder-0 vertex, order of the differences to it, and barycentric coordinates (pages 5 and 10)."""
    size = len(elevated)
    down = np.float32(1 / size)
    excess = 0
    for axis in range(size):
        floor[axis] = int(np.rint(elevated[axis] * down))
        offset[axis] = elevated[axis] - np.float32(size * floor[axis])
        excess += floor[axis]
        rank[axis] = 0
    for axis in range(size - 1):
        for other in range(axis + 1, size):
            below = int(offset[axis] < offset[other])
            rank[axis] += below
            rank[other] += 1 - below
    barycentric[:] = 0
    for axis in range(size):
        rank[axis] += excess
        if rank[axis] < 0:
            rank[axis] += size
            floor[axis] += 1
        elif rank[axis] >= size:
            rank[axis] -= size
            floor[axis] -= 1
        part = (elevated[axis] - np.float32(size * floor[axis])) * down
        barycentric[size - 1 - rank[axis]] += part
        barycentric[size - rank[axis]] -= part
    barycentric[0] += np.float32(1) + barycentric[size]


@njit(cache=True)
def _slot(table: Longs, key: np.int64) -> np.int64:
    """Where ``key`` is or would go in an open-addressing table whose size is a power of two; -1 = free."""
    mask = len(table) - 1
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing: 2^64 over the golden ratio
    slot = np.int64((mixed >> np.uint64(32)) & np.uint64(mask))
    while table[slot] != key and table[slot] != -1:
        slot = (slot + 1) & mask
    return slot


@njit(cache=True)
def _table(vertices: Longs, size: int) -> tuple[Longs, Ints]:
    """A hash table of at least ``size`` slots that holds the keys ``vertices`` and their numbers."""
    slots = 1 << 12
    while slots < size:
        slots *= 2
    table = np.full(slots, -1, np.int64)
    numbers = np.empty(slots, np.int32)
    for number in range(len(vertices)):
        slot = _slot(table, vertices[number])
        table[slot] = vertices[number]
        numbers[slot] = number
    return table, numbers


@njit(cache=True)
def _number_part(keys: Longs, ids: Ints) -> int:
    """Number the vertices of some points by themselves; how many there are.

    The keys of the vertices replace the first entries of ``keys``, which have been read by then.
    """
    count, size = keys.shape
    vertices = keys.reshape(-1)
    before = np.full(size, -1, np.int64)
    table, numbers = _table(vertices[:0], 0)
    used = 0
    for point in range(count):
        for remainder in range(size):
            key = keys[point, remainder]
            if key == before[remainder]:
                ids[point, remainder] = ids[point - 1, remainder]
                continue
            before[remainder] = key
            slot = _slot(table, key)
            if table[slot] == -1:
                if 4 * used >= len(table):
                    table, numbers = _table(vertices[:used], 8 * used)
                    slot = _slot(table, key)
                table[slot] = key
                numbers[slot] = used
                vertices[used] = key
                used += 1
            ids[point, remainder] = numbers[slot]
    return used


@njit(cache=True)
def _merge(of_parts: Longs, begins: Longs, counts: Longs) -> tuple[Longs, Longs, Ints]:
    """Number the vertices of all parts together; each part's keys become these numbers.

    This is a function of its own because numba, compiling it inside the parallel ``_number``, rebuilt the table at
    every insertion.
    """
    vertices = np.empty(counts.sum(), np.int64)
    table, numbers = _table(vertices[:0], 4 * counts.max())
    used = 0
    for part in range(len(counts)):
        for index in range(begins[part], begins[part] + counts[part]):
            key = of_parts[index]
            slot = _slot(table, key)
            if table[slot] == -1:
                if 2 * used >= len(table):
                    table, numbers = _table(vertices[:used], 4 * used)
                    slot = _slot(table, key)
                table[slot] = key
                numbers[slot] = used
                vertices[used] = key
                used += 1
            of_parts[index] = numbers[slot]
    return vertices[:used].copy(), table, numbers


@njit(parallel=True, cache=True)
def _number(keys: Longs) -> tuple[Ints, Longs, Longs, Ints]:
    """Number the vertices in order of appearance: ids (N, d + 1) int32, vertex keys (M,), and the table behind them.

    Parts of the points number their vertices side by side, then those of all parts are numbered together. Overwrites
    ``keys``.
    """
    count, size = keys.shape
    step = count // _PARTS + 1
    ids = np.empty((count, size), np.int32)
    of_parts = keys.reshape(-1)
    counts = np.zeros(_PARTS, np.int64)
    begins = np.minimum(np.arange(_PARTS) * step, count) * size
    for part in prange(_PARTS):
        begin, end = part * step, min((part + 1) * step, count)
        if begin < end:
            counts[part] = _number_part(keys[begin:end], ids[begin:end])
    vertices, table, numbers = _merge(of_parts, begins, counts)
    for part in prange(_PARTS):
        for point in range(part * step, min((part + 1) * step, count)):
            for remainder in range(size):
                ids[point, remainder] = of_parts[begins[part] + ids[point, remainder]]
    return ids, vertices, table, numbers


@njit(parallel=True, cache=True)
def _find_neighbours(vertices: Longs, table: Longs, numbers: Ints, steps: Longs) -> Ints:
    """(d + 1, M, 2) int32 vertex numbers along each axis; M stands for a vertex that no point touches."""
    size, count = len(steps), len(vertices)
    neighbours = np.empty((size, count, 2), np.int32)
    for vertex in prange(count):
        key = vertices[vertex]
        remainder = key % size
        for axis in range(size):
            for side in range(2):
                slot = _slot(table, key + steps[axis, side, remainder])
                neighbours[axis, vertex, side] = numbers[slot] if table[slot] != -1 else count
    return neighbours


@njit(cache=True)
def _invert(ids: Ints, weights: Floats, vertices: int) -> tuple[Longs, Ints, Floats]:
    """Where each vertex' entries begin (M + 1,) int64, and their points and weights, in the order of the points."""
    count, size = ids.shape
    starts = np.zeros(vertices + 1, np.int64)
    for point in range(count):
        for corner in range(size):
            starts[ids[point, corner] + 1] += 1
    starts = np.cumsum(starts)
    free = starts[:-1].copy()
    points = np.empty(count * size, np.int32)
    collected = np.empty(count * size, np.float32)
    for point in range(count):
        for corner in range(size):
            entry = free[ids[point, corner]]
            free[ids[point, corner]] += 1
            points[entry] = point
            collected[entry] = weights[point, corner]
    return starts, points, collected


@njit(parallel=True, cache=True, fastmath=True)
def _splat(values: Floats, points: Ints, weights: Floats, starts: Longs, chunks: Longs, grid: Floats) -> None:
    """Every vertex sums its points' values."""
    channels = grid.shape[1]
    for chunk in prange(len(chunks) - 1):
        for vertex in range(chunks[chunk], chunks[chunk + 1]):
            if channels <= _FEW:
                for channel in range(channels):
                    total = np.float32(0)
                    for entry in range(starts[vertex], starts[vertex + 1]):
                        total += weights[entry] * values[points[entry], channel]
                    grid[vertex, channel] = total
            else:
                for channel in range(channels):
                    grid[vertex, channel] = 0
                for entry in range(starts[vertex], starts[vertex + 1]):
                    weight, point = weights[entry], points[entry]
                    for channel in range(channels):
                        grid[vertex, channel] += weight * values[point, channel]


@njit(parallel=True, cache=True, fastmath=True)
def _blur(grid: Floats, out: Floats, pairs: Ints) -> None:
    """One axis of the (1/2, 1, 1/2) blur; the last row stays zero."""
    half = np.float32(0.5)
    for vertex in prange(len(pairs)):
        before, after = pairs[vertex, 0], pairs[vertex, 1]
        for channel in range(grid.shape[1]):
            out[vertex, channel] = grid[vertex, channel] + half * (grid[before, channel] + grid[after, channel])


@njit(parallel=True, cache=True, fastmath=True)
def _slice(grid: Floats, ids: Ints, weights: Floats, scale: np.float32, out: Floats, add: bool) -> None:
    """Every point interpolates between its simplex' vertices."""
    size = ids.shape[1]
    channels = grid.shape[1]
    for point in prange(len(ids)):
        if channels <= _FEW:
            for channel in range(channels):
                total = np.float32(0)
                for corner in range(size):
                    total += weights[point, corner] * grid[ids[point, corner], channel]
                out[point, channel] = scale * total + (out[point, channel] if add else np.float32(0))
        else:
            vertex, weight = ids[point, 0], scale * weights[point, 0]
            if add:
                for channel in range(channels):
                    out[point, channel] += weight * grid[vertex, channel]
            else:
                for channel in range(channels):
                    out[point, channel] = weight * grid[vertex, channel]
            for corner in range(1, size):
                vertex, weight = ids[point, corner], scale * weights[point, corner]
                for channel in range(channels):
                    out[point, channel] += weight * grid[vertex, channel]
