"""The segmenter that makes its own labels: an ``EncoderDecoder`` of mmseg with a classifier and an affinity.

What is unusual here:

* The maps of the full image come from the training pass itself, and so does the affinity. Smaller or mirrored views
  cost a pass of their own, without gradient.
* In evaluation it is the protocol's network: classifier and affinity are not asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.logging import MessageHub
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional

from harness.contract import ConfigError
from wsss_afa import method
from wsss_afa.attention import attention_layers, on_one_grid, queries_and_keys, watched
from wsss_afa.params import AfaParams

UNFIT = (
    "the segmenter afa reads its affinity from the attention of a Mix Transformer's last stage, which backbone {name} "
    "does not have; choose one of mit_b0, mit_b2, mit_b1_dense or mit_narrow"
)


class _Seen(NamedTuple):
    """What one pass shows: maps of the classes (B, C, h, w), and the affinity (B, N, N) where it is asked for."""

    maps: Tensor
    affinity: Tensor | None


@MODELS.register_module(force=True)
class AfaSegmenter(EncoderDecoder):
    """One network that classifies, relates cells, labels its own training images and segments them.

    Args:
        afa: Fields of ``AfaParams``.
        iterations: Length of the training.
        **kwargs: Of ``EncoderDecoder``.

    Raises:
        ConfigError: The backbone has no attention that an affinity can be read from.
    """

    def __init__(self, *, afa: Mapping[str, Any], iterations: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.afa = AfaParams(**afa)
        layers = attention_layers(self.backbone)
        if layers is None:
            raise ConfigError(UNFIT.format(name=type(self.backbone).__name__))
        self.class_maps = nn.Conv2d(layers[-1].embed_dim, self.num_classes - 1, kernel_size=1, bias=False)
        self.affinity = nn.Conv2d(sum(layer.num_heads for layer in layers), 1, kernel_size=1)
        self.classes_until = round(self.afa.classes_until * iterations)
        self.seeds_until = round(self.afa.seeds_until * iterations)

    def init_weights(self) -> None:
        """Those of the network, and of the affinity as the released code draws them."""
        super().init_weights()
        nn.init.kaiming_normal_(self.affinity.weight, a=math.sqrt(5), mode="fan_out")

    @property
    def lr_multipliers(self) -> Mapping[str, float]:
        """The norm layers of the backbone stay as they are."""
        norms = [name for name, part in self.backbone.named_modules() if isinstance(part, nn.LayerNorm)]
        return {f"backbone.{name}.": 0.0 for name in norms} if self.afa.freeze_norms else {}

    def loss(self, inputs: Tensor, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Losses of a batch: of the classes at first, then of pairs and pixels too.

        Args:
            inputs: (B, 3, H, W) normalised.
            data_samples: With ``tags`` (C,), and ``inside`` (1, H, W) that is 255 outside the image.
        """
        iteration = int(MessageHub.get_current_instance().get_info("iter", 0))
        tags = torch.stack([sample.tags for sample in data_samples]).to(inputs)
        levels, own = self._pass(inputs)
        scores = self.class_maps(functional.adaptive_max_pool2d(levels[-1], 1)).flatten(1)
        losses = {"loss_classes": functional.multilabel_soft_margin_loss(scores, tags)}
        if iteration < self.classes_until:
            return losses
        inside = torch.stack([sample.inside.data[0] for sample in data_samples]) != method.IGNORE
        with torch.no_grad(), torch.autocast(inputs.device.type, enabled=False):
            seeds, labels = self._labels(inputs, own, tags, inside, walk=iteration >= self.seeds_until)
        logits = self.decode_head(self.neck(levels) if self.with_neck else levels)
        logits = _resized(logits.float(), inputs.shape[2:], self.align_corners)
        losses["loss_pixels"] = self.afa.segmentation_weight * method.segmentation_loss(logits, labels)
        if own.affinity is not None:
            cells = functional.interpolate(seeds[:, None].float(), own.maps.shape[2:])[:, 0].long()
            target = method.pair_targets(cells, self._window(own))
            losses["loss_pairs"] = self.afa.affinity_weight * method.affinity_loss(own.affinity, target)
        return losses

    def _pass(self, images: Tensor) -> tuple[Sequence[Tensor], _Seen]:
        """The levels of the backbone for normalised images (B, 3, H, W), and what follows from its last one."""
        layers = attention_layers(self.backbone)
        assert layers is not None
        with watched(layers) as runs:
            levels = self.backbone(images)
        with torch.autocast(images.device.type, enabled=False):
            maps = functional.conv2d(levels[-1].detach().float(), self.class_maps.weight.detach())
            return levels, _Seen(maps, self._affinity(layers, runs, maps) if self.afa.affinity else None)

    def _affinity(self, layers: Sequence[Any], runs: Sequence[list[Tensor]], maps: Tensor) -> Tensor:
        pairs = [
            queries_and_keys(layer, on_one_grid(parts, (maps.shape[2], maps.shape[3])).float())
            for layer, parts in zip(layers, runs, strict=True)
        ]
        queries, keys = (torch.cat(side, 1) for side in zip(*pairs, strict=True))
        assert self.affinity.bias is not None
        weight = self.affinity.weight.flatten() * self.afa.attention_scale
        return method.affinity(queries, keys, weight, self.affinity.bias)

    def _labels(self, inputs: Tensor, own: _Seen, tags: Tensor, inside: Tensor, *, walk: bool) -> tuple[Tensor, Tensor]:
        """Labels for the pairs and labels for the pixels, (B, H, W) int64 each."""
        cams, largest = self._views(inputs, own)
        classes, used = method.present_planes(tags)
        size = [side // 2 if self.afa.par else side for side in inputs.shape[2:]]
        scores, seeds = (self.afa.background_high, self.afa.background_low), _resized(cams, size)
        planes = [method.probabilities(seeds, score, classes, used) for score in scores]
        if walk and largest.affinity is not None:
            cells, window = _resized(cams, largest.maps.shape[2:]), self._window(largest)
            for score in scores:
                start = method.probabilities(cells, score, classes, used)
                planes.append(_resized(method.walked(start, largest.affinity, window, self.afa.power), size))
        named = self._named(planes, inputs, classes)
        labels = [method.agreed_label(*both, inside) for both in zip(named[::2], named[1::2], strict=True)]
        return labels[0], labels[-1]

    def _views(self, inputs: Tensor, own: _Seen) -> tuple[Tensor, _Seen]:
        """Class activation maps (B, C, H, W) of all scales, and what the pass of the largest one shows."""
        planes, seen = [], {1.0: own}
        for scale in self.afa.scales:
            images = inputs if scale == 1.0 else _resized(inputs, [round(side * scale) for side in inputs.shape[2:]])
            if scale not in seen:
                seen[scale] = self._pass(images)[1]
            mirrored = self._pass(images.flip(-1))[1].maps if self.afa.mirrors(scale) else None
            planes.append((seen[scale].maps, mirrored))
        return method.class_maps(planes, (inputs.shape[2], inputs.shape[3])), seen[max(self.afa.scales)]

    def _named(self, planes: Sequence[Tensor], inputs: Tensor, classes: Tensor) -> list[Tensor]:
        """The class of each pixel by each group of planes, which the refinement moves side by side."""
        together = torch.cat(list(planes), 1)
        if self.afa.par:
            images = inputs / self.data_preprocessor.scale + self.data_preprocessor.mean
            around = method.neighbourhood(_resized(images, together.shape[2:]), self.afa.dilations)
            together = method.refined(together, around, self.afa.refinements)
        whole = _resized(together, inputs.shape[2:])
        return [method.named(part, classes) for part in whole.chunk(len(planes), 1)]

    def _window(self, seen: _Seen) -> Tensor:
        return method.pair_window((seen.maps.shape[2], seen.maps.shape[3]), self.afa.radius, seen.maps.device)


def _resized(maps: Tensor, size: Sequence[int], align_corners: bool = False) -> Tensor:
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    return functional.interpolate(maps, tuple(size), mode="bilinear", align_corners=align_corners)
