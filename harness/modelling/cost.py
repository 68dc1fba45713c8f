"""What a forward pass costs, counted on tensors of the meta device, which take no memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from harness.modelling.backbones import backbone_config, record_of
from harness.modelling.classifier import classifier_config
from harness.modelling.probe import hollow
from harness.modelling.segmenter import build_config

if TYPE_CHECKING:
    from harness.contract.protocol import BackboneSettings, ClassifierSettings, FreezeSettings, SegmenterSettings


def classifier_flops(settings: ClassifierSettings, backbone: BackboneSettings, num_classes: int, side: int) -> int:
    """Floating-point operations of the protocol's classifier on one image of ``side`` x ``side`` pixels."""
    return _count(classifier_config(settings, backbone, num_classes), side)


def segmenter_flops(settings: SegmenterSettings, backbone: BackboneSettings, num_classes: int, side: int) -> int:
    """Floating-point operations of the protocol's segmenter on one image, without its auxiliary heads."""
    model = dict(build_config(settings, backbone, num_classes).model)
    model.pop("auxiliary_head", None)
    return _count(model, side)


def freeze_flops(settings: FreezeSettings, backbone: BackboneSettings, num_classes: int, side: int) -> int:
    """Floating-point operations of the backbone alone."""
    return _count(backbone_config(record_of(backbone), settings.output_stride), side)


def _count(model: dict[str, Any], side: int) -> int:
    """Count multiplications and additions, one each, in convolutions and matrix products alone."""
    network = hollow(model)
    network.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, side, side, device="meta"))
    return int(counter.get_total_flops())
