"""The endless stream of training samples, and the loader that turns it into batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, islice
from typing import Any, Protocol

import numpy as np
from torch import Tensor
from torch.utils.data import Sampler

from harness.contract.errors import PluginError
from harness.modelling.mm import DATA_SAMPLERS, get_dist_info


@DATA_SAMPLERS.register_module(force=True)
class ShuffleStream(Sampler[int]):
    """Epoch after epoch, each a permutation that depends on (seed, epoch) alone.

    With several processes each takes every world-size-th sample, so a step sees the same images however many share it.
    """

    def __init__(self, dataset: Sized, seed: int) -> None:
        self._size = len(dataset)
        self._seed = seed
        self._rank, self._world = get_dist_info()
        self._skipped = 0

    def skip(self, samples: int) -> None:
        """Start ``samples`` of this process later."""
        self._skipped += samples

    def __iter__(self) -> Iterator[int]:
        position = self._skipped * self._world + self._rank
        epoch, order = -1, np.empty(0, dtype=np.int64)
        while True:
            if position // self._size != epoch:
                epoch = position // self._size
                order = np.random.default_rng((self._seed, epoch)).permutation(self._size)
            yield int(order[position % self._size])
            position += self._world


class Batches(Protocol):
    """A data set that the loader can draw from."""

    def sample(self, position: int, index: int) -> Any:
        """Item ``index`` as it is seen at ``position`` of the stream."""

    def collate(self, samples: list[Any]) -> dict[str, Any]:
        """Samples as one batch."""


class StreamLoader:
    """Batches in stream order, prepared by threads.

    They are threads rather than processes because decoding and warping release the interpreter lock, all threads share
    one cache of decoded images, and the supervision meter counts in one process. Any sampler of indices will do; the
    loader adds the position that augmentation depends on.

    Args:
        dataset: Where samples come from.
        sampler: Yields the indices of this process; one that ends is iterated again.
        batch_size: Samples of a batch in this process.
        threads: 0 prepares each batch when it is asked for.
        pin: Whether batches lie in page-locked memory, from which a GPU copies while it computes.
    """

    def __init__(self, dataset: Batches, sampler: Any, *, batch_size: int, threads: int = 0, pin: bool = False) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self._sampler = sampler
        self._threads = threads
        self._pin = pin
        self._start = 0

    def starting_at(self, iteration: int) -> Iterator[dict[str, Any]]:
        """The batches from ``iteration`` on, without end; call it once."""
        self._start = iteration * self.batch_size
        return iter(self)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Draw (position, index) of each sample, a batch at a time, and prepare the samples."""
        rank, world = get_dist_info()
        if hasattr(self._sampler, "skip"):
            self._sampler.skip(self._start)
            indices = self._indices()
        else:
            indices = islice(self._indices(), self._start, None)
        stream = zip(count(self._start * world + rank, world), indices, strict=False)
        batches = iter(lambda: list(islice(stream, self.batch_size)), [])  # without end: no batch is ever empty
        if self._threads == 0:
            for batch in batches:
                yield self._batch([self.dataset.sample(*item) for item in batch])
        with ThreadPoolExecutor(self._threads, thread_name_prefix="loader") as pool:
            ahead: deque[list[Future[Any]]] = deque()
            try:
                while True:
                    while len(ahead) < 2 or len(ahead) * self.batch_size < 2 * self._threads:
                        ahead.append([pool.submit(self.dataset.sample, *item) for item in next(batches)])
                    yield self._batch([future.result() for future in ahead.popleft()])
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _batch(self, samples: list[Any]) -> dict[str, Any]:
        batch = self.dataset.collate(samples)
        if not self._pin:
            return batch
        return {name: value.pin_memory() if isinstance(value, Tensor) else value for name, value in batch.items()}

    def _indices(self) -> Iterator[int]:
        """The sampler again and again; one without end is iterated once."""
        for epoch in count():
            if hasattr(self._sampler, "set_epoch"):
                self._sampler.set_epoch(epoch)
            index = None
            for index in self._sampler:
                yield int(index)
            if index is None:
                raise PluginError(f"sampler {type(self._sampler).__name__} yields no samples")
