"""Weights for a tiny backbone that are random and not trivial: no layer is zero, no norm is the identity."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from harness.modelling import mm
from harness.modelling.backbones import backbone_config, find_backbone
from harness.modelling.networks import seeded


def backbone(name: str = "tiny", output_stride: int = 16, seed: int = 5) -> nn.Module:
    """The backbone, every norm with a mean, a variance and an affine part of its own."""
    config = backbone_config(find_backbone(name), output_stride)
    network = seeded(lambda: mm.build(config), seed)
    randomise(network, seed)
    return network


def randomise(network: nn.Module, seed: int = 0) -> None:
    """Give norms, and biases of linear layers, what they have in a network that was trained on something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                for value, low, high in (
                    (part.weight, 0.7, 1.3),
                    (part.bias, -0.3, 0.3),
                    (part.running_mean, -0.2, 0.2),
                    (part.running_var, 0.5, 1.5),
                ):
                    assert value is not None
                    value.uniform_(low, high, generator=generator)
            elif isinstance(part, nn.Linear) and part.bias is not None:
                part.bias.normal_(0, 0.2, generator=generator)


def write_weights(path: Path, name: str = "tiny", seed: int = 5) -> Path:
    """Save them as a file that a benchmark can name."""
    torch.save(backbone(name, seed=seed).state_dict(), path)
    return path
