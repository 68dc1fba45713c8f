"""Why boxes need help: two small models of wrong labels (3.3, 3.4), behind the defaults of the method."""

from __future__ import annotations

import math

import torch
from scipy.optimize import brentq
from torch import Tensor


def entropy(b: float) -> float:
    """H(b) in nats: the loss of giving in to a share ``b`` of contradicting labels."""
    return -b * math.log(b) - (1 - b) * math.log(1 - b)


def absorbed_loss(b: float) -> float:
    """Loss b log 2 of keeping the mean and calling the contradicting labels uncertain."""
    return b * math.log(2)


def break_even() -> float:
    """b*: up to this share of contradicting labels, distrust is cheaper than giving in; H(b) = b log 2."""
    return float(brentq(lambda b: entropy(b) - absorbed_loss(b), 0.5, 0.99, xtol=1e-15))


def weight_needed(b: float) -> float:
    """Weight on certain pixels that brings a contradicting share ``b`` down to ``break_even()``."""
    limit = break_even()
    return b * (1 - limit) / (limit * (1 - b))


def labelled_probability(p: Tensor, rho: float) -> Tensor:
    """P(label = object) = p + (1 - p) rho, where background is labelled object with probability ``rho``."""
    return p + (1 - p) * rho


def label_nll(p: Tensor, rho: float) -> Tensor:
    """-log P(label = object): constant at rho = 1, which is what a box is."""
    return -torch.log(labelled_probability(p, rho))


def object_posterior(p: Tensor, rho: float) -> Tensor:
    """P(object | labelled object); below 1/2 iff p < rho / (1 + rho)."""
    return p / labelled_probability(p, rho)
