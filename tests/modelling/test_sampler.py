from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from harness.contract import PluginError
from harness.modelling.sampler import ShuffleStream, StreamLoader


class Numbers:
    """A data set whose samples are where and what was asked for."""

    def __len__(self) -> int:
        return 5

    def sample(self, position: int, index: int) -> tuple[int, int]:
        return position, index

    def collate(self, samples: list[Any]) -> dict[str, Any]:
        return {"samples": samples}


class Ends:
    def __init__(self, items: list[int]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[int]:
        return iter(self.items)


def batches(loader: StreamLoader, count: int, *, start: int = 0) -> list[Any]:
    stream = loader.starting_at(start)
    taken = [batch["samples"] for batch in islice(stream, count)]
    stream.close()  # type: ignore[attr-defined]
    return taken


def test_each_epoch_is_a_permutation_of_its_own() -> None:
    order = list(islice(ShuffleStream(range(50), seed=1), 100))
    assert sorted(order[:50]) == sorted(order[50:]) == list(range(50))
    assert order[:50] != order[50:]
    assert order == list(islice(ShuffleStream(range(50), seed=1), 100))
    assert order != list(islice(ShuffleStream(range(50), seed=2), 100))


@pytest.mark.parametrize("threads", [0, 1, 3])
@pytest.mark.parametrize("skipped", [0, 1, 4])
def test_the_stream_is_the_same_for_any_number_of_threads_and_after_a_resume(threads: int, skipped: int) -> None:
    whole = batches(StreamLoader(Numbers(), ShuffleStream(range(5), seed=0), batch_size=3), 6)
    loader = StreamLoader(Numbers(), ShuffleStream(range(5), seed=0), batch_size=3, threads=threads)
    assert batches(loader, 6 - skipped, start=skipped) == whole[skipped:]
    assert [position for batch in whole for position, _ in batch] == list(range(18))


def test_any_sampler_of_indices_will_do_and_one_that_ends_starts_again() -> None:
    loader = StreamLoader(Numbers(), Ends([4, 2, 0]), batch_size=2)
    assert batches(loader, 2, start=1) == [[(2, 0), (3, 4)], [(4, 2), (5, 0)]]


def test_a_sampler_without_samples_is_an_error_and_no_endless_loop() -> None:
    with pytest.raises(PluginError, match="Ends yields no samples"):
        batches(StreamLoader(Numbers(), Ends([]), batch_size=2), 1)
