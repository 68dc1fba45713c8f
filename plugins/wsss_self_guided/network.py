"""The single network: class scores and segmentation on one trunk, with the labels made inside the training step.

Unusual here: labels are never stored. A second copy of trunk and class head, the *label network*, holds what the labels
are made from whenever that is not the network of the current step: its weights of some epochs ago (``period``), or
those of the last epoch before the foreground drifted away. Labels therefore follow every augmentation exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.contract import IGNORE, Context, View
from harness.maps import Affinity, feature_affinity
from harness.modelling import MODELS, CamClassifier, Sample, TrainingSet, Uint8Preprocessor, input_rule, multi_hot
from wsss_self_guided import method
from wsss_self_guided.params import SelfGuidedParams

DRIFT = (0.5, 2.0)
"""Foreground share of the labels relative to that of the first epoch, beyond which they are no longer followed."""


class TaggedImages(TrainingSet):
    """Images with tags, and where the crop lies on the image: the map of each sample is 0, and 255 on padding."""

    @classmethod
    def of(cls, view: View, ctx: Context, *, axis: str) -> TaggedImages:
        """The images of ``view`` under the classifier's augmentation."""
        return cls(
            view.ids,
            view.image,
            settings=ctx.settings["classifier"].augment,
            seed=ctx.seed(axis),
            maps=lambda image_id: [np.zeros(view.size(image_id), np.uint8)],
            tags=multi_hot(view, ctx.num_classes),
            padding=input_rule(ctx.settings["backbone"]).padding,
        )

    def collate(self, samples: Sequence[Sample]) -> dict[str, Any]:
        """``inputs``, ``ids``, ``tags`` and ``valid`` (B, h, w) bool."""
        valid = np.stack([sample.maps[0] != IGNORE for sample in samples if sample.maps is not None])
        return {**super().collate(samples), "valid": torch.from_numpy(valid)}


@MODELS.register_module(force=True)
class GuidePreprocessor(Uint8Preprocessor):
    """Adds the guide: the crop in [0, 1], *not* normalised, (B, 3, h, w) float32."""

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """What ``SelfGuidedNetwork.forward`` takes."""
        device = self.mean.device
        guide = data["inputs"].to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
        return {
            "inputs": self.normalise(data["inputs"]),
            "guide": guide,
            "tags": data["tags"].to(device, non_blocking=True),
            "valid": data["valid"].to(device, non_blocking=True),
        }


