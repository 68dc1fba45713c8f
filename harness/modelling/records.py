"""The backbones that the harness ships, as records. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import BackboneRecord, Card, hookimpl

_IMAGENET = "ImageNet-1k"
_ODD_SIDES = "odd sides 32k+1 (161, 225, 289, 321) suit weights that were trained with 'SAME' padding"
_MIT = "https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/mit_b0_20220624-7e0fe6dd.pth"


def _mobilenet(name: str, channels: tuple[int, ...], init: str | None) -> BackboneRecord:
    return BackboneRecord(
        name,
        factory=f"harness.modelling.backbones:{name.replace('.', '_')}",
        summary=f"MobileNetV2, {channels[-1]} channels",
        card=Card("MobileNetV2: Inverted Residuals and Linear Bottlenecks", paper="arXiv 1801.04381", year=2018),
        channels=channels,
        output_strides=(8, 16, 32),
        init=init,
        trained_on=_IMAGENET if init else None,
        size_rule=_ODD_SIDES,
    )


def _resnet(depth: int, channels: tuple[int, ...]) -> BackboneRecord:
    return BackboneRecord(
        f"resnet{depth}",
        factory=f"harness.modelling.backbones:resnet{depth}",
        summary=f"ResNet-{depth} with the deep stem of mmseg's V1c variant",
        card=Card("Deep Residual Learning for Image Recognition", paper="arXiv 1512.03385", year=2016),
        channels=channels,
        output_strides=(8, 16, 32),
        init=f"open-mmlab://resnet{depth}_v1c",
        trained_on=_IMAGENET,
    )


@hookimpl
def wsss_backbones() -> Iterator[BackboneRecord]:
    """MobileNetV2, ResNet, MiT and a tiny network for machines without an accelerator."""
    yield _mobilenet("mobilenet_v2", (24, 32, 96, 320), "mmcls://mobilenet_v2")
    yield _mobilenet("mobilenet_v2_x0.35", (8, 16, 32, 112), None)
    yield _resnet(18, (64, 128, 256, 512))
    yield _resnet(50, (256, 512, 1024, 2048))
    yield _resnet(101, (256, 512, 1024, 2048))
    yield BackboneRecord(
        "mit_b0",
        factory="harness.modelling.backbones:mit_b0",
        summary="Mix Transformer B0, the backbone of SegFormer",
        card=Card("SegFormer: Simple and Efficient Design", paper="arXiv 2105.15203", year=2021),
        channels=(32, 64, 160, 256),
        output_strides=(16, 32),
        init=_MIT,
        trained_on=_IMAGENET,
    )
    yield BackboneRecord(
        "tiny",
        factory="harness.modelling.backbones:tiny",
        summary="ResNet-18 with 16 base channels: trains from random weights on a CPU at 64 to 96 pixels",
        channels=(16, 32, 64, 128),
        output_strides=(8, 16, 32),
    )
