"""At every output stride a backbone is the network that was trained at its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.contract import BackboneRecord
from harness.modelling import vgg
from harness.modelling.atrous import DilatedAvgPool, dilate
from harness.modelling.backbones import backbone_config
from harness.modelling.builtin import wsss_backbones
from harness.modelling.mm import build
from tests.modelling.pretrained import randomise

SIDE = 65
RECORDS = {record.name: record for record in wsss_backbones() if not record.family}
"""Families have tests of their own (test_timm_networks.py)."""
OWN = ("tiny", "vgg16_largefov")
"""The network of the tests, which starts from random weights, and the one that has no other output stride."""


def denser() -> Iterator[tuple[str, int]]:
    for record in RECORDS.values():
        if record.name not in OWN:
            yield from ((record.name, stride) for stride in record.output_strides if stride < 32)


def narrow(cfg: dict[str, Any]) -> dict[str, Any]:
    """The network with an eighth of a ResNet's channels: layers and dilations are the same, seconds are saved."""
    if "network" in cfg:
        return cfg | {"network": narrow(cfg["network"])}
    return cfg | {"base_channels": 8, "stem_channels": 8} if "depth" in cfg else cfg


def network(record: BackboneRecord, output_stride: int, state: dict[str, Tensor] | None = None) -> nn.Module:
    torch.manual_seed(0)
    made = build(narrow(backbone_config(record, output_stride)))
    if state is None:
        randomise(made)
    else:
        made.load_state_dict(state)
    made.eval()  # of an mmseg backbone it returns nothing
    return made


@cache
def trained_network(name: str) -> nn.Module:
    return network(RECORDS[name], 32)


def levels(network: nn.Module, side: int = SIDE) -> list[Tensor]:
    torch.manual_seed(1)
    with torch.no_grad():
        found: list[Tensor] = list(network(torch.randn(1, 3, side, side)))
    return found


def error(dense: Tensor, sparse: Tensor) -> float:
    """Of the dense map at the cells of the sparse one, relative to it."""
    skip = (dense.shape[-1] - 1) // (sparse.shape[-1] - 1)
    return float((dense[..., ::skip, ::skip] - sparse).norm() / sparse.norm())


@pytest.mark.parametrize(("name", "output_stride"), list(denser()))
def test_a_backbone_at_a_smaller_output_stride_is_the_trained_network(name: str, output_stride: int) -> None:
    trained = trained_network(name)
    dense = levels(network(RECORDS[name], output_stride, trained.state_dict()))
    for level, (found, expected) in enumerate(zip(dense, levels(trained), strict=True)):
        assert expected.std() > 1e-6, f"level {level}"
        assert error(found, expected) < 1e-4, f"level {level}"
    assert dense[-1].shape[-1] == (SIDE - 1) // output_stride + 1


def test_only_the_network_of_the_tests_and_the_ones_of_one_output_stride_are_left_out_of_it() -> None:
    untested = RECORDS.keys() - {name for name, _ in denser()}
    assert untested == set(OWN)
    assert RECORDS["tiny"].init is None
    assert RECORDS["vgg16_largefov"].output_strides == (8,)


def test_conv5_of_largefov_is_that_of_vgg_with_the_stride_of_its_fourth_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    published = network(RECORDS["vgg16_largefov"], 8)
    *stages, (count, channels, stride, _) = vgg._STAGES
    stages[-1] = (*stages[-1][:2], 2, 1)
    monkeypatch.setattr(vgg, "_STAGES", (*stages, (count, channels, stride, 1)))
    strided = network(RECORDS["vgg16_largefov"], 8, published.state_dict())
    assert error(levels(published)[2], levels(strided)[2]) < 1e-4


def test_the_measured_network_is_left_as_it_was_built() -> None:
    plain, measured = (build(backbone_config(RECORDS["mobilenet_v2_x0.35"], stride)) for stride in (32, 8))
    assert plain.state_dict().keys() == measured.state_dict().keys()
    assert all(part.training for part in measured.modules())
    for key, value in measured.state_dict().items():
        if "running_mean" in key or "num_batches" in key:
            assert not value.any(), key
    torch.manual_seed(3)
    build(backbone_config(RECORDS["mobilenet_v2_x0.35"], 32))
    drawn = torch.rand(1)
    torch.manual_seed(3)
    build(backbone_config(RECORDS["mobilenet_v2_x0.35"], 8))
    assert torch.equal(torch.rand(1), drawn), "the initial weights of a head would differ"


def test_a_dilated_network_has_as_many_multiplications_a_cell() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 4, 5, stride=2, padding=2, groups=4))
    network.append(nn.Conv2d(4, 4, 3, padding=1))
    dilate(network, 2)
    assert [layer.stride for layer in network] == [(2, 2), (1, 1), (1, 1)]
    assert [layer.dilation for layer in network] == [(1, 1), (1, 1), (2, 2)]
    assert [layer.padding for layer in network] == [(1, 1), (2, 2), (2, 2)]
    assert [layer.kernel_size for layer in network] == [(3, 3), (5, 5), (3, 3)]


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize(("kernel", "padding"), [(3, 1), (2, 0)])
def test_a_dilated_average_pool_pools_every_second_cell(kernel: int, padding: int, include: bool) -> None:
    maps = torch.randn(2, 3, 9, 7)
    pool = nn.AvgPool2d(kernel, 1, padding, ceil_mode=True, count_include_pad=include)
    dilated = DilatedAvgPool((kernel, kernel), 1, (padding, padding), 2, include)(maps)
    assert dilated.shape == maps.shape
    expected = pool(maps[:, :, ::2, ::2])
    torch.testing.assert_close(dilated[:, :, ::2, ::2][:, :, : expected.shape[2], : expected.shape[3]], expected)
