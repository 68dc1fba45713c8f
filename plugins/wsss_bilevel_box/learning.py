"""Fitting G_w: the upper problem by plain alternation, or with the hypergradient of one unrolled step.

    upper:  min_w  mean CE( G_w([p_c, m_c, x]), [y = c] ),   p_c = softmax(S_t*(w))_c            (1)
    lower:  t*(w) = argmin_t CE( S_t(x), C(G_w) )                                                (2)

* alternation: t is fixed while w is fitted, and no gradient reaches S.
* unrolled:    t'(w) = t - eta grad_t CE(S_t(x), soft C(G_w)); the upper gradient runs through t'(w) into w.

A training that was killed resumes from its last checkpoint and ends with the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from harness.contract import Context
from harness.modelling import Recipe, poly_rate, train
from wsss_bilevel_box.encoder import EncoderGenerator
from wsss_bilevel_box.labels import segmenter_logits
from wsss_bilevel_box.method import generator_loss, lower_loss, probability_planes
from wsss_bilevel_box.network import assemble
from wsss_bilevel_box.pairs import Batch, PairStream

_ENCODER_RATE = 0.1
"""Rate of a pretrained encoder, as a share of that of the layers that begin at random."""


@dataclass(frozen=True)
class Schedule:
    """Adam with L2 decay and a polynomial rate, as in the paper.

    Attributes:
        iterations: Steps.
        batch_size: Pairs (alternation) or crops (unrolled) of a step.
        lr: Initial rate.
        weight_decay: L2.
        every: The rate is updated every so many steps.
    """

    iterations: int
    batch_size: int
    lr: float
    weight_decay: float = 5e-4
    every: int = 1


@dataclass(frozen=True)
class Probability:
    """Where p_c of a training batch comes from: the segmenter S, or planes cached before.

    Attributes:
        segmenter: S in evaluation mode; ``None`` with a cache, or without any probability.
        exact: See ``probability_planes``.
        align: See ``probability_planes``.
    """

    segmenter: nn.Module | None = None
    exact: bool = False
    align: bool = False

    @torch.no_grad()
    def of(self, batch: Batch) -> Tensor | None:
        """(P, S, S) float32 without gradient, or ``None``."""
        if batch.cached is not None:
            return batch.cached
        if self.segmenter is None:
            return None
        return self.planes(segmenter_logits(self.segmenter, batch.images), batch)

    def planes(self, logits: Tensor, batch: Batch) -> Tensor:
        """p_c of the batch's pairs from logits of its crops; differentiable."""
        size = (batch.masks.shape[1], batch.masks.shape[2])
        return probability_planes(logits, batch.owner, batch.classes, size, exact=self.exact, align=self.align)


def alternation_step(generator: nn.Module, batch: Batch, probability: Probability, *, unit: bool) -> Tensor:
    """Loss of the E step: S is evaluated without gradient."""
    x = assemble(batch.images[batch.owner], batch.masks, probability.of(batch), unit=unit)
    return generator_loss(generator(x), batch.targets)


