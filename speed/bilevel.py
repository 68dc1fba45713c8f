"""Compares two parts of bi-level box with their usual forms: generating labels, and training the mask generator.

*Generation* (rounds 2 and 3) batches (image, class) pairs and looks at present channels only. Its usual forms go one
pair at a time and up-sample all 21 channels of the segmenter. They run the segmenter once per pair (*pair*) or once per
image (*image*). *Training* caches the segmenter's probabilities once per round; its usual form runs the segmenter in
every step.

Run ``python -m speed.bilevel``. Ratios are of processor time, which other programs on the machine disturb least; wall
time stands beside it. The script ends with 1 when labels agree on less than 99.9 % of the pixels or, with
``--require``, when generation is not 2 times or training not 1.5 times as fast.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.contract import Box
from harness.modelling import mm
from harness.modelling.backbones import backbone_config, find_backbone
from harness.modelling.preprocess import Uint8Preprocessor
from harness.testing import fake_context
from wsss_bilevel_box.auxiliary import cached_planes, make_generator
from wsss_bilevel_box.labels import Rules, pseudo_labels
from wsss_bilevel_box.learning import Fitting, Probability, Schedule, fit
from wsss_bilevel_box.method import box_mask, classes_in_order, compose
from wsss_bilevel_box.network import MaskGenerator, assemble
from wsss_bilevel_box.pairs import PairStream, Scene, on_canvas

R = TypeVar("R")
Item = tuple[str, npt.NDArray[np.uint8], tuple[Box, ...]]
"""Id, (H, W, 3) uint8, boxes."""
CLASSES = 21


class Segmenter(nn.Module):
    """A network with the interface of a trained segmenter."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.data_preprocessor = Uint8Preprocessor()

    def forward(self, x: Tensor, mode: str = "tensor") -> Any:
        return self.network(x)


def segmenter_of(backbone: str, output_stride: int, head: dict[str, Any]) -> Segmenter:
    """A network in evaluation mode with random weights."""
    config = {"type": "EncoderDecoder", "backbone": backbone_config(find_backbone(backbone), output_stride)}
    model: Any = mm.build({**config, "decode_head": head, "train_cfg": {}, "test_cfg": {"mode": "whole"}})
    nn.init.normal_(model.decode_head.conv_seg.weight, std=0.3)
    mm.place(model, "cpu")
    return Segmenter(model).eval()


def light(classes: int) -> Segmenter:
    """The segmenter of the photograph benchmarks: MobileNetV2 x0.35 and an all-MLP head at stride 8."""
    channels = list(find_backbone("mobilenet_v2_x0.35").channels[1:])
    sizes = {"in_channels": channels, "in_index": [1, 2, 3], "channels": 64, "num_classes": classes}
    head = {"type": "SegformerHead", **sizes, "norm_cfg": {"type": "BN"}, "align_corners": False}
    return segmenter_of("mobilenet_v2_x0.35", 16, head)


def large_fov(classes: int) -> Segmenter:
    """The segmenter of the paper, VGG16-LargeFOV."""
    head = {"type": "harness.modelling.heads.LinearHead", "in_channels": 1024, "in_index": -1, "num_classes": classes}
    return segmenter_of("vgg16_largefov", 8, head)


