"""The paper's own data and training, for a run at its scale; the harness's rounds use the protocol's segmenter.

Class split and label maps of the auxiliary COCO images (specification 3.2), forward pass at three scales and
learning-rate groups of the segmenters (sections 4 and 5). Their networks are the harness's: backbone ``vgg16_largefov``
with ``configs/segmenters/deeplabv1.py``, and ``resnet101_v1`` with ``deeplabv2.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

Preset = Literal["intended", "official"]
Layout = Literal["vgg16", "resnet101"]

COCO_IDS = (
    *range(1, 12),
    *range(13, 26),
    27,
    28,
    *range(31, 45),
    *range(46, 66),
    67,
    70,
    *range(72, 83),
    *range(84, 91),
)
"""The 80 category ids of COCO."""
VOC_IDS = frozenset((*range(1, 8), 9, *range(16, 22), 44, 62, 63, 64, 67, 72))
"""Those that are classes of PASCAL VOC."""


def auxiliary_labels() -> dict[int, int]:
    """COCO id -> 1..60, ascending: the classes that VOC does not have."""
    return {coco: label for label, coco in enumerate((i for i in COCO_IDS if i not in VOC_IDS), start=1)}


def segmentation_map(
    size: tuple[int, int], objects: Iterable[tuple[int, npt.NDArray[np.bool_]]]
) -> npt.NDArray[np.uint8]:
    """Whole classes painted by first appearance, later ones over earlier ones; classes of VOC stay background.

    Args:
        size: (H, W).
        objects: (COCO id, (H, W) bool) of each object in file order.
    """
    labels = auxiliary_labels()
    masks: dict[int, npt.NDArray[np.bool_]] = {}
    for coco, mask in objects:
        if coco in labels:
            masks[coco] = masks[coco] | mask if coco in masks else mask
    painted = np.zeros(size, np.uint8)
    for coco, mask in masks.items():
        painted[mask] = labels[coco]
    return painted


def box_map(size: tuple[int, int], boxes: Iterable[tuple[float, float, float, float, int]]) -> npt.NDArray[np.uint8]:
    """Boxes (x1, y1, x2, y2, COCO id) painted in file order, int x1 .. int x2 inclusive: the labels of stage 0."""
    labels = auxiliary_labels()
    painted = np.zeros(size, np.uint8)
    for x1, y1, x2, y2, coco in boxes:
        if coco in labels:
            painted[int(y1) : int(y2) + 1, int(x1) : int(x2) + 1] = labels[coco]
    return painted


def multi_scale(base: Callable[[Tensor], Tensor], x: Tensor) -> list[Tensor]:
    """Logits at scales 1, .5, .75 and their maximum on the grid of scale 1; the last one is the prediction."""
    logits = [base(x)]
    for scale in (0.5, 0.75):
        size = [int(side * scale) for side in x.shape[2:]]
        logits.append(base(functional.interpolate(x, size, mode="bilinear", align_corners=False)))
    largest = logits[0].shape[2:]
    aligned = [functional.interpolate(level, largest, mode="bilinear", align_corners=False) for level in logits]
    return [*logits, torch.stack(aligned).amax(0)]


def grid_rows(side: int, cells: int) -> list[int]:
    """Rows that nearest resizing picks at the cells' centres: floor((i + .5) side / cells)."""
    return [int((i + 0.5) * side / cells) for i in range(cells)]


def rate_groups(
    parameters: Iterable[tuple[str, nn.Parameter]], layout: Layout, preset: Preset = "intended"
) -> dict[int, list[nn.Parameter]]:
    """Learning-rate multiple -> parameters: ten times the body's rate in the head, biases at twice their layer's.

    ``official`` keeps what the released code does: VGG's head at the body's rates (D1), and of ResNet-101's head the
    biases alone, its norms not at all (D2).

    Args:
        parameters: (name, tensor) of an mmseg segmenter, as ``named_parameters`` yields them.
        layout: Which of the paper's two networks it is.
        preset: Of the plugin.
    """
    groups: dict[int, list[nn.Parameter]] = {1: [], 2: [], 10: [], 20: []}
    for name, parameter in parameters:
        bias, in_head = name.endswith("bias"), name.startswith("decode_head.")
        if preset == "intended" and in_head:
            multiple = 20 if bias else 10
        elif layout == "vgg16":
            multiple = 2 if bias else 1
        elif preset == "intended":
            multiple = 1
        elif in_head:
            multiple = 20 if bias else 0
        else:
            multiple = 1 if parameter.ndim == 4 else 0
        if multiple:
            groups[multiple].append(parameter)
    return groups
