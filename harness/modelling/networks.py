"""Whole networks: built from a seed, filled with weights that fit, written into an artifact."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from harness.modelling import mm

WEIGHTS = "segmenter.pth"
CONFIG = "segmenter.json"
"""Files of a trained segmenter."""

CURVE = "train.json"
"""File of the loss curve; the last one that a training writes."""

N = TypeVar("N", bound=nn.Module)


def seeded(make: Callable[[], N], seed: int) -> N:
    """Make a network with random initial weights from ``seed``; the state of the global generator is left alone."""
    mm.enter_scope()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make()
        with mm.quiet():
            model.init_weights()  # type: ignore[operator]
    return model


def seeded_model(model_cfg: Any, seed: int) -> nn.Module:
    """Build a registered network and its random initial weights from ``seed``."""
    return seeded(lambda: mm.build(model_cfg), seed)


def copy_fitting(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give ``model`` those weights of ``state`` that it has under the same name and shape; the others stay."""
    weights = model.state_dict()
    fitting = {name: value for name, value in state.items() if name in weights and weights[name].shape == value.shape}
    model.load_state_dict({**weights, **fitting})


def save_network(out: Path, state: Mapping[str, Tensor], *, weights: str, configs: Mapping[str, Any]) -> None:
    """Write a network's weights, and beside them JSON files with what else its reader needs.

    Args:
        out: Folder of the artifact.
        state: Name to tensor, on any device.
        weights: Name of the weights file.
        configs: Name of each JSON file, and its content.
    """
    torch.save({name: value.contiguous().cpu() for name, value in state.items()}, out / weights)
    for name, content in configs.items():
        (out / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
