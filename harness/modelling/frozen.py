"""A pretrained backbone that stays as it is, and hands out stored features of the images that a training supplies.

What is unusual here:

* A network is frozen where it stands: its class gets ``FrozenBackbone`` in front, so that parameters, state and
  attributes keep their names, and whoever reads a trained network need not know of it.
* Stored features stand for the very tensor that they were supplied with, as long as nobody writes into it, and only for
  a network with the weights that they were computed by. For anything else (flipped, rescaled or erased images, a part
  of the batch, a level that is not stored) the network computes: a method can be slower, never wrong.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.modelling.features import Levels


@dataclass(frozen=True)
class Supplied:
    """Stored levels of a batch.

    Attributes:
        images: (B, 3, h, w) normalised float32.
        version: How often ``images`` had been written to when its levels were supplied; -1 in inference mode, where
            nobody counts.
        levels: Level to (B, c, h', w') float16 or float32, on the device of ``images``.
        count: Levels of the network.
    """

    images: Tensor
    version: int
    levels: Mapping[int, Tensor]
    count: int

    def stand_for(self, x: Tensor) -> bool:
        """Whether ``x`` is what the levels were computed from."""
        return x is self.images and _version(x) == self.version


class FrozenBackbone(nn.Module):
    """In front of a backbone's class: no gradients, always in evaluation mode, stored features where they stand."""

    supplied: Supplied | None = None
    weights: str | None = None

    def train(self, mode: bool = True) -> FrozenBackbone:
        """Statistics of BatchNorm and dropout stay those of evaluation."""
        super().train(False)
        return self

    def forward(self, x: Tensor) -> Sequence[Tensor]:
        """(B, 3, h, w) normalised float32 -> levels (B, c, h', w'), shallow to deep."""
        supplied = self.supplied
        if supplied is None or not supplied.stand_for(x):
            return self._compute(x)
        stored = {level: value.float() for level, value in supplied.levels.items()}
        if len(stored) == supplied.count:
            return tuple(stored[level] for level in range(supplied.count))
        return _PartlyStored(self, x, stored, supplied.count)

    @torch.no_grad()
    def _compute(self, x: Tensor) -> Sequence[Tensor]:
        levels: Sequence[Tensor] = super().forward(x)
        return levels

    def knows(self, weights: str) -> bool:
        """Whether this network has the weights of that digest; its own are digested once."""
        self.weights = self.weights or digest(self)
        return self.weights == weights


class _PartlyStored(Sequence[Tensor]):
    """The levels of a batch, some of them stored; the network computes when another one is asked for."""

    def __init__(self, network: FrozenBackbone, x: Tensor, stored: Mapping[int, Tensor], count: int) -> None:
        self._network, self._x, self._stored, self._count = network, x, stored, count
        self._computed: Sequence[Tensor] | None = None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[level] for level in range(*index.indices(self._count))]
        level = range(self._count)[index]
        if level in self._stored:
            return self._stored[level]
        if self._computed is None:
            self._computed = self._network._compute(self._x)
        return self._computed[level]


def freeze(network: nn.Module) -> None:
    """Turn ``network`` into a ``FrozenBackbone`` in place, its weights as they are now."""
    kind = type(network)
    network.__class__ = type(f"Frozen{kind.__name__}", (FrozenBackbone, kind), {"__module__": kind.__module__})
    network.requires_grad_(False)
    network.eval()  # of an mmseg backbone it returns nothing


def digest(network: nn.Module) -> str:
    """SHA-256 of the weights and statistics of a network, wherever and however they lie in memory."""
    found = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        if not name.endswith("num_batches_tracked"):
            found.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
            found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _version(x: Tensor) -> int:
    return -1 if x.is_inference() else x._version


@contextlib.contextmanager
def supplying(model: nn.Module, batch: Any, images: object) -> Iterator[None]:
    """Let the frozen backbone of ``model`` hand out the stored levels of a batch, if the batch has any.

    Args:
        model: With or without a frozen backbone.
        batch: What a data set collated, for example ``TrainingSet``, or the levels themselves.
        images: What the model's preprocessor made of the batch's images.
    """
    backbone, levels = getattr(model, "backbone", None), Levels.of(batch)
    if levels is None or not isinstance(images, Tensor) or not isinstance(backbone, FrozenBackbone):
        yield
        return
    if not backbone.knows(levels.weights):
        yield
        return
    stored = {level: value.to(images.device, non_blocking=True) for level, value in levels.values.items()}
    backbone.supplied = Supplied(images, _version(images), stored, levels.count)
    try:
        yield
    finally:
        backbone.supplied = None
