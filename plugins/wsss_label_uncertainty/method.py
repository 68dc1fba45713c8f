"""Learning label uncertainty inside boxes (Neven et al., ICCVW 2021, arXiv 2110.05926), a reconstruction.

A few images carry pixel masks, all carry boxes; everything outside the boxes is certain background. A logit is a
Gaussian, its variance says how far a label is to be trusted. Numbers are sections of the README:

    kappa = 1 / sqrt(1 + (pi/8) s2),  E softmax(z) = softmax(kappa mu)       attenuation                   (3.1, 3.6)
    L     = - log softmax(kappa mu)_y inside boxes, softmax(mu)_y elsewhere  attenuated likelihood         (3.3)
    phi_k = object pixels / box pixels of a class, on images with a mask     fill ratio, in ``boxes.py``   (3.5)
    y -> background where s2 lies above the phi_k quantile of its class      labels turn, in ``loss.py``   (3.5)
    ... unless its box would keep less than a share of its visible part      guard                         (3.5)

Logits are means ``(B, K, H, W)`` with variances ``(B, V, H, W)``, V = 1 for one variance shared by all classes, or K.
For two classes and V = 1 the softmax below *is* the binary formula of the paper, with the logit
``means[:, 1] - means[:, 0]``. For more classes V = 1 keeps its meaning, because

    dL / dkappa = sum_j p_j mu_j - mu_y,   p = softmax(kappa mu)

is positive, so that kappa falls and s2 grows, exactly where the labelled class lies below the expected mean. With V = K
and the scaled form the sign of a class's own mean decides, which has no meaning under a softmax.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from harness.contract import BACKGROUND, IGNORE
from wsss_label_uncertainty.params import EXACT, OUTSIDE

C = math.pi / 8
"""Makes sigmoid(x) and the probit Phi(x / sqrt(8 / pi)) agree in slope at 0 (MacKay 1992)."""


class Labels(NamedTuple):
    """Labels of one batch, each (B, H, W) int64.

    Attributes:
        label: Class indices, 255 = ignore.
        origin: 0 outside every box, 1 to 253 the number of the box, 254 a pixel mask, 255 padding.
        beneath: Class of the box behind the front one, 0 = none, 255 = padding.
    """

    label: Tensor
    origin: Tensor
    beneath: Tensor

    @property
    def boxed(self) -> Tensor:
        """(B, H, W) bool: pixels whose object label is only that of their box."""
        inside = (self.origin > OUTSIDE) & (self.origin < EXACT)
        return inside & (self.label != BACKGROUND) & (self.label != IGNORE)


def attenuation(variances: Tensor) -> Tensor:
    """Factor kappa = 1 / sqrt(1 + (pi/8) s2) (3.1)."""
    return torch.rsqrt(1 + C * variances)


def expected_logits(means: Tensor, variances: Tensor, form: str = "scaled") -> Tensor:
    """Logits whose softmax approximates the expected softmax of Gaussian logits (3.1, 3.6).

    Args:
        means: (B, K, H, W).
        variances: (B, V, H, W), not negative; 0 gives the means themselves.
        form: ``scaled`` (kappa_k mu_k) or ``pairwise`` (log of 1 / sum_j exp(-(mu_k - mu_j) kappa(s2_k + s2_j))).
    """
    if form == "scaled" or variances.shape[1] == 1:
        return means * attenuation(variances)
    rivals = []
    for k in range(means.shape[1]):
        others = [j for j in range(means.shape[1]) if j != k]
        kappa = attenuation(variances[:, k : k + 1] + variances[:, others])
        rivals.append(((means[:, others] - means[:, k : k + 1]) * kappa).logsumexp(1))
    return -functional.softplus(torch.stack(rivals, 1))  # j = k adds exp(0) = 1 to the sum


def attenuated_nll(
    means: Tensor, variances: Tensor, target: Tensor, attenuated: Tensor, form: str = "scaled"
) -> Tensor:
    """Negative log likelihood of ``target``; where not ``attenuated`` it is cross entropy to the last bit (3.3).

    Args:
        means: (B, K, H, W).
        variances: (B, V, H, W).
        target: (B, H, W) int64, 255 = ignore (gives 0).
        attenuated: (B, H, W) bool.
        form: As in ``expected_logits``.
    """
    where = attenuated.unsqueeze(1)
    logits = torch.where(where, expected_logits(means, torch.where(where, variances, 0.0), form), means)
    return functional.cross_entropy(logits, target, ignore_index=IGNORE, reduction="none")


def margin(means: Tensor, label: Tensor) -> Tensor:
    """Mean of the labelled class minus the largest other; (B, H, W), the logit in the binary case."""
    channel = label.clamp(max=means.shape[1] - 1).unsqueeze(1)  # 255 = ignore names no channel
    others = means.scatter(1, channel, -math.inf)
    return (means.gather(1, channel) - others.amax(1, keepdim=True)).squeeze(1)


def guard(flip: Tensor, boxed: Tensor, origin: Tensor, min_fill: float) -> Tensor:
    """Undo all flips of a box that would keep less than ``min_fill`` of its visible part (3.5).

    Args:
        flip: (B, H, W) bool.
        boxed: (B, H, W) bool.
        origin: (B, H, W) int64 box numbers.
        min_fill: In [0, 1].
    """
    image = torch.arange(len(origin), device=origin.device).view(-1, 1, 1)
    box = image * (IGNORE + 1) + origin
    count = len(origin) * (IGNORE + 1)
    area = torch.bincount(box[boxed], minlength=count)
    lost = torch.bincount(box[flip], minlength=count)
    return flip & ~(area - lost < min_fill * area)[box]
