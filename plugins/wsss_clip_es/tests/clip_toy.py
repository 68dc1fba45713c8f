"""A tiny CLIP whose weights follow a formula, and one of random weights with a text tower and a short vocabulary."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "clip_es.json").read_text())


def formula_state() -> dict[str, torch.Tensor]:
    """The image tower of the vectors: 3 blocks of 128 channels, patches of 16 pixels, 4 x 4 positions."""
    state = {}
    for index, (name, shape) in enumerate(VECTORS["C1_image_branch"]["parameters_in_order"]):
        n = np.arange(np.prod(shape), dtype=np.float64)
        value = 43758.5453 * np.sin(12.9898 * n + 78.233 * index)
        value = (2 * (value - np.floor(value)) - 1).reshape(shape)
        value *= 1 / np.sqrt(shape[-1]) if len(shape) > 1 else 0.5
        if ".ln_" in name and name.endswith("weight"):
            value = value + 1
        state[name] = torch.from_numpy(value.astype(np.float32))
    state["logit_scale"] = torch.tensor(1.0)
    return state


def formula_image() -> torch.Tensor:
    return torch.from_numpy(2 * np.sin(0.37 * np.arange(3 * 48 * 80))).reshape(1, 3, 48, 80).float()


MERGES = ["c l", "e a", "cl ea", "clea n</w>", "t h", "o n", "on e</w>", "th e</w>"]
"""A vocabulary of a few merges, enough for ``clean`` and ``one`` to be one token each."""


def write_vocabulary(path: Path) -> Path:
    path.write_bytes(gzip.compress(("#version: 0.2\n" + "\n".join(MERGES) + "\n").encode(), mtime=0))
    return path


def random_state(*, text: bool = True, embedding: int = 16) -> dict[str, torch.Tensor]:
    """OpenAI's names with small shapes: images of 32 pixels in patches of 8, texts of 77 tokens."""
    generator = torch.Generator().manual_seed(0)
    width, layers = 128, 2
    shapes: dict[str, tuple[int, ...]] = {
        "visual.class_embedding": (width,),
        "visual.positional_embedding": (17, width),
        "visual.proj": (width, embedding),
        "visual.conv1.weight": (width, 3, 8, 8),
    }
    norms = ["visual.ln_pre", "visual.ln_post"]
    towers = ["visual.transformer.", *(["transformer."] if text else [])]
    if text:
        norms.append("ln_final")
        shapes |= {
            "positional_embedding": (77, width),
            "text_projection": (width, embedding),
            "token_embedding.weight": (514 + len(MERGES), width),
        }
    for block in (f"{tower}resblocks.{layer}." for tower in towers for layer in range(layers)):
        norms += [f"{block}ln_1", f"{block}ln_2"]
        for layer, (out, into) in {
            "attn.in_proj_": (3 * width, width),
            "attn.out_proj.": (width, width),
            "mlp.c_fc.": (4 * width, width),
            "mlp.c_proj.": (width, 4 * width),
        }.items():
            shapes |= {f"{block}{layer}weight": (out, into), f"{block}{layer}bias": (out,)}
    state = {
        name: torch.randn(shape, generator=generator) / np.sqrt(np.prod(shape[1:]) or 4)
        for name, shape in shapes.items()
    }
    for name in state:
        if name.endswith("in_proj_weight"):
            state[name] *= 3  # attention that is not the same everywhere
    for norm in norms:
        state |= {f"{norm}.weight": torch.ones(width), f"{norm}.bias": torch.zeros(width)}
    return {**state, "logit_scale": torch.tensor(2.0)}


def write_files(folder: Path) -> Path:
    """Weights and vocabulary under the names that OpenAI gives them."""
    folder.mkdir(exist_ok=True)
    torch.save(random_state(), folder / "ViT-B-16.pt")
    write_vocabulary(folder / "bpe_simple_vocab_16e6.txt.gz")
    return folder
