"""The classifier network of the paper, with constant weights, gives the published numbers."""

import re

import pytest
import torch
from torch import nn

from harness.contract import ConfigError
from harness.modelling import load_weights
from harness.modelling.mm import build
from wsss_class_conditional.resnet38 import Unit, WideResNet38, resnet38
from wsss_class_conditional.tests.stub import VECTORS

VECTOR = VECTORS["resnet38_constant_weights"]


def test_constant_weights_give_the_published_maps():
    backbone, head = build(resnet38(8)).eval(), nn.Conv2d(4096, 20, 1, bias=False)
    with torch.no_grad():
        for conv in (*backbone.modules(), head):
            if isinstance(conv, nn.Conv2d):
                conv.weight.fill_(1 / conv.weight[0].numel())
        y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
        ramp = ((y + 2 * x) % 7) / 7
        maps = head(backbone(torch.stack([ramp, 2 * ramp, 3 * ramp])[None])[-1]).relu()
    assert list(maps.shape) == VECTOR["shape"]
    found = [float(maps[0, 0, row, column]) for row, column in ((0, 0), (4, 4), (7, 1))]
    assert [*found, float(maps.mean())] == pytest.approx(
        [VECTOR[k] for k in ("at_0_0", "at_4_4", "at_7_1", "mean")], rel=1e-5
    )
    assert sum(p.numel() for m in (backbone, head) for p in m.parameters()) == VECTOR["n_params"]


@pytest.mark.parametrize(("size", "out"), [((65, 97), (9, 13)), ((10, 9), (2, 2)), ((1, 1), (1, 1))])
def test_maps_have_an_eighth_of_the_side_rounded_up(size, out):
    x = torch.zeros(1, 2, *size)
    for _ in range(3):
        x = Unit(2, (2, 2), stride=2, dilations=(1, 1), dropout=0.0).eval()(x)
    assert tuple(x.shape[2:]) == out


def published_name(key):
    """The name that PSA gives to a layer of this network."""
    key = key.replace("stem.", "conv1a.", 1) if key.startswith("stem.") else key
    key = key.replace("norm.", "bn7.", 1) if key.startswith("norm.") else key
    found = re.match(r"stages\.(\d)\.(\d)\.(convs|norms|shortcut)(?:\.(\d))?", key)
    if found is None:
        return key
    stage, unit, kind, place = found.groups()
    block = f"b{int(stage) + 2}" + (f"_{unit}" if unit != "0" else "")
    if place is None:
        return f"{block}.conv_branch1{key[found.end() :]}"
    layer = {"convs": "conv", "norms": "bn"}[kind]
    return f"{block}.{layer}_branch{('2a', '2b1', '2b2')[int(place)]}{key[found.end() :]}"


def test_weights_under_the_published_names_load_with_or_without_a_classifier(tmp_path):
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in WideResNet38().state_dict().items()}
    state = {published_name(key): torch.full((), 0.5).expand(shape) for key, shape in shapes.items()}
    assert {"conv1a.weight", "b2.conv_branch1.weight", "b4_5.bn_branch2b1.bias", "b7.conv_branch2b2.weight"} <= {*state}
    assert tuple(state["b6.conv_branch2b1.weight"].shape) == (1024, 512, 3, 3)
    torch.save({**state, "fc8.weight": torch.zeros(20, 4096, 1, 1)}, tmp_path / "res38_cls.pth")
    with torch.device("meta"):
        network = WideResNet38()
    network.to_empty(device="cpu")
    load_weights(network, str(tmp_path / "res38_cls.pth"))
    assert all(bool((value == 0.5).all()) for value in network.state_dict().values() if value.is_floating_point())


def test_a_published_file_of_another_network_is_refused(tmp_path):
    torch.save({"conv1a.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "cut.pth")
    with torch.device("meta"):
        network = WideResNet38()
    with pytest.raises(ConfigError, match=r"cut\.pth lacks key"):
        load_weights(network, str(tmp_path / "cut.pth"))
