"""Backbones, the refiner that needs a network, and mmseg's data sets, as records. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import CLASSIFIER, BackboneRecord, Card, DatasetRecord, InputRule, RefinerRecord, hookimpl
from harness.maps.params import AffinityWalkParams
from harness.modelling.mmseg_params import MmsegParams

_IMAGENET = "ImageNet-1k"
_MIT = "https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/"
_RESNET = Card("Deep Residual Learning for Image Recognition", paper="arXiv 1512.03385", year=2016)


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
    )


def _resnet(depth: int, channels: tuple[int, ...]) -> BackboneRecord:
    return BackboneRecord(
        f"resnet{depth}",
        factory=f"harness.modelling.backbones:resnet{depth}",
        summary=f"ResNet-{depth} with the deep stem of mmseg's V1c variant",
        card=_RESNET,
        channels=channels,
        output_strides=(8, 16, 32),
        init=f"open-mmlab://resnet{depth}_v1c",
        trained_on=_IMAGENET,
    )


def _resnet_v1(depth: int) -> BackboneRecord:
    return BackboneRecord(
        f"resnet{depth}_v1",
        factory=f"harness.modelling.backbones:resnet{depth}_v1",
        summary=f"ResNet-{depth} with the 7x7 stem, as torchvision has it",
        card=_RESNET,
        channels=(256, 512, 1024, 2048),
        output_strides=(8, 16, 32),
        init=f"torchvision://resnet{depth}",
        trained_on=_IMAGENET,
    )


def _mit(size: str, channels: tuple[int, ...], weights: str) -> BackboneRecord:
    return BackboneRecord(
        f"mit_{size}",
        factory=f"harness.modelling.backbones:mit_{size}",
        summary=f"Mix Transformer {size.upper()}, a backbone of SegFormer",
        card=Card("SegFormer: Simple and Efficient Design", paper="arXiv 2105.15203", year=2021),
        channels=channels,
        output_strides=(16, 32),
        init=_MIT + weights,
        trained_on=_IMAGENET,
    )


@hookimpl
def wsss_backbones() -> Iterator[BackboneRecord]:
    """MobileNetV2, ResNet, Res2Net, VGG, MiT, and a tiny network for machines without an accelerator."""
    yield _mobilenet("mobilenet_v2", (24, 32, 96, 320), "mmcls://mobilenet_v2")
    yield _mobilenet("mobilenet_v2_x0.35", (8, 16, 32, 112), None)
    yield _resnet(18, (64, 128, 256, 512))
    yield _resnet(50, (256, 512, 1024, 2048))
    yield _resnet(101, (256, 512, 1024, 2048))
    yield _resnet_v1(50)
    yield _resnet_v1(101)
    yield BackboneRecord(
        "res2net101",
        factory="harness.modelling.backbones:res2net101",
        summary="Res2Net-101 v1b, 26 channels in each of 4 groups",
        card=Card("Res2Net: A New Multi-scale Backbone Architecture", paper="arXiv 1904.01169", year=2021),
        channels=(256, 512, 1024, 2048),
        output_strides=(8, 16, 32),
        init="open-mmlab://res2net101_v1d_26w_4s",
        trained_on=_IMAGENET,
    )
    yield BackboneRecord(
        "vgg16_largefov",
        factory="harness.modelling.backbones:vgg16_largefov",
        summary="VGG-16 with dilated convolutions in place of fc6 and fc7, the body of DeepLab v1",
        card=Card(
            "Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs",
            paper="arXiv 1412.7062; VGG: arXiv 1409.1556",
            year=2015,
            notes="Initial weights: torchvision's VGG-16; fc6 and fc7 sub-sampled to 1,024 filters, fc6 to 3x3 taps.",
        ),
        channels=(256, 512, 512, 1024),
        output_strides=(8,),
        init="torchvision://vgg16",
        trained_on=_IMAGENET,
    )
    yield _mit("b0", (32, 64, 160, 256), "mit_b0_20220624-7e0fe6dd.pth")
    yield _mit("b2", (64, 128, 320, 512), "mit_b2_20220624-66e8bf70.pth")
    yield BackboneRecord(
        "timm",
        factory="harness.modelling.timm_networks:networks",
        family="harness.modelling.timm_networks:record",
        summary="any network of timm by its name: timm/NAME, or timm/NAME.TAG for one of several weights",
        output_strides=(),
    )
    yield BackboneRecord(
        "tiny",
        factory="harness.modelling.backbones:tiny",
        summary="ResNet-18 with 16 base channels: trains from random weights on a CPU at 64 to 96 pixels",
        channels=(16, 32, 64, 128),
        output_strides=(8, 16, 32),
        inputs=InputRule(32),  # whatever the output stride
    )
    yield BackboneRecord(
        "resnet18_x0.125",
        factory="harness.modelling.backbones:resnet18_x0_125",
        summary="ResNet-18 V1c with an eighth of the channels: what the demo freezes",
        card=_RESNET,
        channels=(8, 16, 32, 64),
        output_strides=(8, 16, 32),
    )


@hookimpl
def wsss_refiners() -> Iterator[RefinerRecord]:
    """The walk on the shared classifier's features."""
    yield RefinerRecord(
        "affinity_walk",
        factory="harness.modelling.affinity_walk:AffinityWalkRefiner",
        params=AffinityWalkParams,
        uses=(CLASSIFIER,),
        reads=("cam",),
        card=Card(
            "Random walk on semantic affinities",
            paper="Ahn and Kwak, Learning Pixel-level Semantic Affinity with Image-level Supervision, CVPR 2018",
            year=2018,
            notes="Affinities are not learned here: they are cosines of the shared classifier's features.",
        ),
        summary="spreads labels over near cells with similar features of the classifier; works on soft scores first",
    )


@hookimpl
def wsss_datasets() -> Iterator[DatasetRecord]:
    """Data sets as configurations of mmsegmentation describe them."""
    yield DatasetRecord(
        "mmseg",
        factory="harness.modelling.mmseg_dataset:MmsegDataset",
        params=MmsegParams,
        summary="what an mmsegmentation configuration reads: the same images, ids and classes",
    )