def scenes(count: int, side: int, classes: int) -> list[Scene]:
    """Noisy grounds with ellipses in the colours of their classes: 1.6 classes per image, as in PASCAL VOC."""
    drawn = []
    colours = np.random.default_rng(7).uniform(0, 255, (classes, 3))
    for n in range(count):
        rng = np.random.default_rng(n)
        height, width = (side * 3 // 4, side) if n % 3 else (side, side * 3 // 4)
        image = rng.normal(110, 12, (height, width, 3))
        mask = np.zeros((height, width), np.uint8)
        boxes = []
        for _ in range(1 + (n % 5 > 1)):
            cls = int(rng.integers(1, classes))
            h, w = (int(rng.uniform(0.3, 0.6) * s) for s in (height, width))
            y, x = int(rng.integers(0, height - h)), int(rng.integers(0, width - w))
            rows, columns = np.ogrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
            inside = rows**2 + columns**2 <= 1
            mask[y : y + h, x : x + w][inside] = cls
            image[y : y + h, x : x + w][inside] = rng.normal(colours[cls], 25, (int(inside.sum()), 3))
            boxes.append(Box(cls, x, y, x + w, y + h))
        drawn.append(Scene(str(n), image.clip(0, 255).astype(np.uint8), mask, tuple(boxes)))
    return drawn


@torch.inference_mode()
def usual(
    generator: nn.Module, segmenter: Segmenter, items: Iterable[Item], canvas: int, *, each_pair: bool
) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    """One pair at a time; all channels up-sampled to the canvas, then softmax; both logits up-sampled, then argmax."""
    size = (canvas, canvas)
    for name, image, boxes in items:
        placed = torch.from_numpy(on_canvas(image, canvas)[0])[None]
        planes, seen = [], None
        for cls in classes_in_order(boxes):
            if seen is None or each_pair:
                logits = segmenter(segmenter.data_preprocessor.normalise(placed))
                seen = functional.interpolate(logits, size, mode="bilinear", align_corners=False).softmax(1)
            mask = torch.from_numpy(box_mask(boxes, cls, size))[None]
            logits = generator(assemble(placed, mask, seen[:, cls], unit=True))
            full = functional.interpolate(logits, size, mode="bilinear", align_corners=False)
            planes.append((full.argmax(1)[0].float() - 0.5).numpy()[: image.shape[0], : image.shape[1]])
        yield name, compose(np.array(planes), boxes, image.shape[:2], overlap="smallest_box")


def timed(function: Callable[[], R], repeats: int) -> tuple[R, npt.NDArray[np.float64]]:
    """The result, and the smallest processor and wall seconds."""
    spent = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        result = function()
        spent.append((time.process_time() - cpu, time.perf_counter() - wall))
    return result, np.min(spent, axis=0)


def generation(options: argparse.Namespace) -> bool:
    """Print two lines of the table; whether speed and agreement are as promised."""
    segmenter = light(CLASSES)
    drawn = scenes(options.images, options.canvas, CLASSES)
    torch.manual_seed(0)
    generator = make_generator(options.network, 5, backbone="mobilenet_v2_x0.35")
    teach(segmenter, scenes(64, 96, CLASSES), 2 * options.steps)
    steps(generator, PairStream(scenes(64, 96, CLASSES), crop=96, seed=0), Probability(segmenter), options.steps)
    centre(generator.eval(), segmenter, drawn, options.canvas)
    items = [(s.image_id, s.image, s.boxes) for s in drawn]
    rules = Rules(options.canvas)
    fused = mm.fuse_conv_bn(copy.deepcopy(generator))
    folded = mm.fuse_conv_bn(copy.deepcopy(segmenter))

    def ours() -> dict[str, npt.NDArray[np.uint8]]:
        return dict(pseudo_labels(fused, items, rules=rules, device="cpu", segmenter=folded))

    ours()
    labels, quick = timed(ours, options.repeats)
    fine = True
    for name, each_pair in (("pair", True), ("image", False)):

        def theirs(each_pair: bool = each_pair) -> dict[str, npt.NDArray[np.uint8]]:
            return dict(usual(generator, segmenter, items, options.canvas, each_pair=each_pair))

        other, slow = timed(theirs, options.repeats)
        same = float(np.mean(np.concatenate([(labels[k] == other[k]).ravel() for k in labels])))
        kept = np.mean(np.concatenate([(labels[k] > 0).ravel() for k in labels]))
        print(
            f"generation {name:6} ours {quick[0]:7.2f} s CPU {quick[1]:7.2f} s wall, usual {slow[0]:7.2f} /"
            f" {slow[1]:7.2f}  faster {slow[0] / quick[0]:5.2f}x  equal pixels {100 * same:7.3f} %"
            f"  foreground {100 * kept:5.1f} %",
            flush=True,
        )
        fine &= same >= 0.999 and (not options.require or name == "image" or bool(slow[0] >= 2 * quick[0]))
    return fine


def teach(segmenter: Segmenter, drawn: Sequence[Scene], count: int) -> None:
    """Some steps of training, so that the probabilities differ between classes."""
    optimizer = torch.optim.Adam(segmenter.parameters(), lr=5e-3)
    padded = [np.pad(s.mask, [(0, 96 - side) for side in s.mask.shape]) for s in drawn]
    stack = [on_canvas(s.image, 96)[0] for s in drawn], padded
    images, masks = (torch.from_numpy(np.stack(part)) for part in stack)
    for step in range(count):
        chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(step))[:8]
        logits = segmenter.train()(segmenter.data_preprocessor.normalise(images[chosen]))
        full = functional.interpolate(logits, (96, 96), mode="bilinear", align_corners=False)
        optimizer.zero_grad()
        torch.autograd.backward(functional.cross_entropy(full, masks[chosen].long()))
        optimizer.step()
    segmenter.eval()