@MODELS.register_module(force=True)
class SelfGuidedNetwork(CamClassifier):
    """The protocol's classifier with a segmentation head and the training step (1) to (5) of ``method``.

    Args:
        params: Fields of ``SelfGuidedParams``; ``alpha`` must be a number.
        epoch: Training steps of an epoch.
        classifier: Configuration of the classifier.
    """

    def __init__(self, *, params: dict[str, Any], epoch: int, **classifier: Any) -> None:
        super().__init__(data_preprocessor={"type": GuidePreprocessor.__name__}, **classifier)
        self.params = SelfGuidedParams(**params)
        self.seg = nn.Conv2d(self.head.in_channels, self.head.out_channels + 1, 1)
        nn.init.normal_(self.seg.weight, std=0.01)
        assert self.seg.bias is not None
        nn.init.zeros_(self.seg.bias)
        self.label_backbone, self.label_head = deepcopy(self.backbone), deepcopy(self.head)
        self.label_backbone.requires_grad_(False)
        self.label_head.requires_grad_(False)
        self.register_buffer("pixels", torch.zeros(2, dtype=torch.float64))  # foreground, labelled; of this epoch
        self.epoch = epoch
        self.step = 0
        self.frozen = False
        self.shares: list[float] = []

    def begin(self, classifier: dict[str, Tensor]) -> None:
        """Start from the weights of the warmed-up classifier."""
        self.load_state_dict({**self.state_dict(), **classifier})
        self.remember()

    @torch.no_grad()
    def remember(self) -> None:
        """The label network becomes a copy of the network."""
        self.label_backbone.load_state_dict(self.backbone.state_dict())
        self.label_head.load_state_dict(self.head.state_dict())

    def classifier_state(self) -> dict[str, Tensor]:
        """Weights, as a plain classifier, of the network that final labels come from."""
        parts = (self.label_backbone, self.label_head) if self.frozen else (self.backbone, self.head)
        pairs = zip(("backbone", "head"), parts, strict=True)
        return {f"{name}.{key}": value for name, part in pairs for key, value in part.state_dict().items()}

    def train(self, mode: bool = True) -> SelfGuidedNetwork:
        """The label network keeps its statistics."""
        super().train(mode)
        self.label_backbone.eval()
        return self

    def forward(  # type: ignore[override]  # mmengine calls it with what the preprocessor returns
        self,
        inputs: Tensor,
        guide: Tensor | None = None,
        tags: Tensor | None = None,
        valid: Tensor | None = None,
        mode: str = "tensor",
    ) -> Any:
        """Segmentation logits (B, 1 + C, h, w), or with ``mode="loss"`` the losses of a training step."""
        levels = self.features(inputs)
        top = self._top(levels)
        if mode != "loss":
            return self.segment(top)
        assert guide is not None
        assert tags is not None
        assert valid is not None
        scores = self.head(top)
        losses = {"loss_cls": method.classification_loss(scores.mean((2, 3)), tags)}
        slots = method.class_slots(tags)
        affinity = self._affinity(levels, valid)
        labels = self._labels(inputs, guide, scores, affinity, slots=slots, valid=valid)
        logits = method.resize(self.segment(top).float(), guide.shape[-2:])
        losses["loss_seg"] = self.params.seg_weight * method.balanced_cross_entropy(logits, labels)
        if self.params.affinity_loss > 0:
            maps = self._maps(scores.float(), slots, affinity, valid)[:, 1:]
            energy = method.affinity_energy_loss(maps, affinity, slots[:, 1:] > 0)
            losses["loss_affinity"] = self.params.affinity_loss * energy
        self._follow(labels)
        return losses

    def segment(self, top: Tensor) -> Tensor:
        """Segmentation logits (B, 1 + C, h, w); channels of a cell are standardised first.

        The learning rate is that of a head behind a global mean. On single cells, whose features are far longer than
        their mean, plain stochastic gradient descent diverges at it.
        """
        cells = functional.layer_norm(top.permute(0, 2, 3, 1), top.shape[1:2])
        return self.seg(cells.permute(0, 3, 1, 2))

    @torch.no_grad()
    def _labels(
        self, inputs: Tensor, guide: Tensor, scores: Tensor, affinity: Affinity, *, slots: Tensor, valid: Tensor
    ) -> Tensor:
        """(1) to (4), (B, H, W) int64; from the label network where that is not the network itself."""
        if self.frozen or self.params.period:
            levels = list(self.label_backbone(inputs))
            scores, affinity = self.label_head(self._top(levels)), self._affinity(levels, valid)
        with torch.autocast(inputs.device.type, enabled=False):
            maps = self._maps(scores.detach().float(), slots, affinity, valid)
            walked = affinity if self.params.affinity else None
            refined = method.refine_maps(maps, walked, guide, slots >= 0, self.params)
            return method.dense_labels(refined, slots, margin=self.params.margin, valid=valid)

    def _maps(self, scores: Tensor, slots: Tensor, affinity: Affinity, valid: Tensor) -> Tensor:
        """(1) on the grid of the affinity."""
        assert self.params.alpha is not None
        size = affinity.size
        inside = method.resize(valid[:, None].float(), size)[:, 0] > 0.5
        scores = method.resize(method.in_slots(scores, slots), size)
        present = method.detected(scores, slots, self.params.min_peak, inside)
        return method.localization_maps(scores, present, self.params.alpha, inside)

    def _affinity(self, levels: Sequence[Tensor], valid: Tensor) -> Affinity:
        """Between cells of the crop that lie on the image."""
        chosen = [levels[i] for i in self.params.levels]
        size = max((level.shape[2:] for level in chosen), key=lambda shape: shape.numel())
        inside = method.resize(valid[:, None].float(), size)[:, 0] > 0.5
        return feature_affinity(chosen, radius=self.params.radius, tau=self.params.tau, valid=inside)

    def _top(self, levels: Sequence[Tensor]) -> Tensor:
        """What the heads see, as in the classifier."""
        chosen = [levels[i] for i in self.levels]
        size = max((level.shape[2:] for level in chosen), key=lambda shape: shape.numel())
        return torch.cat([method.resize(level, size) for level in chosen], 1) if len(chosen) > 1 else chosen[0]

    @torch.no_grad()
    def _follow(self, labels: Tensor) -> None:
        """Count the foreground; at the end of an epoch renew the label network, or freeze it when labels drift."""
        labelled = labels != IGNORE
        self.pixels += torch.stack([(labelled & (labels > 0)).sum(), labelled.sum()])
        self.step += 1
        if self.step % self.epoch:
            return
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(self.pixels)
        foreground, total = self.pixels.tolist()
        self.pixels.zero_()
        self.shares.append(foreground / max(total, 1.0))
        low, high = (bound * self.shares[0] for bound in DRIFT)
        if self.params.drift_guard and not low <= self.shares[-1] <= high:
            self.frozen = True
        if not self.frozen and len(self.shares) % max(self.params.period, 1) == 0:
            self.remember()

    def get_extra_state(self) -> dict[str, Any]:
        """What a resume needs beside tensors."""
        return {"step": self.step, "frozen": self.frozen, "shares": list(self.shares)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Continue where ``get_extra_state`` was called."""
        self.step, self.frozen, self.shares = state["step"], state["frozen"], list(state["shares"])
