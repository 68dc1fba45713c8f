"""Backbones, heads and initial weights of the papers: shapes, sizes, and files in the layouts that others publish."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from harness.contract import ConfigError
from harness.contract.protocol import AugmentSettings, BackboneSettings, ClassifierSettings, OptimSettings
from harness.contract.protocol import SegmenterSettings as Segmenter
from harness.modelling import builtin as records
from harness.modelling import weight_sources as sources
from harness.modelling.backbones import backbone_config, find_backbone
from harness.modelling.cost import classifier_flops, segmenter_flops
from harness.modelling.mm import build
from harness.modelling.res2net import Bottle2neck
from harness.modelling.segmenter import build_config
from harness.modelling.vgg import Vgg16LargeFov
from harness.modelling.weight_sources import Download
from harness.modelling.weights import load_weights

RECORDS = {record.name: record for record in records.wsss_backbones()}
PAPERS = ("resnet50", "resnet101", "resnet50_v1", "resnet101_v1", "res2net101", "vgg16_largefov", "mit_b2")
CONFIGS = Path(__file__).parents[2] / "configs" / "segmenters"
OPTIM, AUGMENT = OptimSettings(iterations=1), AugmentSettings(crop=65)


def network(name: str, output_stride: int | None = None) -> nn.Module:
    """On the meta device: shapes without memory."""
    record = find_backbone(name)
    with torch.device("cpu" if name.startswith("mit") else "meta"):  # mmseg's MiT reads numbers while it is built
        made = build(backbone_config(record, output_stride or min(record.output_strides)))
    made.eval()  # of an mmseg backbone it returns nothing
    return made.to("meta")


def torchvision_network(name: str) -> nn.Module:
    with torch.device("meta"):
        made: nn.Module = getattr(torchvision.models, name)()
    return made


def settings(head: str, output_stride: int) -> Segmenter:
    return Segmenter(config=str(CONFIGS / f"{head}.py"), optim=OPTIM, augment=AUGMENT, output_stride=output_stride)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def hollow(module: nn.Module) -> dict[str, Tensor]:
    """A state of the right shapes that takes no room, in memory or in a file."""
    return {key: torch.full((), 0.5).expand(value.shape) for key, value in module.state_dict().items()}


@pytest.mark.parametrize(("name", "stride"), [(name, s) for name in PAPERS for s in RECORDS[name].output_strides])
def test_a_backbone_has_the_channels_and_strides_of_its_record(name: str, stride: int) -> None:
    levels = network(name, stride)(torch.empty(1, 3, 321, 321, device="meta"))
    assert tuple(level.shape[1] for level in levels) == RECORDS[name].channels
    assert levels[-1].shape[2] == 320 // stride + 1


@pytest.mark.parametrize(
    ("name", "classifier", "millions"),
    [
        ("res2net101", 2048 * 1000 + 1000, 45.2),  # with the classifier, as published
        ("vgg16_largefov", 1024 * 21 + 21, 20.51),
        ("resnet101_v1", 4 * (2048 * 9 + 1) * 21, 44.05),
        ("mit_b2", 0, 24.2),
    ],
)
def test_a_backbone_has_as_many_parameters_as_published(name: str, classifier: int, millions: float) -> None:
    assert (parameters(network(name)) + classifier) / 1e6 == pytest.approx(millions, abs=0.05)


def test_every_backbone_but_the_ones_without_weights_says_what_its_weights_saw() -> None:
    for record in RECORDS.values():
        assert (record.init is None) == (record.trained_on is None), record.name


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[dict[str, Any]], list[str]]:
    """``downloads(state)`` makes every download give ``state``; returns the addresses that are asked for."""

    def serve(state: dict[str, Any]) -> list[str]:
        asked: list[str] = []

        def fetch(download: Download) -> Path:
            asked.append(download.url)
            torch.save(state, tmp_path / "download.pth")
            return tmp_path / "download.pth"

        monkeypatch.setattr(sources, "fetch", fetch)
        return asked

    return serve


@pytest.mark.parametrize("name", [record.name for record in RECORDS.values() if record.init])
def test_the_default_weights_of_every_backbone_lead_to_an_address(name: str, downloads: Callable[..., Any]) -> None:
    asked = downloads({"state_dict": {"backbone.none.of.this": torch.zeros(1)}})
    with pytest.raises(ConfigError, match="lacks key"):
        load_weights(network(name), str(RECORDS[name].init))
    assert len(asked) == 1
    assert asked[0].startswith("https://")
    assert asked[0].endswith(".pth")


@pytest.mark.parametrize(("name", "donor"), [("resnet50_v1", "resnet50"), ("resnet101_v1", "resnet101")])
def test_weights_of_torchvision_fit_the_resnets_with_its_stem(
    name: str, donor: str, downloads: Callable[..., Any]
) -> None:
    asked = downloads(hollow(torchvision_network(donor)))
    loaded = network(name).to_empty(device="cpu")
    load_weights(loaded, f"torchvision://{donor}")
    assert donor in asked[0]
    assert all(bool((value == 0.5).all()) for value in loaded.state_dict().values() if value.is_floating_point())


def test_weights_of_torchvision_do_not_fit_the_deep_stem(downloads: Callable[..., Any]) -> None:
    downloads(hollow(torchvision_network("resnet50")))
    with pytest.raises(ConfigError, match=r"torchvision://resnet50 lacks key 'stem\.0\.weight'"):
        load_weights(network("resnet50"), "torchvision://resnet50")


def vgg16_classifier() -> dict[str, Tensor]:
    """torchvision's VGG-16; fc6 and fc7 hold the number of their filter."""
    state = hollow(torchvision_network("vgg16"))
    filters = torch.arange(4096.0)
    return state | {
        "classifier.0.weight": filters[:, None].expand(4096, 25088),
        "classifier.0.bias": filters,
        "classifier.3.weight": filters[:, None].expand(4096, 4096),
        "classifier.3.bias": filters,
    }