def steps(generator: nn.Module, stream: PairStream, probability: Probability, count: int) -> None:
    """Some steps of training of the generator."""
    with tempfile.TemporaryDirectory() as work:
        fit(Fitting(generator, probability), stream, Schedule(count, 4, 1e-3), fake_context(Path(work)), seed=0)


@torch.inference_mode()
def centre(generator: Any, segmenter: Segmenter, drawn: Sequence[Scene], canvas: int) -> None:
    """Shift the last bias until half of what lies in boxes is foreground, so that no label is empty."""
    batch = PairStream(drawn, crop=canvas, seed=1).batch(0, 8)
    x = assemble(batch.images[batch.owner], batch.masks, Probability(segmenter).of(batch), unit=True)
    difference = generator(x).diff(dim=1)[:, 0]
    inside = batch.masks[:, 2::4, 2::4] > 0
    generator.head[-1].bias[1] -= difference[inside].median()


def training(
    name: str, segmenter: Segmenter, generator: nn.Module, *, classes: int, crop: int, train_steps: int
) -> float:
    """Print one line of the table; how many times as fast the cache makes the training."""
    drawn = scenes(8, crop, classes)
    with torch.no_grad():
        planes, building = timed(lambda: cached_planes(segmenter, drawn, crop, "cpu"), 1)
    spent = {}
    for form in ("uncached", "cached"):
        stream = PairStream(drawn, crop=crop, seed=0, planes=planes if form == "cached" else None)
        probability = Probability(None if form == "cached" else segmenter)
        steps(generator, stream, probability, 1)
        spent[form] = timed(partial(steps, generator, stream, probability, train_steps), 1)[1]
    ratio = float(spent["uncached"][0] / spent["cached"][0])
    print(
        f"training {name:10} uncached {spent['uncached'][0]:7.2f} s CPU {spent['uncached'][1]:7.2f} s wall, "
        f"cached {spent['cached'][0]:7.2f} / {spent['cached'][1]:7.2f}  faster {ratio:5.2f}x "
        f"(cache of 8 images {building[0]:.2f} s CPU)",
        flush=True,
    )
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--canvas", type=int, default=320)
    parser.add_argument("--network", default="backbone", choices=("backbone", "small", "hourglass"))
    parser.add_argument("--steps", type=int, default=60, help="training steps of the generator before it is timed")
    parser.add_argument("--train-steps", type=int, default=4, help="timed training steps")
    parser.add_argument("--repeats", type=int, default=2, help="the fastest of these counts")
    parser.add_argument("--require", action="store_true", help="fail when a speed is not as promised")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    fine = generation(options)
    torch.manual_seed(0)
    train_steps = options.train_steps
    ratio = training("paper", large_fov(61), MaskGenerator(5), classes=61, crop=128, train_steps=train_steps)
    fine &= not options.require or ratio >= 1.5
    generator = make_generator("backbone", 5, backbone="mobilenet_v2_x0.35")
    training("light", light(4), generator, classes=4, crop=224, train_steps=train_steps)
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
