"""Encoder-decoders that learn from a few labelled pixels: tree energy loss, and the losses of What's the Point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.utils import add_prefix
from torch import Tensor
from torch.nn import functional

from harness.contract import IGNORE, ConfigError
from wsss_tree_energy.method import edge_distances, image_level, object_level, point_level, tree_energy
from wsss_tree_energy.params import INSIDE, OBJECTNESS, STEPS

CLASSES = "classes{}"
"""Extra targets: the classes of the whole image, seven in each, as bits of one number that all its pixels have."""
CLASSES_EACH = 7


@dataclass(frozen=True)
class Batch:
    """What the losses look at.

    Attributes:
        inputs: (B, 3, H, W) normalised float32.
        labels: (B, H, W) int64, 255 = unlabelled or outside the image.
        maps: The extra targets by name, (B, H, W) uint8, 255 outside the image.
        corners: Whether cells lie at multiples of the stride, from corner to corner.
    """

    inputs: Tensor
    labels: Tensor
    maps: dict[str, Tensor]
    corners: bool

    @property
    def inside(self) -> Tensor:
        """(B, H, W) bool, False in padding."""
        return next(iter(self.maps.values())) != IGNORE


def at_cells(mask: Tensor, size: Sequence[int], *, corners: bool) -> Tensor:
    """(B, H, W) of any type, one pixel for each cell: (B, h, w)."""
    for axis, cells in ((1, size[0]), (2, size[1])):
        pixels = mask.shape[axis]
        at = torch.arange(cells, device=mask.device)
        place = (at * ((pixels - 1) / max(cells - 1, 1))).round() if corners else at * pixels / cells
        mask = mask.index_select(axis, place.long())
    return mask


class SparselyLabelled(EncoderDecoder):
    """An encoder-decoder whose losses see images, labels, logits and what the logits are computed from."""

    extra_targets: tuple[str, ...]

    def loss(self, inputs: Tensor, data_samples: list[Any]) -> dict[str, Tensor]:
        """Losses by name."""
        levels = self.extract_feat(inputs)
        logits, features = self._decoded(levels)
        labels = torch.stack([sample.gt_sem_seg.data for sample in data_samples])[:, 0]
        maps = {
            name: torch.stack([sample.get(name).data for sample in data_samples])[:, 0] for name in self.extra_targets
        }
        batch = Batch(inputs, labels, maps, self.decode_head.align_corners)
        losses: dict[str, Tensor] = add_prefix(self.losses(logits, features, batch, data_samples), "decode")
        if self.with_auxiliary_head:
            losses |= self._auxiliary_head_forward_train(levels, data_samples)
        return losses

    def losses(self, logits: Tensor, features: Tensor, batch: Batch, data_samples: list[Any]) -> dict[str, Any]:
        """Losses of the decode head by name.

        Args:
            logits: (B, C, h, w).
            features: (B, D, h, w), what the last layer of the head classifies.
            batch: Images, labels, extra targets.
            data_samples: The same as the head's own losses take it.
        """
        raise NotImplementedError

    def _decoded(self, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits of the head and the input of its last layer, before dropout."""
        head = self.decode_head
        last = head.conv_seg if head.dropout is None else head.dropout
        seen: list[Tensor] = []
        handle = last.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        try:
            logits = head(levels)
        finally:
            handle.remove()
        if not seen:
            raise ConfigError(f"segmenter.config: {type(head).__name__} does not classify by its layer conv_seg")
        return logits, seen[-1]


