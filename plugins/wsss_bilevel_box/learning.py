"""Fitting G_w: the upper problem by plain alternation, or with the hypergradient of one unrolled step.

    upper:  min_w  mean CE( G_w([p_c, m_c, x]), [y = c] ),   p_c = softmax(S_t*(w))_c            (section 3.1)
    lower:  t*(w) = argmin_t CE( S_t(x), C(G_w) )

* alternation: t is fixed while w is fitted, and no gradient reaches S.
* unrolled:    t'(w) = t - eta grad_t CE(S_t(x), soft C(G_w)); the upper gradient runs through t'(w) into w.

A training that was killed resumes from its last checkpoint and ends with the same weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from harness.contract import IGNORE
from wsss_bilevel_box.compose import probability_planes, soft_compose
from wsss_bilevel_box.labels import segmenter_logits
from wsss_bilevel_box.network import assemble
from wsss_bilevel_box.pairs import Batch, PairStream

_CHECKPOINT_SECONDS = 120.0
_ENCODER_RATE = 0.1


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


def poly_rate(base: float, iteration: int, total: int, *, every: int = 1, power: float = 0.9) -> float:
    """Base (1 - t / T)^power with t rounded down to a multiple of ``every``."""
    return base * (1.0 - iteration // every * every / total) ** power


def generator_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy over all known cells.

    Args:
        logits: (P, 2, h, w) float32.
        targets: (P, h, w) int64: 0, 1, or 255 = not learned from.
    """
    return functional.cross_entropy(logits, targets, ignore_index=IGNORE)


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
        segmenter: S in evaluation mode, its parameters requiring gradients.
        eta: Rate of the lower step.
        probability: How p_c is read off logits.
        unit: See ``assemble``.
    """

    segmenter: nn.Module
    eta: float
    probability: Probability
    unit: bool

    def loss(self, generator: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The upper loss at t'(w), and t'(w) itself, both with their graph.

        ``batch`` must hold every class of each of its crops (``PairStream.image_batch``).
        """
        weights = {name: p for name, p in self.segmenter.named_parameters() if p.requires_grad}
        x = self.segmenter.data_preprocessor.normalise(batch.images)
        pixels = batch.images[batch.owner]
        logits = functional_call(self.segmenter, weights, (x,), {"mode": "tensor"})
        before = self.probability.planes(logits, batch).detach()
        proposal = generator(assemble(pixels, batch.masks, before, unit=self.unit))
        lower = lower_loss(logits, proposal.softmax(1)[:, 1], batch)
        steps = torch.autograd.grad(lower, list(weights.values()), create_graph=True)
        moved = {name: p - self.eta * g for (name, p), g in zip(weights.items(), steps, strict=True)}
        after = self.probability.planes(functional_call(self.segmenter, moved, (x,), {"mode": "tensor"}), batch)
        seen = generator(assemble(pixels, batch.masks, after, unit=self.unit))
        return generator_loss(seen, batch.targets), moved

    @torch.no_grad()
    def advance(self, moved: Mapping[str, Tensor]) -> None:
        """T <- t'(w)."""
        for name, parameter in self.segmenter.named_parameters():
            if name in moved:
                parameter.copy_(moved[name])