def test_weights_of_vgg16_become_those_of_largefov(downloads: Callable[..., Any]) -> None:
    downloads(vgg16_classifier())
    loaded = network("vgg16_largefov").to_empty(device="cpu")
    load_weights(loaded, "torchvision://vgg16")
    state = loaded.state_dict()
    assert state["fc6.weight"].shape == (1024, 512, 3, 3)
    assert state["fc7.weight"].shape == (1024, 1024, 1, 1)
    for layer in ("fc6", "fc7"):
        assert state[f"{layer}.bias"].tolist() == list(range(0, 4096, 4))
        assert bool((state[f"{layer}.weight"][:, 0, 0, 0] == state[f"{layer}.bias"]).all())
    assert bool((state["features.28.weight"] == 0.5).all())


def test_sub_sampling_keeps_the_outer_and_the_middle_taps_and_every_fourth_input() -> None:
    taps = torch.arange(25088.0).expand(4096, 25088)
    state = vgg16_classifier() | {"classifier.0.weight": taps, "classifier.3.weight": taps[:, :4096]}
    converted = Vgg16LargeFov.convert_weights(state)
    rows = [49 * 2 + 7 * y + x for y in (0, 3, 6) for x in (0, 3, 6)]
    assert converted["fc6.weight"][0, 2].flatten().tolist() == rows
    assert converted["fc7.weight"][0, :, 0, 0].tolist() == list(range(0, 4096, 4))


def test_weights_of_largefov_itself_are_left_as_they_are() -> None:
    state = hollow(network("vgg16_largefov"))
    assert Vgg16LargeFov.convert_weights(state).keys() == state.keys()
    with pytest.raises(ConfigError, match="no such file"):
        load_weights(network("vgg16_largefov"), "nowhere.pth")


def test_res2net_has_the_names_and_shapes_of_the_converted_weights() -> None:
    state = network("res2net101").state_dict()
    expected = {
        "stem.0.weight": (32, 3, 3, 3),
        "stem.7.running_mean": (64,),
        "layer1.0.conv1.weight": (104, 64, 1, 1),
        "layer1.0.convs.2.weight": (26, 26, 3, 3),
        "layer1.0.bns.2.weight": (26,),
        "layer1.0.downsample.1.weight": (256, 64, 1, 1),
        "layer1.0.downsample.2.bias": (256,),
        "layer3.22.convs.0.weight": (104, 104, 3, 3),
        "layer4.2.conv3.weight": (2048, 832, 1, 1),
    }
    assert {key: tuple(state[key].shape) for key in expected} == expected


