"""The stub classifier and the pictures of the published vectors."""

import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from harness.contract.inputs import IMAGENET_MEAN, IMAGENET_STD
from wsss_class_conditional.inference import Inference
from wsss_class_conditional.params import InferenceParams
from wsss_class_conditional.responses import Views

VECTORS = json.loads((Path(__file__).parent / "vectors/class_conditional.json").read_text())
NUM_CLASSES = 20
SCALES = (1.0, 0.5, 1.5, 2.0)


class Stub:
    """Red drives the first listed class, green the second, blue the third; counts the views it has seen."""

    def __init__(self, classes=(0, 14, 6), stride=8):
        self.classes, self.stride = classes, stride
        self.views = 0

    def __call__(self, batch):
        self.views += len(batch)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) / 255 for values in (IMAGENET_MEAN, IMAGENET_STD))
        rgb = functional.avg_pool2d(batch * std + mean, self.stride, self.stride, ceil_mode=True)
        maps = torch.zeros(len(batch), NUM_CLASSES, *rgb.shape[2:])
        for channel, cls in enumerate(self.classes):
            others = [k for k in range(3) if k != channel]
            maps[:, cls] = (rgb[:, channel] - rgb[:, others].amax(1)).relu()
        return maps


def infer(image, classes, *, preset="official", forward=None, views=None, **switches):
    """Maps of one picture; ``classes`` are the stub's, 0-based, and only those listed are tagged."""
    params = InferenceParams(preset=preset, **{"lengths": "pixels", **switches})  # those of the published vectors
    fixed = preset == "intended"
    views = views or Views(SCALES, mask_chain=not fixed, mask_mirror=fixed)
    inference = Inference(forward or Stub(), params, views)
    (found,) = inference([("picture", image, tuple(sorted(cls + 1 for cls in classes)))])
    return found


def canvas(height, width, *areas, background=(0, 0, 0)):
    """A picture with (first row, last row, first column, last column, colour) areas, inclusive."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:] = background
    for top, bottom, left, right, colour in areas:
        image[top : bottom + 1, left : right + 1] = colour
    return image


def ramp():
    """The picture of the end-to-end vectors."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[16:48, 8:56, 0] = np.linspace(60, 255, 48).astype(np.uint8)
    return image
