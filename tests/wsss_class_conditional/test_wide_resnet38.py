"""The classifier network of the paper, with constant weights, gives the published numbers."""

import pytest
import torch
from stub import VECTORS
from torch import nn

from harness.modelling.mm import build
from wsss_class_conditional.resnet38 import Unit, resnet38

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