@pytest.mark.parametrize("first", [True, False])
def test_groups_of_a_res2net_unit_are_chained_except_in_the_first_unit_of_a_stage(first: bool) -> None:
    torch.manual_seed(0)
    shortcut = nn.Conv2d(256, 256, 1) if first else None
    unit = Bottle2neck(inplanes=256, planes=64, norm_cfg={"type": "BN"}, downsample=shortcut).eval()
    seen: list[Tensor] = []
    unit.convs[2].register_forward_hook(lambda conv, inputs, output: seen.append(output))
    groups: list[Tensor] = []
    unit.bn1.register_forward_hook(lambda norm, inputs, output: groups.append(output))
    unit(torch.randn(1, 256, 5, 5, requires_grad=True))
    influence = torch.autograd.grad(seen[0].sum(), groups[0])[0].abs().sum((0, 2, 3)).reshape(4, 26).sum(1)
    assert (influence > 0).tolist() == ([False, False, True, False] if first else [True, True, True, False])


def test_activations_that_are_computed_again_give_the_same_gradients() -> None:
    torch.manual_seed(0)
    unit = Bottle2neck(inplanes=256, planes=64, norm_cfg={"type": "BN"}).eval()
    x = torch.randn(1, 256, 5, 5, requires_grad=True)
    plain = torch.autograd.grad(unit(x).sum(), x)[0]
    unit.with_cp = True
    torch.testing.assert_close(torch.autograd.grad(unit(x).sum(), x)[0], plain)


HEADS = [
    ("vgg16_largefov", "deeplabv1", 8),
    ("resnet101_v1", "deeplabv2", 8),
    ("resnet101", "deeplabv3plus", 8),
    ("resnet50", "deeplabv3plus", 16),
    ("res2net101", "pspnet", 8),
    ("resnet101", "pspnet", 8),
    ("mit_b2", "segformer_b2", 32),
]


@pytest.mark.parametrize(("backbone", "head", "stride"), HEADS)
def test_every_network_of_a_paper_predicts_at_full_size(backbone: str, head: str, stride: int) -> None:
    model: Any = build(build_config(settings(head, stride), BackboneSettings(name=backbone), 21).model).to("meta")
    model.eval()
    logits = model.encode_decode(torch.empty(1, 3, 65, 65, device="meta"), [{"img_shape": (65, 65)}])
    assert logits.shape == (1, 21, 65, 65)


@pytest.mark.parametrize(
    ("backbone", "head", "classes", "side", "billions"),
    [("vgg16_largefov", "deeplabv1", 61, 512, 252), ("resnet101_v1", "deeplabv2", 21, 321, 151)],
)
def test_a_forward_pass_costs_what_was_published(
    backbone: str, head: str, classes: int, side: int, billions: int
) -> None:
    flops = segmenter_flops(settings(head, 8), BackboneSettings(name=backbone), classes, side)
    assert flops / 1e9 == pytest.approx(billions, rel=0.005)


def test_a_classifier_costs_its_backbone_and_one_convolution() -> None:
    classifier = ClassifierSettings(optim=OPTIM, augment=AUGMENT, output_stride=8)
    flops = classifier_flops(classifier, BackboneSettings(name="vgg16_largefov"), 21, 321)
    segmenter = segmenter_flops(settings("deeplabv1", 8), BackboneSettings(name="vgg16_largefov"), 21, 321)
    assert segmenter - flops == 2 * 1024 * (41 * 41 * 21 - 20), "21 classes on all cells, or 20 on their mean"


def test_deeplab_v2_sums_its_branches() -> None:
    model: Any = build(build_config(settings("deeplabv2", 8), BackboneSettings(name="tiny"), 5).model)
    seen = torch.randn(1, 128, 9, 9)
    with torch.no_grad():
        expected = sum(branch(seen) for branch in model.decode_head.conv_seg.branches)
        torch.testing.assert_close(model.decode_head([seen]), expected)
    assert [branch.dilation[0] for branch in model.decode_head.conv_seg.branches] == [6, 12, 18, 24]
