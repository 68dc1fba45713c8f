"""The AMR loss (a reconstruction) as an ordinary mmseg loss, and an encoder-decoder that feeds it its own target."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.structures import BaseDataElement
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.utils import add_prefix
from torch import Tensor, nn
from torch.nn import functional

from wsss_class_conditional.method import refinement_loss
from wsss_class_conditional.params import TARGET


@MODELS.register_module()
class ActivationAwareLoss(nn.Module):
    """``refinement_loss`` with a weight.

    Args:
        loss_weight: lambda.
        loss_name: Name in the log; it must begin with ``loss``.
    """

    def __init__(self, loss_weight: float = 1.0, loss_name: str = "loss_amr") -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self, cls_score: Tensor, label: Tensor, weight: Tensor | None = None, ignore_index: int = 255, **_: Any
    ) -> Tensor:
        """Weighted loss of logits (B, C, H, W) against the refined map (B, H, W); ``weight`` is not used."""
        return self.loss_weight * refinement_loss(cls_score, label, ignore_index=ignore_index)


@MODELS.register_module()
class ActivationAwareSegmentor(EncoderDecoder):
    """An encoder-decoder whose decode head also learns from the extra target ``refined``.

    Args:
        loss_refinement: Configuration of the loss on that target.
        **kwargs: Of mmseg's ``EncoderDecoder``.
    """

    def __init__(self, *, loss_refinement: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loss_refinement = MODELS.build(loss_refinement)

    def _decode_head_forward_train(
        self, inputs: list[Tensor], data_samples: list[BaseDataElement]
    ) -> dict[str, Tensor]:
        """The head's own losses, and that of the refined map on the same logits."""
        logits = self.decode_head(inputs)
        losses: dict[str, Tensor] = add_prefix(self.decode_head.loss_by_feat(logits, data_samples), "decode")
        target = torch.stack([sample.get(TARGET).data for sample in data_samples])[:, 0].long()
        size, corners = target.shape[1:], self.decode_head.align_corners
        scores = functional.interpolate(logits, size, mode="bilinear", align_corners=corners)
        losses[f"decode.{self.loss_refinement.loss_name}"] = self.loss_refinement(scores, target)
        return losses
