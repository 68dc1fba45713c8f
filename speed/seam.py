"""Compares a training step of SEAM with two plain passes: the classifier's loss and gradient on the same two views.

Both see the same images at their own size and at the side of the second view, on the same backbone with random weights.
Beyond the two passes SEAM has pixel correlation and its losses. With ``--stored`` the backbone is frozen and the levels
of the first view are stored, so that heads alone learn. Run ``python -m speed.seam``. The smallest processor time of
the repeats counts, because the machine may be busy.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from harness.contract.protocol import AugmentSettings, BackboneSettings, ClassifierSettings, OptimSettings
from harness.modelling import CamClassifier, classifier_config, seeded
from harness.modelling.features import Levels
from harness.modelling.frozen import digest, freeze, supplying
from wsss_seam.network import SeamNetwork
from wsss_seam.params import SeamParams

CLASSES = 7


def networks(backbone: str, resolution: Any) -> tuple[CamClassifier, SeamNetwork]:
    """The plain classifier and SEAM's network, alike in what they share."""
    settings = ClassifierSettings(
        optim=OptimSettings(iterations=1), augment=AugmentSettings(crop=257), output_stride=16
    )
    config = classifier_config(settings, BackboneSettings(name=backbone), CLASSES)
    del config["type"]
    params = asdict(SeamParams(resolution=resolution))
    plain = seeded(lambda: CamClassifier(**config), 0)
    siamese = seeded(lambda: SeamNetwork(params=params, **config), 0)
    return plain.train(), siamese.train()


def stored_levels(network: CamClassifier, images: Tensor) -> Levels:
    """Freeze the backbone of ``network``, and what it makes of ``images``."""
    freeze(network.get_submodule("backbone"))
    levels = dict(enumerate(network.features(images)))
    return Levels(levels, digest(network.get_submodule("backbone")), len(levels))


def plain_passes(network: CamClassifier, images: Tensor, tags: Tensor, side: int) -> None:
    """Loss and gradient of the plain classifier on both views, in one step."""
    small = functional.interpolate(images, (side, side), mode="bilinear", align_corners=True)
    losses = [network.losses(view, tags)["loss_cls"] for view in (images, small)]
    torch.autograd.backward(losses)


def siamese_step(network: SeamNetwork, images: Tensor, tags: Tensor) -> None:
    """All losses of SEAM and their gradient."""
    torch.autograd.backward(list(network.losses(images, tags).values()))


def least_seconds(steps: Sequence[Callable[[], None]], repeats: int) -> list[float]:
    """Least processor time of each step; the steps take turns, and the first turn is to warm up."""
    times: list[list[float]] = [[] for _ in steps]
    for _ in range(repeats + 1):
        for step, spent in zip(steps, times, strict=True):
            start = time.process_time()
            step()
            spent.append(time.process_time() - start)
    return [min(spent[1:]) for spent in times]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--crop", type=int, default=257)
    parser.add_argument("--resolution", choices=("cells", "pixels"), default="cells")
    parser.add_argument("--stored", action="store_true", help="frozen backbone, stored levels of the first view")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--require", type=float, default=1.3, help="most time of a step relative to two plain passes")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    plain, siamese = networks(options.backbone, options.resolution)
    images = torch.randn(options.batch, 3, options.crop, options.crop)
    tags = (torch.rand(options.batch, CLASSES - 1) < 0.3).float()
    side = siamese.inputs.side(siamese.params.scale * options.crop)
    levels = [stored_levels(network, images) if options.stored else None for network in (plain, siamese)]
    with supplying(plain, levels[0], images), supplying(siamese, levels[1], images):
        steps = (lambda: plain_passes(plain, images, tags, side), lambda: siamese_step(siamese, images, tags))
        two, one = least_seconds(steps, options.repeats)
    views = f"{options.batch} images of {options.crop} and {side} pixels"
    print(
        f"{options.backbone}, {views}: two plain passes {two:.3f} s, a step of SEAM {one:.3f} s, {one / two:.2f} times"
    )
    return int(one / two > options.require)


if __name__ == "__main__":
    sys.exit(main())