def lower_loss(logits: Tensor, foreground: Tensor, batch: Batch) -> Tensor:
    """CE(S_t(x), soft C(G_w)) at the segmenter's stride, mean over cells.

    Args:
        logits: (N, C, h, w) of the segmenter.
        foreground: (P, S / 4, S / 4) probabilities of foreground of the generator.
        batch: Crops, all classes of each.
    """
    size = (logits.shape[2], logits.shape[3])
    claims = functional.interpolate(foreground[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    masks = functional.adaptive_avg_pool2d(batch.masks.to(foreground.dtype)[:, None], size)[:, 0]
    scores = logits.log_softmax(1)
    losses = []
    for n in range(len(logits)):
        mine = batch.owner == n
        label = soft_compose(claims[mine], masks[mine])
        channels = torch.cat([batch.classes.new_zeros(1), batch.classes[mine]])
        losses.append(-(label * scores[n, channels]).sum(0).mean())
    return torch.stack(losses).mean()


def fit(
    generator: nn.Module,
    stream: PairStream,
    schedule: Schedule,
    *,
    work: Path,
    device: str,
    probability: Probability,
    unrolled: Unrolled | None = None,
    unit: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[float]:
    """Fit ``generator`` in place.

    Args:
        generator: G_w with its initial weights.
        stream: Auxiliary samples.
        schedule: Optimiser and length.
        work: Scratch folder; a checkpoint found there is resumed.
        device: ``cpu`` or ``cuda:N``.
        probability: Source of p_c for the alternation.
        unrolled: Use the bi-level loss instead, and move S along.
        unit: See ``assemble``.
        progress: Called with (done, total).

    Returns:
        The loss of each step.

    Raises:
        FloatingPointError: The loss became infinite or NaN.
    """
    generator.to(device=device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(_groups(generator, schedule.lr), weight_decay=schedule.weight_decay)
    state = _Progress(work / "generator.ckpt", generator, optimizer, unrolled)
    losses = state.resume()
    for step in range(len(losses), schedule.iterations):
        for group in optimizer.param_groups:
            group["lr"] = poly_rate(group["initial_lr"], step, schedule.iterations, every=schedule.every)
        first = step * schedule.batch_size
        optimizer.zero_grad(set_to_none=True)
        if unrolled is None:
            batch = stream.batch(first, schedule.batch_size).to(device)
            loss = alternation_step(generator, batch, probability, unit=unit)
            loss.backward()
        else:
            batch = stream.image_batch(first, schedule.batch_size).to(device)
            loss, moved = unrolled.loss(generator, batch)
            loss.backward(inputs=list(generator.parameters()))
            unrolled.advance(moved)
        optimizer.step()
        losses.append(loss.item())
        if not torch.isfinite(loss.detach()):
            raise FloatingPointError(f"training of the generator diverged: loss {losses[-1]} at step {step}")
        state.save_when_due(losses)
        progress(step + 1, schedule.iterations)
    generator.eval()
    return losses


def _groups(generator: nn.Module, lr: float) -> list[dict[str, Any]]:
    """All parameters at ``lr``, but a pretrained encoder at a tenth of it."""
    slow = list(generator.encoder.parameters()) if getattr(generator, "pretrained", False) else []
    known = set(map(id, slow))
    rest = [parameter for parameter in generator.parameters() if id(parameter) not in known]
    rates = ((rest, lr), (slow, _ENCODER_RATE * lr))
    return [{"params": members, "lr": rate, "initial_lr": rate} for members, rate in rates if members]


class _Progress:
    """Checkpoints of ``fit``."""

    def __init__(
        self, path: Path, generator: nn.Module, optimizer: torch.optim.Optimizer, unrolled: Unrolled | None
    ) -> None:
        self._path = path
        self._parts = {"generator": generator, "optimizer": optimizer}
        if unrolled is not None:
            self._parts["segmenter"] = unrolled.segmenter
        self._saved = time.monotonic()

    def resume(self) -> list[float]:
        """Load what was saved; the losses so far."""
        if not self._path.exists():
            return []
        state = torch.load(self._path, map_location="cpu", weights_only=True)
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
        return list(state["losses"])

    def save_when_due(self, losses: list[float]) -> None:
        """Replace the checkpoint in one step, every two minutes."""
        if time.monotonic() - self._saved < _CHECKPOINT_SECONDS:
            return
        self.save(losses)

    def save(self, losses: list[float]) -> None:
        """Replace the checkpoint in one step."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".part")
        torch.save({**{name: part.state_dict() for name, part in self._parts.items()}, "losses": losses}, temporary)
        temporary.replace(self._path)
        self._saved = time.monotonic()
