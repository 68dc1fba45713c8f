"""The protocol's classifier with a second one behind its maps."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from harness.modelling import MODELS, CamClassifier
from wsss_recam import method


@MODELS.register_module(force=True)
class RecamNetwork(CamClassifier):
    """A classifier that also learns to tell the tagged classes of an image apart.

    Args:
        lam: Weight of the softmax cross-entropy.
        **classifier: Of the protocol's classifier.
    """

    def __init__(self, *, lam: float, **classifier: Any) -> None:
        super().__init__(**classifier)
        self.lam = lam
        self.second = nn.Conv2d(self.head.in_channels, self.head.out_channels, 1, bias=False)

    def losses(self, images: Tensor, tags: Tensor) -> dict[str, Tensor]:
        """The classifier's loss, and lambda times the softmax cross-entropy.

        Args:
            images: (B, 3, h, w) normalised float32.
            tags: (B, C) float32 multi-hot; column i is class i + 1.
        """
        features = self._joined(images)
        logits = self.head(functional.adaptive_avg_pool2d(features, 1)).flatten(1)
        losses = {"loss_cls": functional.multilabel_soft_margin_loss(logits, tags)}
        if self.lam > 0:
            pooled = method.class_features(features, self.head.weight.flatten(1))
            losses["loss_softmax"] = self.lam * method.softmax_loss(pooled, self.second.weight.flatten(1), tags)
        return losses

    def classifier_state(self, kind: str) -> dict[str, Tensor]:
        """Weights of a plain classifier whose class activation maps are the re-activated ones."""
        weights = method.map_weights(self.head.weight, self.second.weight, kind)
        return {**self.state_dict(), "head.weight": weights.detach()}
