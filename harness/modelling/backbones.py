"""Backbones as mmseg configurations, and how a name becomes one.

A backbone is a ``BackboneRecord``; its factory maps an output stride to the ``backbone`` dictionary of an mmseg model.
Norm layers are written as ``SyncBN``: ``harness.modelling.mm.build`` turns them into ``BN`` on one device.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from harness.contract import IMAGENET, BackboneRecord, ConfigError, InputRule
from harness.modelling import builtin as records
from harness.registry import did_you_mean, resolve

if TYPE_CHECKING:
    from harness.contract.protocol import BackboneSettings

FROM_CONFIG = "config"
"""The backbone name that keeps the ``backbone`` of the segmenter configuration."""

_SYNC_BN = {"type": "SyncBN", "requires_grad": True}
_known: dict[str, BackboneRecord] = {record.name: record for record in records.wsss_backbones()}


def use_records(extra: Iterable[BackboneRecord]) -> None:
    """Make backbones of plugins known to this process; the engine calls it before it runs a stage."""
    _known.update((record.name, record) for record in extra)


def find_backbone(name: str) -> BackboneRecord:
    """The record called ``name``.

    Raises:
        ConfigError: No such backbone.
    """
    if name in _known:
        return _known[name]
    family, _, member = name.partition("/")
    if member and family in _known and (make := _known[family].family):
        found: BackboneRecord = resolve(make)(member)
        return found
    raise ConfigError(f"backbone.name: {name!r} is unknown{did_you_mean(name, _known)} (known: {', '.join(_known)})")


def record_of(backbone: BackboneSettings) -> BackboneRecord:
    """The record of a cell's backbone, as its initial weights want it.

    Raises:
        ConfigError: No such backbone.
    """
    record = find_backbone(backbone.name)
    if not backbone.name.startswith("timm/"):
        return record
    from harness.modelling.timm_networks import as_trained

    return as_trained(record, backbone.weights_sha256)


def input_rule(backbone: BackboneSettings | str) -> InputRule:
    """What a backbone wants to see; one of a segmenter configuration has ImageNet's rule.

    Args:
        backbone: A cell's, or the name of one, whatever its weights are.

    Raises:
        ConfigError: No such backbone.
    """
    if isinstance(backbone, str):
        return IMAGENET if backbone == FROM_CONFIG else find_backbone(backbone).inputs
    return IMAGENET if backbone.name == FROM_CONFIG else record_of(backbone).inputs


def backbone_config(record: BackboneRecord, output_stride: int) -> dict[str, Any]:
    """The mmseg ``backbone`` dictionary of ``record`` at ``output_stride``.

    Raises:
        ConfigError: The backbone does not offer that output stride.
    """
    if output_stride not in record.output_strides:
        offered = ", ".join(map(str, record.output_strides))
        raise ConfigError(
            f"output_stride: backbone {record.name!r} has no output stride {output_stride} (has {offered})"
        )
    return dict(resolve(record.factory)(output_stride))


def _at(output_stride: int, network: dict[str, Any]) -> dict[str, Any]:
    """``network``, the configuration at output stride 32, at another one."""
    if output_stride == 32:
        return network
    return {"type": "harness.modelling.atrous.atrous", "network": network, "output_stride": output_stride}


def _mobilenet(widen_factor: float, output_stride: int) -> dict[str, Any]:
    network = {
        "type": "MobileNetV2",
        "widen_factor": widen_factor,
        "out_indices": (1, 2, 4, 6),
        "norm_cfg": dict(_SYNC_BN),
    }
    return _at(output_stride, network)


def mobilenet_v2(output_stride: int) -> dict[str, Any]:
    """MobileNetV2, width 1.0 (arXiv 1801.04381)."""
    return _mobilenet(1.0, output_stride)


def mobilenet_v2_x0_35(output_stride: int) -> dict[str, Any]:
    """MobileNetV2, width 0.35."""
    return _mobilenet(0.35, output_stride)


def _resnet(depth: int, **changes: Any) -> dict[str, Any]:
    return {
        "type": "ResNetV1c",
        "depth": depth,
        "num_stages": 4,
        "out_indices": (0, 1, 2, 3),
        "norm_cfg": dict(_SYNC_BN),
        "norm_eval": False,
        "style": "pytorch",
        **changes,
    }


def resnet18(output_stride: int) -> dict[str, Any]:
    """ResNet-18 V1c (arXiv 1512.03385; three 3x3 convolutions as stem)."""
    return _at(output_stride, _resnet(18))


def resnet50(output_stride: int) -> dict[str, Any]:
    """ResNet-50 V1c."""
    return _at(output_stride, _resnet(50))


def resnet101(output_stride: int) -> dict[str, Any]:
    """ResNet-101 V1c."""
    return _at(output_stride, _resnet(101))


def resnet50_v1(output_stride: int) -> dict[str, Any]:
    """ResNet-50 with the 7x7 stem."""
    return _at(output_stride, _resnet(50, type="ResNet"))


def resnet101_v1(output_stride: int) -> dict[str, Any]:
    """ResNet-101 with the 7x7 stem, the body of DeepLab v2, whose first unit of a stage was dilated like the others."""
    return _at(output_stride, _resnet(101, type="ResNet"))


def res2net101(output_stride: int) -> dict[str, Any]:
    """Res2Net-101 v1b, 26 channels in each of 4 groups (arXiv 1904.01169)."""
    return _at(output_stride, _resnet(101, type="harness.modelling.res2net.Res2Net"))


def vgg16_largefov(output_stride: int) -> dict[str, Any]:
    """VGG16-LargeFOV (arXiv 1412.7062); there is one output stride, 8."""
    return {"type": "harness.modelling.vgg.Vgg16LargeFov"}


_TINY_STRIDES = {
    32: ((1, 2, 2, 2), (1, 1, 1, 1)),
    16: ((1, 2, 2, 1), (1, 1, 1, 2)),
    8: ((1, 2, 1, 1), (1, 1, 2, 4)),
}


def tiny(output_stride: int) -> dict[str, Any]:
    """ResNet-18 V1c with a quarter of the channels, 0.7 M parameters.

    It has mmseg's dilations, of the first filters of a unit alone: there are no weights that were trained at another
    output stride, so there is nothing to be equal to.
    """
    strides, dilations = _TINY_STRIDES[output_stride]
    given = {"strides": strides, "dilations": dilations, "contract_dilation": True}
    return _resnet(18, stem_channels=16, base_channels=16, **given)


def resnet18_x0_125(output_stride: int) -> dict[str, Any]:
    """ResNet-18 V1c with an eighth of the channels, 0.2 M parameters."""
    return _at(output_stride, _resnet(18, stem_channels=8, base_channels=8))


_ATROUS_MIT = "harness.modelling.atrous.AtrousMixVisionTransformer"


def _mit(width: int, layers: list[int], output_stride: int) -> dict[str, Any]:
    return {
        "type": "MixVisionTransformer"
        if output_stride == 32
        else "harness.modelling.atrous.AtrousMixVisionTransformer",
        "embed_dims": width,
        "num_stages": 4,
        "num_layers": layers,
        "num_heads": [1, 2, 5, 8],
        "patch_sizes": [7, 3, 3, 3],
        "strides": [4, 2, 2, 2 if output_stride == 32 else 1],
        "sr_ratios": [8, 4, 2, 1],
        "out_indices": (0, 1, 2, 3),
        "mlp_ratio": 4,
        "qkv_bias": True,
        "drop_rate": 0.0,
        "attn_drop_rate": 0.0,
        "drop_path_rate": 0.1,
    }


def mit_b0(output_stride: int) -> dict[str, Any]:
    """Mix Transformer B0 (arXiv 2105.15203)."""
    return _mit(32, [2, 2, 2, 2], output_stride)


def mit_b2(output_stride: int) -> dict[str, Any]:
    """Mix Transformer B2."""
    return _mit(64, [3, 4, 6, 3], output_stride)
