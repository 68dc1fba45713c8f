"""What a forward pass costs, counted on tensors without memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from harness.modelling import classifier, mm
from harness.modelling.backbones import backbone_config, find_backbone
from harness.modelling.segmenter import build_config

if TYPE_CHECKING:
    from harness.contract.protocol import BackboneSettings, ClassifierSettings, SegmenterSettings


def classifier_flops(settings: ClassifierSettings, backbone: BackboneSettings, num_classes: int, side: int) -> int:
    """Floating-point operations of the protocol's classifier on one image of ``side`` x ``side`` pixels."""
    record = find_backbone(backbone.name)
    model = {
        "type": classifier.CamClassifier.__name__,
        "backbone": backbone_config(record, settings.output_stride),
        "channels": record.channels,
        "levels": settings.levels,
        "num_classes": num_classes - 1,
    }
    return _count(model, side)


def segmenter_flops(settings: SegmenterSettings, backbone: BackboneSettings, num_classes: int, side: int) -> int:
    """Floating-point operations of the protocol's segmenter on one image, its auxiliary heads left aside."""
    model = dict(build_config(settings, backbone, num_classes).model)
    model.pop("auxiliary_head", None)
    return _count(model, side)


def _count(model: dict[str, Any], side: int) -> int:
    """Multiplications and additions count one each, in convolutions and matrix products alone."""
    network = _hollow(model)
    network.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, side, side, device="meta"))
    return int(counter.get_total_flops())


def _hollow(model: dict[str, Any]) -> nn.Module:
    """The network on the meta device, where nothing is drawn at random and nothing takes room."""
    try:
        with torch.device("meta"):
            return mm.build(model)
    except RuntimeError:  # mmseg's MiT reads numbers from tensors while it is built
        return mm.build(model).to("meta")
