"""BatchNorm folded into the convolution before it, for networks whose layers stand in no known order.

mmcv folds a norm into the convolution that stands before it in a module's list of children, and takes the norm away.
In timm a norm may hold the activation too, and the list may have another order than the forward pass. So one image goes
through the network, and a norm belongs to the convolution whose output it is given.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

_SIDE = 65
_CLOSE = 1e-3
"""Relative difference of the levels up to which a folded network is the same: rounding, far below any wrong fold."""


def folded(network: nn.Module) -> nn.Module:
    """The network with its norms folded in, in evaluation mode; itself where that would be another network.

    Args:
        network: (N, 3, h, w) -> a list of levels; its running statistics are used.
    """
    network.eval()
    device = next(network.parameters()).device
    image = torch.randn(1, 3, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0)).to(device)
    lighter = copy.deepcopy(network)
    for norm, conv in _pairs(lighter, image).items():
        _fold(lighter.get_submodule(conv), lighter.get_submodule(norm))
        parent, _, name = norm.rpartition(".")
        # A norm of timm may drop and activate after it has normalised; that stays.
        rest = [getattr(lighter.get_submodule(norm), part, None) for part in ("drop", "act")]
        kept = [part for part in rest if isinstance(part, nn.Module)]
        setattr(lighter.get_submodule(parent), name, nn.Sequential(*kept) if kept else nn.Identity())
    with torch.no_grad():
        levels = zip(lighter(image), network(image), strict=True)
        same = all((folded - level).norm() <= _CLOSE * level.norm() for folded, level in levels)
    return lighter if same else network


def _pairs(network: nn.Module, image: Tensor) -> dict[str, str]:
    """Norms, by their names, with the convolutions whose output they are given."""
    names = {part: name for name, part in network.named_modules()}
    outputs: list[tuple[Tensor, nn.Module]] = []  # held, so that no two have the same identity
    found: dict[str, str] = {}

    def see_conv(conv: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        outputs.append((output, conv))

    def see_norm(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        conv = next((conv for output, conv in outputs if output is inputs[0]), None)
        if conv is not None:
            found[names[norm]] = names[conv]

    convs = [part for part in names if isinstance(part, nn.Conv2d)]
    norms = [part for part in names if isinstance(part, nn.BatchNorm2d)]
    handles = [conv.register_forward_hook(see_conv) for conv in convs]
    handles += [norm.register_forward_pre_hook(see_norm) for norm in norms]
    with torch.no_grad():
        network(image)
    for handle in handles:
        handle.remove()
    return found


def _fold(conv: nn.Module, norm: nn.Module) -> None:
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    bias = torch.zeros_like(norm.running_mean) if conv.bias is None else conv.bias
    conv.weight = nn.Parameter(conv.weight * factor[:, None, None, None])
    conv.bias = nn.Parameter((bias - norm.running_mean) * factor + norm.bias)
