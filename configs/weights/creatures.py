"""Makes creatures.pth, the weights that the demo freezes: python configs/weights/creatures.py (four minutes, one core).

``python configs/weights/creatures.py mit_narrow`` makes creatures_mit_narrow.pth, with which ablation_afa begins.

What ImageNet's weights are to photographs: a network that has learned to name other things. It sees small windows of
generated scenes with the 32 kinds of creature that no class of the demo has, and says which kind a window shows, or
that it shows none. Labels are those of images: a window on a creature has its kind, even where the head, which alone
tells the kinds apart, lies outside. So bodies must count too. No mask is read.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.contract import IMAGENET
from harness.data.scenes import KINDS
from harness.data.synthetic import GeneratedScenes
from harness.modelling import Uint8Preprocessor, mm
from harness.modelling.backbones import backbone_config, find_backbone, use_records
from harness.registry import manager


class Recipe(NamedTuple):
    """How one network is trained."""

    file: str
    scenes: int
    steps: int
    warmup: int
    batch: int
    rate: float


RECIPES = {
    "resnet18_x0.125": Recipe("creatures.pth", scenes=4000, steps=2400, warmup=50, batch=64, rate=0.005),
    "mit_narrow": Recipe("creatures_mit_narrow.pth", scenes=2000, steps=1600, warmup=80, batch=48, rate=0.002),
}
OUTPUT_STRIDE, DECAY = 16, 0.02
FIRST_KIND = 8
"""The demo's kinds and auxiliary kinds lie below."""
SIDE, WINDOW = 96, 49
EMPTY, SMALLEST = 0.25, 12
"""Share of windows without a creature, and the least side of a box that counts as one, in pixels."""
ZOOMS = (41, 49, 49, 65)

Windows = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]
Boxes = npt.NDArray[np.int64]


class WindowSampler:
    """Windows of scenes and what they show.

    Args:
        scenes: Images and boxes.
        rng: All randomness.
    """

    def __init__(self, scenes: GeneratedScenes, rng: np.random.Generator) -> None:
        ids = scenes.ids("train")
        self._images = np.stack([scenes.image(image_id) for image_id in ids])
        self._boxes = [_boxes(scenes, image_id) for image_id in ids]
        self._rng = rng

    def draw(self, count: int) -> Windows:
        """(count, WINDOW, WINDOW, 3) uint8 and (count,) kind, 0 = there is no creature."""
        drawn = [self._empty() if self._rng.random() < EMPTY else self._occupied() for _ in range(count)]
        return np.stack([window for window, _ in drawn]), np.array([kind for _, kind in drawn])

    def _empty(self) -> tuple[npt.NDArray[np.uint8], int]:
        while True:
            n, (left, top) = self._rng.integers(len(self._images)), self._rng.integers(0, SIDE - WINDOW + 1, size=2)
            x0, y0, x1, y1, _ = self._boxes[n].T
            if not ((x0 < left + WINDOW) & (x1 > left) & (y0 < top + WINDOW) & (y1 > top)).any():
                return self._cut(n, left, top), 0

    def _occupied(self) -> tuple[npt.NDArray[np.uint8], int]:
        while True:
            n = self._rng.integers(len(self._images))
            if len(boxes := self._boxes[n]):
                x0, y0, x1, y1, kind = boxes[self._rng.integers(len(boxes))]
                left, top = (
                    int(np.clip(self._rng.uniform(low, high) - WINDOW / 2, 0, SIDE - WINDOW))
                    for low, high in ((x0, x1), (y0, y1))
                )
                return self._cut(n, left, top), int(kind)

    def _cut(self, n: int, left: int, top: int) -> npt.NDArray[np.uint8]:
        window: npt.NDArray[np.uint8] = self._images[n, top : top + WINDOW, left : left + WINDOW]
        return window


def _boxes(scenes: GeneratedScenes, image_id: str) -> Boxes:
    """(n, 5) x0, y0, x1, y1, kind from 1 on; of creatures that are large enough to be seen."""
    boxes = [(b.x0, b.y0, b.x1, b.y1, b.cls) for b in scenes.boxes(image_id)]
    large = [box for box in boxes if min(box[2] - box[0], box[3] - box[1]) >= SMALLEST]
    return np.array(large, np.int64).reshape(-1, 5)


def batches(recipe: Recipe, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless: (batch, 3, s, s) normalised float32, mirrored, zoomed and of other brightness, and (batch,) kinds."""
    rng = np.random.default_rng(seed)
    scenes = GeneratedScenes(
        "creatures", kinds=range(FIRST_KIND, KINDS), counts={"train": recipe.scenes}, shape=(SIDE, SIDE), seed=seed
    )
    sampler, preprocessor = WindowSampler(scenes, rng), Uint8Preprocessor(IMAGENET.mean, IMAGENET.std)
    while True:
        windows, kinds = sampler.draw(recipe.batch)
        light = rng.uniform(0.8, 1.2, (recipe.batch, 1, 1, 1))
        images = torch.from_numpy(np.clip(windows * light, 0, 255).astype(np.uint8))
        if rng.random() < 0.5:
            images = images.flip(2)
        x, side = preprocessor.normalise(images), int(rng.choice(ZOOMS))
        yield functional.interpolate(x, (side, side), mode="bilinear", antialias=True), torch.from_numpy(kinds)


def train(network: nn.Module, head: nn.Conv2d, recipe: Recipe, seed: int) -> None:
    """Cross entropy of kinds on the mean of the deepest level; AdamW, cosine."""
    optimizer = torch.optim.AdamW([*network.parameters(), *head.parameters()], lr=recipe.rate, weight_decay=DECAY)
    network.train()
    for step, (x, kinds) in zip(range(recipe.steps), batches(recipe, seed), strict=False):
        optimizer.param_groups[0]["lr"] = (
            recipe.rate * min(1, (step + 1) / recipe.warmup) * (1 + math.cos(math.pi * step / recipe.steps)) / 2
        )
        loss = functional.cross_entropy(head(network(x)[-1]).mean((2, 3)), kinds)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step} of {recipe.steps}, loss {loss.item():.3f}", flush=True)  # noqa: T201


def main(backbone: str = "resnet18_x0.125") -> None:
    """Train, and write the weights in half precision beside this file."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    mm.enter_scope()
    use_records(manager().records("backbone").values())
    record, recipe = find_backbone(backbone), RECIPES[backbone]
    network = mm.build(backbone_config(record, OUTPUT_STRIDE))
    network.init_weights()
    head = nn.Conv2d(record.channels[-1], KINDS - FIRST_KIND + 1, 1)
    layout = torch.contiguous_format if backbone == "mit_narrow" else torch.channels_last
    train(network.to(memory_format=layout), head, recipe, seed=0)
    state = {key: value.half() for key, value in network.state_dict().items() if value.is_floating_point()}
    torch.save(state, Path(__file__).with_name(recipe.file))


if __name__ == "__main__":
    main(*sys.argv[1:])
