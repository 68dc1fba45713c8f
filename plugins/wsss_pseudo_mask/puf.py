"""Pretended under-fitting (PUF) as an ordinary mmseg loss; needs nothing but torch and mmseg.

In any mmseg configuration:

    custom_imports = dict(imports=["wsss_pseudo_mask.puf"])
    loss_decode = dict(type="PretendedUnderfittingLoss", puf="clamp", beta=0.5, k=0.5, loss_weight=1.0)

Each head has a module of its own, and so a gate of its own. The gate has no state and no schedule. It looks at the
mean cross entropy of the batch itself, before the loss weight.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional


@MODELS.register_module(force=True)
class PretendedUnderfittingLoss(nn.Module):
    """Softmax cross entropy whose pixels above ``k`` stop pulling once the mean is below ``beta``.

    Args:
        puf: What then happens to the loss ce of a pixel: ``clamp`` min(ce, k), ``ignore`` 0 where ce > k (the same
            gradient), ``pow`` (ce + 1e-9)^k.
        beta: Threshold of the mean loss.
        k: Largest loss of a pixel, or the exponent.
        gate_pixels: The mean is over the labelled pixels (``valid``) or over all, ignored ones as 0 (``all``).
        gate_scope: The mean is over the images of this process (``local``) or of all processes (``global``).
        loss_weight: Factor of the result.
        class_weight: Factor of the pixels of each class, as in mmseg's ``CrossEntropyLoss``.
        avg_non_ignore: Average over the labelled pixels instead of all.
        loss_name: Key of the loss in the log.
    """

    def __init__(
        self,
        *,
        puf: str = "clamp",
        beta: float = 0.5,
        k: float = 0.5,
        gate_pixels: str = "valid",
        gate_scope: str = "local",
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | None = None,
        avg_non_ignore: bool = False,
        loss_name: str = "loss_puf",
    ) -> None:
        super().__init__()
        _one_of("puf", puf, ("clamp", "ignore", "pow"))
        _one_of("gate_pixels", gate_pixels, ("valid", "all"))
        _one_of("gate_scope", gate_scope, ("local", "global"))
        self.puf, self.beta, self.k = puf, beta, k
        self.gate_pixels, self.gate_scope = gate_pixels, gate_scope
        self.loss_weight, self.class_weight, self.avg_non_ignore = loss_weight, class_weight, avg_non_ignore
        self.loss_name = loss_name

    def forward(
        self, logits: Tensor, label: Tensor, weight: Tensor | None = None, ignore_index: int = 255, **_: object
    ) -> Tensor:
        """The loss of a batch.

        Args:
            logits: (N, C, H, W) float.
            label: (N, H, W) int64 class indices.
            weight: (N, H, W) float of a pixel sampler; multiplied after PUF.
            ignore_index: Label of pixels without loss.

        Returns:
            Scalar.
        """
        factors = None if self.class_weight is None else logits.new_tensor(self.class_weight)
        ce = functional.cross_entropy(logits, label, weight=factors, ignore_index=ignore_index, reduction="none")
        valid = label != ignore_index
        if self.puf == "clamp":
            fitted = ce.clamp(max=self.k)
        elif self.puf == "ignore":
            fitted = torch.where(ce > self.k, 0, ce)
        else:
            fitted = (ce + 1e-9) ** self.k  # the released code's guard against an infinite gradient at 0
        ce = torch.where(self._gate_is_open(ce.detach(), valid), fitted, ce)
        if weight is not None:
            ce = ce * weight
        count: Tensor | int
        if factors is not None:  # mmseg divides by the sum of the factors over the labelled pixels
            count = factors[label[valid]].sum().clamp(min=torch.finfo(factors.dtype).eps)
        else:
            count = valid.sum().clamp(min=1) if self.avg_non_ignore else label.numel()
        return self.loss_weight * ce.sum() / count

    def _gate_is_open(self, ce: Tensor, valid: Tensor) -> Tensor:
        """Whether the mean loss is below ``beta``: a scalar on the device of ``ce``, so that no step waits for it."""
        count = valid.sum() if self.gate_pixels == "valid" else ce.new_tensor(ce.numel())
        totals = torch.stack([ce.sum().double(), count.double()])
        if self.gate_scope == "global" and torch.distributed.is_initialized():
            torch.distributed.all_reduce(totals)
        return totals[0] < self.beta * totals[1]


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
