"""The protocol's classifier with pixel correlation behind its maps, and its training step on two views.

Unusual here: the second view of a batch goes through the network in the same step, so it always follows the first one's
augmentation. Behind a frozen backbone the first view's levels are the stored ones; the small second view is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.contract import ConfigError
from harness.modelling import MODELS, CamClassifier
from wsss_seam import method
from wsss_seam.params import SeamParams

LOW, MIDDLE, EMBEDDING = 64, 128, 192
"""Channels of the two levels and of their embedding together, as released."""


@MODELS.register_module(force=True)
class SeamNetwork(CamClassifier):
    """A classifier that is trained for equivariant maps.

    Args:
        params: Fields of ``SeamParams``.
        channels: Channels of the backbone's levels.
        **classifier: Of the protocol's classifier.

    Raises:
        ConfigError: ``levels`` names one that the backbone does not have.
    """

    def __init__(self, *, params: dict[str, Any], channels: Sequence[int], **classifier: Any) -> None:
        super().__init__(channels=channels, **classifier)
        self.params = SeamParams(**params)
        for level in self.params.levels:
            if not -len(channels) <= level < len(channels):
                raise ConfigError(f"seam: levels: the backbone has {len(channels)} levels, no level {level}")
        low, middle = (channels[level] for level in self.params.levels)
        self.low = nn.Conv2d(low, LOW, 1, bias=False)
        self.middle = nn.Conv2d(middle, MIDDLE, 1, bias=False)
        self.embedding = nn.Conv2d(3 + LOW + MIDDLE, EMBEDDING, 1, bias=False)
        nn.init.kaiming_normal_(self.low.weight)
        nn.init.kaiming_normal_(self.middle.weight)
        nn.init.xavier_uniform_(self.embedding.weight, gain=4)

    def forward_cam(self, x: Tensor) -> Tensor:
        """(B, 3, h, w) normalised float32 -> correlated maps (B, C, h', w') >= 0; channel i is class i + 1."""
        return self.maps(x).rv[:, 1:]

    def maps(self, x: Tensor, present: Tensor | None = None) -> method.Maps:
        """(1) and (2) of one view, on the cells of its features.

        Args:
            x: (B, 3, h, w) normalised float32.
            present: See ``method.activations``.
        """
        levels = self.features(x)
        cam = self.head(functional.dropout2d(self._top(levels), self.params.dropout, self.training))
        if not self.params.pcm:
            positive = cam.relu()
            return method.Maps(cam, torch.cat([1 - method.normalise(positive).amax(1, keepdim=True), positive], 1))
        return method.Maps(
            cam, method.correlate(method.activations(cam, present), self._embedded(x, levels, cam.shape[2:]))
        )

    def losses(self, images: Tensor, tags: Tensor) -> dict[str, Tensor]:
        """(3) to (7) of ``method`` that are not switched off.

        Args:
            images: (B, 3, h, w) normalised float32.
            tags: (B, C) float32 multi-hot; column i is class i + 1.
        """
        height, width = (self.inputs.side(self.params.scale * side) for side in images.shape[2:])
        small = (height, width)
        present = tags if self.params.chosen("compete") == "tagged" else None
        first = self.maps(images, present)
        second = self.maps(_resized(images, small), present)
        size = (first.cam.shape[2], first.cam.shape[3])
        if self.params.chosen("resolution") == "pixels":
            first, second = (
                method.Maps(*(_resized(x, side) for x in maps))
                for maps, side in ((first, images.shape[2:]), (second, small))
            )
            size = small
        channels = 21 if self.params.chosen("hard_count") == "21" else None
        with torch.autocast(images.device.type, enabled=False):
            first, second = (method.Maps(maps.cam.float(), maps.rv.float()) for maps in (first, second))
            losses = method.siamese_losses(first, second, tags, size=size, hard=self.params.hard, channels=channels)
        wanted = {"loss_min": self.params.min_pool, "loss_er": self.params.er, "loss_ecr": self.params.ecr}
        return {name: loss for name, loss in losses.items() if wanted.get(name, True)}

    def _embedded(self, x: Tensor, levels: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Features of pixel correlation, (B, 192, h, w); nothing below them learns from it."""
        low, middle = (levels[level].detach() for level in self.params.levels)
        parts = (x, functional.relu(self.low(low)), functional.relu(self.middle(middle)))
        return self.embedding(torch.cat([_resized(part, size) for part in parts], 1))

    def _top(self, levels: Sequence[Tensor]) -> Tensor:
        """What the head sees, as in the classifier."""
        chosen = [levels[i] for i in self.levels]
        size = max((level.shape[2:] for level in chosen), key=lambda shape: shape.numel())
        return torch.cat([_resized(level, size) for level in chosen], 1)


def _resized(x: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return functional.interpolate(x, tuple(size), mode="bilinear", align_corners=True)
