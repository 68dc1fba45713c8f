"""A data set whose hidden masks are noise: what a method makes of it must not change by one byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from harness.contract import IGNORE, Dataset, Need, Supervision, union
from harness.data.views import declared_ids
from harness.data.wrapped import WrappedDataset


class PoisonedDataset(WrappedDataset):
    """``dataset`` with noise in place of every mask that ``needs`` does not declare, and of every validation mask.

    Images, every other kind of supervision and all digests stay those of the original, even where they are derived
    from a mask that is noise here; so stage keys stay too.

    Args:
        dataset: The original.
        needs: What a method declared.
        seed: Other noise for another seed.
    """

    def __init__(self, dataset: Dataset, needs: Iterable[Need], *, seed: int = 0) -> None:
        super().__init__(dataset)
        needs = union(needs)
        self._seed = seed
        declared = [need for need in needs if need.kind is Supervision.MASKS and not need.auxiliary]
        self._clean: frozenset[str] = declared_ids(dataset, "train", declared[0]) if declared else frozenset()
        auxiliary = [Need(need.kind, need.fraction) for need in needs if need.auxiliary]
        self._auxiliary = (
            None if dataset.auxiliary is None else PoisonedDataset(dataset.auxiliary, auxiliary, seed=seed)
        )

    def read(self, kind: Supervision, image_id: str) -> Any:
        """The original's labels, but masks that were not declared are class indices and 255 at random."""
        if kind is not Supervision.MASKS or image_id in self._clean:
            return super().read(kind, image_id)
        digest = hashlib.sha256(f"poison:{self._seed}:{image_id}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:16], "big"))
        values = np.array([*range(len(self.classes)), IGNORE], dtype=np.uint8)
        return rng.choice(values, self.size(image_id))

    @property
    def auxiliary(self) -> PoisonedDataset | None:
        """The auxiliary data set, poisoned alike."""
        return self._auxiliary
