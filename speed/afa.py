"""Compares a training step of ``afa`` with one of the plain segmenter, and its refinement with maps moved by hand.

Run ``python -m speed.afa``. Both networks have Mix Transformer B0 at output stride 16, the same head and initial
weights, and see the same images; ``afa`` is in the part of its training in which it walks, the costliest one. It pays
for the classifier, the pairs, the passes of smaller and mirrored images, the walk and the refinement. The refinement by
hand moves whole maps by each of its 48 offsets, one after the other.

All take turns, and the fastest round of each counts, in processor time of one thread. The script ends with 1 when a
step of ``afa`` takes more than 1.5 times that of the plain segmenter, when the refinement is less than twice as fast as
the one by hand, or when their maps differ.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

warnings.simplefilter("ignore")

from mmengine.logging import MessageHub  # noqa: E402

import wsss_afa.network  # noqa: E402
from harness.contract.protocol import AugmentSettings, BackboneSettings, OptimSettings, SegmenterSettings  # noqa: E402
from harness.modelling import mm  # noqa: E402
from harness.modelling.segmenter import build_config, initial_model  # noqa: E402
from wsss_afa import method  # noqa: E402
from wsss_afa.params import OFFICIAL, AfaParams  # noqa: E402

AT_MOST_OF_PLAIN, AT_LEAST_OF_HAND, DIFFERENCE = 1.5, 2.0, 1e-4
CLASSES, TAGS = 21, 2
CONFIG = Path(__file__).parents[1] / "configs" / "segmenters" / "segformer.py"
DILATIONS, ITERATIONS = AfaParams().dilations, AfaParams().refinements


class Steps:
    """Training steps of one network on one batch.

    Args:
        params: Of ``afa``; ``None`` for the plain segmenter.
        batch: Images.
        crop: Their side.
    """

    def __init__(self, params: AfaParams | None, *, batch: int, crop: int) -> None:
        settings = SegmenterSettings(
            config=str(CONFIG), output_stride=16, optim=OptimSettings(iterations=1), augment=AugmentSettings(crop=crop)
        )
        cfg = protocol = build_config(settings, BackboneSettings(name="mit_b0"), CLASSES)
        if params is not None:
            cfg = mm.Config(cfg.to_dict())
            cfg.model.update(type=wsss_afa.network.AfaSegmenter.__name__, afa=asdict(params), iterations=1)
        self.model: Any = initial_model(cfg, protocol, seed=0, weights=None).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5)
        generator = torch.Generator().manual_seed(0)
        coarse = torch.randn(batch, 3, crop // 16, crop // 16, generator=generator)
        self.images = functional.interpolate(coarse, (crop, crop), mode="bicubic")
        label = torch.randint(0, CLASSES, (batch, crop, crop), generator=generator)
        tags = torch.zeros(batch, CLASSES - 1)
        tags[:, :TAGS] = 1
        self.samples = [
            SimpleNamespace(
                tags=tags[i],
                inside=SimpleNamespace(data=torch.zeros(1, crop, crop, dtype=torch.uint8)),
                gt_sem_seg=SimpleNamespace(data=label[i : i + 1]),
            )
            for i in range(batch)
        ]

    def __call__(self) -> None:
        MessageHub.get_current_instance().update_info("iter", 1)
        losses = self.model.loss(self.images, self.samples)
        torch.autograd.backward(sum(value.sum() for name, value in losses.items() if "loss" in name))
        self.optimizer.step()
        self.optimizer.zero_grad()


def by_hand(image: Tensor, maps: Tensor) -> Tensor:
    """The refinement of ``maps`` (B, K, h, w) with whole maps moved by each offset."""
    far, (rows, columns) = max(DILATIONS), image.shape[2:]
    offsets = [(dy * step, dx * step) for step in DILATIONS for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]

    def moved(values: Tensor) -> list[Tensor]:
        wide = functional.pad(values, (far, far, far, far), mode="replicate")
        return [wide[:, :, far + y : far + y + rows, far + x : far + x + columns] for y, x in offsets]

    around = torch.stack(moved(image), 1)
    colour = -((around - image[:, None]) / (around.std(1, keepdim=True) + 1e-8) / 0.3).square().mean(2)
    length = torch.tensor([(y * y + x * x) ** 0.5 for y, x in offsets])
    position = -(length / (length.std() + 1e-8) / 0.3).square()
    weights = colour.softmax(1) + 0.01 * position.softmax(0)[:, None, None]
    for _ in range(ITERATIONS):
        total = torch.zeros_like(maps)
        for place, seen in enumerate(moved(maps)):
            total.addcmul_(weights[:, place : place + 1], seen)
        maps = total
    return maps


def fastest(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds of processor time of the fastest round of each way; they take turns."""
    found = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            begin = time.process_time()
            way()
            found[name] = min(found[name], time.process_time() - begin)
    return found


def main() -> int:
    """Measure, print, and compare with the promises."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--crop", type=int, default=257)
    args = parser.parse_args()
    torch.set_num_threads(1)
    size = {"batch": args.batch, "crop": args.crop}
    steps = {
        "plain": Steps(None, **size),
        "afa": Steps(AfaParams(), **size),
        "afa, maps alone": Steps(AfaParams(affinity=False, par=False), **size),
        "afa, official views": Steps(AfaParams(**OFFICIAL), **size),
    }
    found = fastest(dict(steps), args.rounds)
    for name, seconds in found.items():
        print(f"step of {name:<20} {seconds:6.2f} s  {seconds / found['plain']:5.2f} x plain")
    image, maps = torch.rand(args.batch, 3, 128, 128) * 255, torch.rand(args.batch, 4 * (1 + TAGS), 128, 128)
    ways = {
        "hand": lambda: by_hand(image, maps),
        "afa": lambda: method.refined(maps, method.neighbourhood(image, DILATIONS), ITERATIONS),
    }
    difference = float((ways["hand"]() - ways["afa"]()).abs().max())
    refinement = fastest(ways, args.rounds)
    gain = refinement["hand"] / refinement["afa"]
    print(f"refinement {refinement['afa']:.3f} s, by hand {refinement['hand']:.3f} s, {gain:.1f} times as fast")
    print(f"greatest difference of the refined maps {difference:.1e}")
    kept = found["afa"] <= AT_MOST_OF_PLAIN * found["plain"] and gain >= AT_LEAST_OF_HAND and difference <= DIFFERENCE
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
