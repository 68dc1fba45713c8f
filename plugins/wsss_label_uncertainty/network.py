"""mmseg modules: a head with a variance beside every mean, and a sampler of two streams.

Unusual here: the variance is one more 1x1 convolution on what the head's own ``conv_seg`` sees, found by a forward
hook. So every head that ends in ``conv_seg`` can be used, its parameters keep their names and start from the protocol's
values, and in evaluation it is the ordinary head.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmengine.logging import MessageHub
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import DATA_SAMPLERS, MODELS
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Sampler

from harness.contract import ConfigError
from wsss_label_uncertainty.loss import LabelUncertaintyLoss
from wsss_label_uncertainty.method import Labels

FLOOR = 1e-6
"""Smallest variance: 0 would be a label that is trusted whatever the picture shows."""
UNIT = math.log(math.expm1(1.0))
"""Its softplus is 1, the initial variance."""


def uncertain(heads: Any, loss: Mapping[str, Any], *, shared_variance: bool) -> Any:
    """The configuration of a head, or of a list of heads, with variances and the loss of this method.

    Args:
        heads: mmseg head configuration(s).
        loss: Arguments of ``LabelUncertaintyLoss``; the head's own ``loss_weight`` stays.
        shared_variance: One variance for all classes.

    Raises:
        ConfigError: The head samples pixels or has a loss of its own.
    """
    if isinstance(heads, list):
        return [uncertain(head, loss, shared_variance=shared_variance) for head in heads]
    head = dict(heads)
    base = head.pop("type")
    loss_decode = head.pop("loss_decode", {})
    if head.pop("sampler", None) is not None:
        raise ConfigError(f"segmenter.config: {base}: label_uncertainty learns from all pixels, remove sampler")
    _uncertain_class(base)
    classes = head["num_classes"]
    weight = (loss_decode[0] if isinstance(loss_decode, list) else loss_decode).get("loss_weight", 1.0)
    return {
        "type": "UncertainHead",
        "base": base,
        "variances": 1 if shared_variance or classes == 2 else classes,
        **head,
        "loss_decode": {"type": LabelUncertaintyLoss.__name__, **loss, "loss_weight": weight},
    }


@MODELS.register_module(name="UncertainHead", force=True)
def build_uncertain_head(base: str, **kwargs: Any) -> BaseDecodeHead:
    """A head of the registered type ``base`` that also predicts variances."""
    head: BaseDecodeHead = _uncertain_class(base)(**kwargs)
    return head


@cache
def _uncertain_class(base: str) -> type[Any]:
    """The head class ``base`` with ``WithVariance`` in front."""
    registered = MODELS.get(base)
    if not (isinstance(registered, type) and issubclass(registered, BaseDecodeHead)):
        raise ConfigError(f"segmenter.config: {base} is no mmseg decode head")
    head: Any = registered  # mypy takes it for a bare type from here on
    if head.loss_by_feat is not BaseDecodeHead.loss_by_feat:
        raise ConfigError(f"segmenter.config: {base} has a loss of its own, which label_uncertainty would replace")
    return type(f"Uncertain{base}", (WithVariance, head), {"__module__": __name__})


class WithVariance(BaseDecodeHead):
    """In front of a decode head class: predicts variances while training, and hands them to the loss.

    Args:
        variances: Channels, one for each class or a single one.
        **kwargs: Of the head.
    """

    def __init__(self, *, variances: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(self.conv_seg, nn.Conv2d):
            raise ConfigError(f"segmenter.config: {type(self).__name__}: the head does not end in conv_seg")
        self.conv_variance = nn.Conv2d(self.conv_seg.in_channels, variances, kernel_size=1)
        self.conv_seg.register_forward_hook(self._see)
        self._raw: Tensor | None = None

    def init_weights(self) -> None:
        """The head's own, and variance 1 everywhere."""
        super().init_weights()
        nn.init.zeros_(self.conv_variance.weight)
        assert self.conv_variance.bias is not None
        nn.init.constant_(self.conv_variance.bias, UNIT)

    def _see(self, conv: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        if self.training:
            self._raw = self.conv_variance(inputs[0])

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """The loss of means ``(B, K, h, w)`` against the labels of ``batch_data_samples``."""
        raw, self._raw = self._raw, None
        if raw is None or not isinstance(seg_logits, Tensor):
            raise ConfigError(f"segmenter.config: {type(self).__name__}: the head's output is not that of conv_seg")
        labels = Labels(
            *(
                torch.stack([getattr(sample, name).data[0] for sample in batch_data_samples]).long()
                for name in ("gt_sem_seg", "origin", "beneath")
            )
        )
        means, raw = (self._upsampled(maps, labels.label.shape[1:]) for maps in (seg_logits, raw))
        iteration = MessageHub.get_current_instance().get_info("iter", 0)
        return {"loss_label_uncertainty": self.loss_decode(means, functional.softplus(raw) + FLOOR, labels, iteration)}

    def _upsampled(self, maps: Tensor, size: torch.Size) -> Tensor:
        """In single precision at least, because a softplus and a quantile need it."""
        maps = maps.float() if maps.dtype in (torch.float16, torch.bfloat16) else maps
        return resize(maps, size=tuple(size), mode="bilinear", align_corners=self.align_corners)


@DATA_SAMPLERS.register_module(force=True)
class TwoStreams(Sampler[int]):
    """An endless stream that mixes two: a fixed share of every stretch of it comes from the ids in ``first``.

    Each stream is shuffled epoch after epoch by (seed, stream, epoch) alone. With several processes each takes every
    world-size-th sample. If one stream is empty, the other takes its place.
    """

    def __init__(self, dataset: Any, first: Collection[str], share: float, seed: int) -> None:
        chosen = frozenset(first)
        of_first = np.array([image_id in chosen for image_id in dataset.ids], bool)
        self._streams = (np.flatnonzero(of_first), np.flatnonzero(~of_first))
        self._share = 1.0 if of_first.all() else share if of_first.any() else 0.0
        self._seed = seed
        self._rank, self._world = get_dist_info()
        self._skipped = 0

    def skip(self, samples: int) -> None:
        """Start ``samples`` of this process later."""
        self._skipped += samples

    def __iter__(self) -> Iterator[int]:
        orders: dict[int, tuple[int, np.ndarray]] = {}
        position = self._skipped * self._world + self._rank
        while True:
            before = math.floor(position * self._share)
            from_first = math.floor((position + 1) * self._share) > before
            stream, count = (0, before) if from_first else (1, position - before)
            epoch, place = divmod(count, len(self._streams[stream]))
            if orders.get(stream, (-1,))[0] != epoch:
                rng = np.random.default_rng((self._seed, stream, epoch))
                orders[stream] = (epoch, rng.permutation(self._streams[stream]))
            yield int(orders[stream][1][place])
            position += self._world
