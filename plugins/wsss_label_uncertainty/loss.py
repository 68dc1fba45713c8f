"""The loss as an mmseg module: attenuated, and with labels that turn into background while training (3.5)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from harness.contract import BACKGROUND, IGNORE
from wsss_label_uncertainty.method import Labels, attenuated_nll, guard, margin
from wsss_label_uncertainty.params import EXACT

QUANTILE_SAMPLE = 1 << 16
"""A quantile of more values is taken from every n-th of them."""


@MODELS.register_module(force=True)
class LabelUncertaintyLoss(nn.Module):
    """The attenuated loss with online bootstrapping.

    Args:
        fill: Object pixels by box pixels of every class (phi in 3.5).
        attenuate: Where the variance acts: ``off``, ``box`` or ``all``.
        form: As in ``expected_logits``.
        exact_weight: Weight of pixels whose label is a pixel mask.
        rule: ``off``, ``fill``, ``fill_mean``, ``threshold`` or ``mean`` (3.5).
        start: First iteration at which labels turn.
        warmup: What box labels teach before that: ``both`` mean and variance, or the ``variance`` alone, so that the
            mean is as yet untouched by wrong labels when the first ones turn.
        min_fill: Of the guard.
        min_variance: Of rule ``threshold``.
        overlap: A label may turn into the class beneath its box.
        attenuate_kept: After ``start``, box labels that are kept although the mean contradicts them stay attenuated;
            False: from there on all box labels pull with full weight.
        momentum: Of the running threshold, for each batch that shows the class.
        loss_weight: Factor of the loss.
    """

    thresholds: Tensor
    pixels: Tensor

    def __init__(
        self,
        *,
        fill: Sequence[float],
        attenuate: str = "box",
        form: str = "scaled",
        exact_weight: float = 1.0,
        rule: str = "fill",
        start: int = 0,
        warmup: str = "both",
        min_fill: float = 0.2,
        min_variance: float = 0.5,
        overlap: bool = False,
        attenuate_kept: bool = True,
        momentum: float = 0.9,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.fill, self.attenuate, self.form, self.exact_weight = tuple(fill), attenuate, form, exact_weight
        self.rule, self.start, self.warmup = rule, start, warmup
        self.min_fill, self.min_variance = min_fill, min_variance
        self.overlap, self.attenuate_kept = overlap, attenuate_kept
        self.momentum, self.loss_weight = momentum, loss_weight
        self.register_buffer("thresholds", torch.full((len(self.fill),), math.nan))
        self.register_buffer("pixels", torch.zeros(len(self.fill)))

    def forward(self, means: Tensor, variances: Tensor, labels: Labels, iteration: int) -> Tensor:
        """Mean over all labelled pixels; 0 where there is none.

        Args:
            means: (B, K, H, W).
            variances: (B, V, H, W), positive.
            labels: What is known of the pixels.
            iteration: Training step, from 0.
        """
        target, attenuated = self.targets(means, variances, labels, iteration)
        if self.warmup == "variance" and iteration < self.start:
            means = torch.where(labels.boxed.unsqueeze(1), means.detach(), means)
        nll = attenuated_nll(means, variances, target, attenuated, self.form)
        weight = (target != IGNORE).to(nll.dtype)
        if self.exact_weight != 1.0:
            weight = torch.where(labels.origin == EXACT, self.exact_weight * weight, weight)
            nll = nll * weight
        return self.loss_weight * nll.sum() / weight.sum().clamp(min=1.0)

    @torch.no_grad()
    def targets(self, means: Tensor, variances: Tensor, labels: Labels, iteration: int) -> tuple[Tensor, Tensor]:
        """The labels of this step and where they are attenuated: (B, H, W) int64 and bool."""
        boxed = labels.boxed
        attenuated = {"off": torch.zeros_like(boxed), "box": boxed, "all": labels.label != IGNORE}[self.attenuate]
        if self.rule == "off" or iteration < self.start:
            return labels.label, attenuated
        flip = guard(self.flips(means, variances, labels), boxed, labels.origin, self.min_fill)
        if self.attenuate_kept:
            attenuated = attenuated & ~(boxed & (flip | (margin(means, labels.label) >= 0)))
        else:
            attenuated = attenuated & ~boxed
        target = labels.label.masked_fill(flip, BACKGROUND)
        if self.overlap:
            turned = flip & (labels.beneath != BACKGROUND) & (means.argmax(1) == labels.beneath)
            target = torch.where(turned, labels.beneath, target)
        return target, attenuated

    @torch.no_grad()
    def flips(self, means: Tensor, variances: Tensor, labels: Labels) -> Tensor:
        """Box labels that the rule turns, before the guard: (B, H, W) bool (3.5)."""
        boxed, contradicted = labels.boxed, margin(means, labels.label) < 0
        if self.rule == "mean":
            return boxed & contradicted
        doubt = variances.squeeze(1)
        if variances.shape[1] > 1:
            doubt = variances.gather(1, labels.label.clamp(max=variances.shape[1] - 1).unsqueeze(1)).squeeze(1)
        if self.rule == "threshold":
            return boxed & contradicted & (doubt >= self.min_variance)
        statistic = -margin(means, labels.label) if self.rule == "fill_mean" else doubt
        flip = torch.zeros_like(boxed)
        for cls in range(1, len(self.fill)):
            of_class = boxed & (labels.label == cls)
            flip |= of_class & (statistic > self._threshold(cls, statistic[of_class]))
        return flip

    def _threshold(self, cls: int, values: Tensor) -> Tensor:
        """The fill quantile of one class: a running mean over batches, weighted by its box pixels in them.

        The fill ratio is that of all images together. The quantile of one batch, which shows one or two objects of a
        class, would force every object to that ratio, whatever its own.
        """
        if len(values) == 0:
            return self.thresholds[cls]
        step = -(-len(values) // QUANTILE_SAMPLE)
        quantile = torch.quantile(values[::step], self.fill[cls])
        before = self.momentum * self.pixels[cls]
        self.pixels[cls] = before + len(values)
        if before > 0:
            quantile = self.thresholds[cls] + (quantile - self.thresholds[cls]) * len(values) / self.pixels[cls]
        self.thresholds[cls] = quantile
        return quantile