@MODELS.register_module()
class TreeEnergySegmentor(SparselyLabelled):
    """An encoder-decoder with tree energy loss beside the losses of its head.

    The embedding, as in the released code a 1x1 convolution, BatchNorm and ReLU on what the head classifies, exists in
    training alone.

    Args:
        levels: ``low`` and ``high`` in the order in which probabilities are filtered.
        weight: lambda.
        sigma: Of the low level.
        official: As the released code: paths run through padding, and pixels are sampled between corners.
        **kwargs: Of mmseg's ``EncoderDecoder``.
    """

    extra_targets = (INSIDE,)

    def __init__(self, *, levels: Sequence[str], weight: float, sigma: float, official: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._levels, self._weight, self._sigma, self._official = tuple(levels), weight, sigma, official
        if "high" in levels:
            head = self.decode_head
            self.embedding = ConvModule(head.channels, head.channels, 1, bias=False, norm_cfg=head.norm_cfg)

    def losses(self, logits: Tensor, features: Tensor, batch: Batch, data_samples: list[Any]) -> dict[str, Any]:
        """The head's own losses and ``loss_tree``."""
        size, corners = logits.shape[2:], batch.corners and not self._official
        inside = at_cells(batch.inside, size, corners=corners)
        unlabelled = inside & (at_cells(batch.labels, size, corners=corners) == IGNORE)
        outside = None if self._official else ~inside
        trees = []
        for level in self._levels:
            if level == "low":
                colours = self._colours(
                    functional.interpolate(batch.inputs, size, mode="bilinear", align_corners=corners)
                )
                trees.append((edge_distances(colours, outside), self._sigma))
            else:
                trees.append((edge_distances(self.embedding(features), outside), 1.0))
        losses: dict[str, Any] = self.decode_head.loss_by_feat(logits, data_samples)
        losses["loss_tree"] = self._weight * tree_energy(logits.softmax(1), unlabelled, trees)
        return losses

    def _colours(self, inputs: Tensor) -> Tensor:
        """Normalised images as RGB in [0, 1]."""
        preprocessor = self.data_preprocessor
        return (inputs / preprocessor.scale + preprocessor.mean) / 255


@MODELS.register_module()
class WhatsThePointSegmentor(SparselyLabelled):
    """An encoder-decoder with the losses of What's the Point in place of those of its decode head.

    A class that the image has, but of which the crop shows no labelled pixel, has no say in the crop. The first class,
    the background, is never absent.

    Args:
        extra_targets: Names of the maps: the classes of the image, perhaps ``objectness``.
        image_level: With equation 4.
        **kwargs: Of mmseg's ``EncoderDecoder``.
    """

    def __init__(self, *, extra_targets: Sequence[str], image_level: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.extra_targets, self._image_level = tuple(extra_targets), image_level

    def losses(self, logits: Tensor, features: Tensor, batch: Batch, data_samples: list[Any]) -> dict[str, Any]:
        """``loss_points``, and ``loss_image`` and ``loss_object`` where they are asked for."""
        size, corners = logits.shape[2:], batch.corners
        full = functional.interpolate(logits, batch.labels.shape[1:], mode="bilinear", align_corners=corners)
        losses = {"loss_points": point_level(full, batch.labels).mean()}
        inside, scores = at_cells(batch.inside, size, corners=corners), logits.softmax(1)
        if self._image_level:
            has = classes_of(batch.maps, logits.shape[1])
            labelled = functional.one_hot(batch.labels.clamp(max=logits.shape[1]), logits.shape[1] + 1)
            seen = labelled.flatten(1, 2).amax(1)[:, :-1].bool()
            absent = ~has
            absent[:, 0] = False
            losses["loss_image"] = image_level(scores, has & seen, absent, inside).mean()
        if OBJECTNESS in batch.maps:
            prior = at_cells(batch.maps[OBJECTNESS], size, corners=corners).float().clamp(max=STEPS) / STEPS
            losses["loss_object"] = object_level(scores, prior, inside).mean()
        return losses


def classes_of(maps: dict[str, Tensor], count: int) -> Tensor:
    """(B, C) bool, the classes that each whole image has, from the extra targets ``classes0``, ``classes1`` ..."""
    planes = [maps[CLASSES.format(plane)] for plane in range(-(-count // CLASSES_EACH))]
    numbers = torch.stack([plane.flatten(1).amin(1) for plane in planes], dim=1)  # padding is 255, above all of them
    bits = numbers[:, :, None] >> torch.arange(CLASSES_EACH, device=numbers.device) & 1
    return bits.flatten(1)[:, :count].bool()
