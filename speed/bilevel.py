"""Bi-level box: generation in rounds 2 and 3, and training of the generator, each against its usual form in one run.

    generation   batched (image, class) pairs, present channels only; against one pair at a time with all 21 channels of
                 the segmenter up-sampled (pair), and the same with one segmenter pass an image (image)
    training     probabilities cached once a round, against a segmenter pass in every step

Run ``python -m speed.bilevel``. Ratios are of processor time, which other programs on the machine disturb
least; wall time stands beside it. Exits with 1 when labels agree on less than 99.9 % of the pixels or, with
``--require``, when generation is not 2 times or training not 1.5 times as fast.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn
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

CLASSES = 21


class Segmenter(nn.Module):
    """A network with the interface of a trained segmenter."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.data_preprocessor = Uint8Preprocessor()

    def forward(self, x, mode="tensor"):
        return self.network(x)


def segmenter_of(backbone, output_stride, head):
    """A network in evaluation mode with weights drawn at random."""
    config = {"type": "EncoderDecoder", "backbone": backbone_config(find_backbone(backbone), output_stride)}
    model = mm.build({**config, "decode_head": head, "train_cfg": {}, "test_cfg": {"mode": "whole"}})
    nn.init.normal_(model.decode_head.conv_seg.weight, std=0.3)
    mm.place(model, "cpu")
    return Segmenter(model).eval()


def light(classes):
    """The segmenter of the photograph benchmarks: MobileNetV2 x0.35 and an all-MLP head at stride 8."""
    channels = list(find_backbone("mobilenet_v2_x0.35").channels[1:])
    sizes = {"in_channels": channels, "in_index": [1, 2, 3], "channels": 64, "num_classes": classes}
    head = {"type": "SegformerHead", **sizes, "norm_cfg": {"type": "BN"}, "align_corners": False}
    return segmenter_of("mobilenet_v2_x0.35", 16, head)


def large_fov(classes):
    """The segmenter of the paper, VGG16-LargeFOV."""
    head = {"type": "harness.modelling.heads.LinearHead", "in_channels": 1024, "in_index": -1, "num_classes": classes}
    return segmenter_of("vgg16_largefov", 8, head)


def scenes(count, side, classes):
    """Noisy grounds with ellipses in the colour of their class: 1.6 classes an image, as in PASCAL VOC."""
    found = []
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
        found.append(Scene(str(n), image.clip(0, 255).astype(np.uint8), mask, tuple(boxes)))
    return found


@torch.inference_mode()
def usual(generator, segmenter, items, canvas, *, each_pair):
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
            found = generator(assemble(placed, mask, seen[:, cls], unit=True))
            full = functional.interpolate(found, size, mode="bilinear", align_corners=False)
            planes.append((full.argmax(1)[0].float() - 0.5).numpy()[: image.shape[0], : image.shape[1]])
        yield name, compose(np.array(planes), boxes, image.shape[:2], overlap="smallest_box")


def timed(function, repeats):
    """Result, and the smallest (processor, wall) seconds."""
    spent = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        result = function()
        spent.append((time.process_time() - cpu, time.perf_counter() - wall))
    return result, np.min(spent, axis=0)


def generation(options):
    """Lines of the table; whether speed and agreement are as promised."""
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

    def ours():
        return dict(pseudo_labels(fused, items, rules=rules, device="cpu", segmenter=folded))

    ours()
    found, quick = timed(ours, options.repeats)
    fine = True
    for name, each_pair in (("pair", True), ("image", False)):

        def theirs(each_pair=each_pair):
            return dict(usual(generator, segmenter, items, options.canvas, each_pair=each_pair))

        other, slow = timed(theirs, options.repeats)
        same = np.mean(np.concatenate([(found[k] == other[k]).ravel() for k in found]))
        kept = np.mean(np.concatenate([(found[k] > 0).ravel() for k in found]))
        print(
            f"generation {name:6} ours {quick[0]:7.2f} s CPU {quick[1]:7.2f} s wall, usual {slow[0]:7.2f} /"
            f" {slow[1]:7.2f}  faster {slow[0] / quick[0]:5.2f}x  equal pixels {100 * same:7.3f} %"
            f"  foreground {100 * kept:5.1f} %",
            flush=True,
        )
        fine &= same >= 0.999 and (not options.require or name == "image" or slow[0] >= 2 * quick[0])
    return fine


def teach(segmenter, drawn, count):
    """Some steps of training, so that probabilities say something."""
    optimizer = torch.optim.Adam(segmenter.parameters(), lr=5e-3)
    padded = [np.pad(s.mask, [(0, 96 - side) for side in s.mask.shape]) for s in drawn]
    stack = [on_canvas(s.image, 96)[0] for s in drawn], padded
    images, masks = (torch.from_numpy(np.stack(part)) for part in stack)
    for step in range(count):
        chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(step))[:8]
        logits = segmenter.train()(segmenter.data_preprocessor.normalise(images[chosen]))
        full = functional.interpolate(logits, (96, 96), mode="bilinear", align_corners=False)
        optimizer.zero_grad()
        functional.cross_entropy(full, masks[chosen].long()).backward()
        optimizer.step()
    segmenter.eval()


def steps(generator, stream, probability, count):
    """Some steps of training."""
    with tempfile.TemporaryDirectory() as work:
        fit(Fitting(generator, probability), stream, Schedule(count, 4, 1e-3), fake_context(Path(work)), seed=0)


@torch.inference_mode()
def centre(generator, segmenter, drawn, canvas):
    """Shift the last bias until half of what lies in boxes is foreground: labels are never empty."""
    batch = PairStream(drawn, crop=canvas, seed=1).batch(0, 8)
    x = assemble(batch.images[batch.owner], batch.masks, Probability(segmenter).of(batch), unit=True)
    difference = generator(x).diff(dim=1)[:, 0]
    inside = batch.masks[:, 2::4, 2::4] > 0
    generator.head[-1].bias[1] -= difference[inside].median()


def training(options, name, segmenter, generator, classes, crop):
    """One line of the table; whether the cache pays as promised."""
    drawn = scenes(8, crop, classes)
    with torch.no_grad():
        planes, building = timed(lambda: cached_planes(segmenter, drawn, crop, "cpu"), 1)
    spent = {}
    for form in ("uncached", "cached"):
        stream = PairStream(drawn, crop=crop, seed=0, planes=planes if form == "cached" else None)
        probability = Probability(None if form == "cached" else segmenter)
        steps(generator, stream, probability, 1)
        spent[form] = timed(partial(steps, generator, stream, probability, options.train_steps), 1)[1]
    ratio = spent["uncached"][0] / spent["cached"][0]
    print(
        f"training {name:10} uncached {spent['uncached'][0]:7.2f} s CPU {spent['uncached'][1]:7.2f} s wall, "
        f"cached {spent['cached'][0]:7.2f} / {spent['cached'][1]:7.2f}  faster {ratio:5.2f}x "
        f"(cache of 8 images {building[0]:.2f} s CPU)",
        flush=True,
    )
    return ratio


def main():
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
    ratio = training(options, "paper", large_fov(61), MaskGenerator(5), 61, 128)
    fine &= not options.require or ratio >= 1.5
    segmenter = light(4)
    training(options, "light", segmenter, make_generator("backbone", 5, backbone="mobilenet_v2_x0.35"), 4, 224)
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