@dataclass(frozen=True)
class Unrolled:
    """The bi-level loss with one unrolled step of the lower problem.

    Attributes:
        segmenter: S as ``harness.modelling.load_segmenter`` returns it, its parameters requiring gradients.
        eta: Rate of the lower step.
        probability: How p_c is read off logits.
        unit: See ``assemble``.
        corners: See ``lower_loss``.
    """

    segmenter: Any
    eta: float
    probability: Probability
    unit: bool
    corners: bool = False

    def loss(self, generator: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The upper loss at t'(w), and t'(w) itself, both with their graph.

        ``batch`` must hold every class of each of its crops (``PairStream.image_batch``).
        """
        weights: dict[str, Tensor] = {name: p for name, p in self.segmenter.named_parameters() if p.requires_grad}
        x = self.segmenter.data_preprocessor.normalise(batch.images)
        pixels = batch.images[batch.owner]
        logits = functional_call(self.segmenter, weights, (x,), {"mode": "tensor"})
        before = self.probability.planes(logits, batch).detach()
        proposal = generator(assemble(pixels, batch.masks, before, unit=self.unit))
        lower = lower_loss(
            logits,
            proposal.softmax(1)[:, 1],
            owner=batch.owner,
            classes=batch.classes,
            masks=batch.masks,
            corners=self.corners,
        )
        steps = torch.autograd.grad(lower, list(weights.values()), create_graph=True)
        moved = {name: p - self.eta * g for (name, p), g in zip(weights.items(), steps, strict=True)}
        after = self.probability.planes(functional_call(self.segmenter, moved, (x,), {"mode": "tensor"}), batch)
        seen = generator(assemble(pixels, batch.masks, after, unit=self.unit))
        return generator_loss(seen, batch.targets), moved

    @torch.no_grad()
    def advance(self, moved: Mapping[str, Tensor]) -> None:
        """Set t to t'(w)."""
        for name, parameter in self.segmenter.named_parameters():
            if name in moved:
                parameter.copy_(moved[name])


class Fitting(nn.Module):
    """The generator as ``harness.modelling.train`` trains it: batches in, the loss of a step out.

    Args:
        generator: G_w with its initial weights.
        probability: Source of p_c for the alternation.
        unrolled: Use the bi-level loss instead, and move S along after each step.
        unit: See ``assemble``.
    """

    def __init__(
        self, generator: nn.Module, probability: Probability, unrolled: Unrolled | None = None, *, unit: bool = True
    ) -> None:
        super().__init__()
        self.generator = generator
        self.segmenter = None if unrolled is None else unrolled.segmenter  # a part of the checkpoint: it moves
        self._probability, self._unrolled, self._unit = probability, unrolled, unit
        self._moved: Mapping[str, Tensor] = {}

    def train(self, mode: bool = True) -> Fitting:
        """S stays in evaluation mode."""
        self.generator.train(mode)
        return self

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The loss of the E step, or the upper loss at t'(w)."""
        if self._unrolled is None:
            return {"loss": alternation_step(self.generator, batch, self._probability, unit=self._unit)}
        loss, self._moved = self._unrolled.loss(self.generator, batch)
        return {"loss": loss}

    def advance(self, iteration: int) -> None:
        """Set t to t'(w), once the step is done."""
        if self._unrolled is not None:
            self._unrolled.advance(self._moved)
            self._moved = {}


def fit(fitting: Fitting, stream: PairStream, schedule: Schedule, ctx: Context, *, seed: int) -> list[dict[str, float]]:
    """Fit the generator in place; resumes from ``ctx.work``.

    Args:
        fitting: G_w with its initial weights, and what it is fitted by.
        stream: Auxiliary samples.
        schedule: Optimiser and length.
        ctx: Scratch folder, device, threads, progress.
        seed: Of everything that a step draws.

    Returns:
        The loss curve.

    Raises:
        FloatingPointError: The loss became infinite or NaN.
    """
    generator = fitting.generator.to(ctx.device).to(memory_format=torch.channels_last)
    slow = generator.pretrained_parameters() if isinstance(generator, EncoderGenerator) else []
    is_slow = set(map(id, slow))
    fast = [parameter for parameter in generator.parameters() if id(parameter) not in is_slow]
    rates = ((fast, schedule.lr), (slow, _ENCODER_RATE * schedule.lr))
    groups = [{"params": members, "lr": rate, "initial_lr": rate} for members, rate in rates if members]
    recipe = Recipe(
        torch.optim.Adam(groups, weight_decay=schedule.weight_decay),
        schedule.iterations,
        rate=lambda step: poly_rate(step, schedule.iterations, every=schedule.every),
    )
    read = stream.batch if fitting.segmenter is None else stream.image_batch

    def batches(start: int) -> Iterator[Batch]:
        return (read(step * schedule.batch_size, schedule.batch_size).to(ctx.device) for step in count(start))

    curve = train(fitting, batches, recipe, ctx, seed=seed, after_step=fitting.advance)
    generator.eval()
    return curve
