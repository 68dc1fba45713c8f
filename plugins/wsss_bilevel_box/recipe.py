"""The paper's own data and segmenters, for a run at its scale; the harness's rounds use the protocol's segmenter.

Class split and label maps of the auxiliary COCO images (specification 3.2), VGG16-LargeFOV and DeepLabV2-ResNet-101
(sections 4 and 5) with the learning-rate groups of both presets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

Preset = Literal["intended", "official"]

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


class LargeFov(nn.Module):
    """VGG16-LargeFOV: stride 8, fc6 with dilation 12."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        stages = ((2, 64, 2, 1), (2, 128, 2, 1), (3, 256, 2, 1), (3, 512, 1, 1), (3, 512, 1, 2))
        for count, outputs, stride, dilation in stages:
            for _ in range(count):
                layers += [nn.Conv2d(inputs, outputs, 3, 1, dilation, dilation), nn.ReLU(inplace=True)]
                inputs = outputs
            layers.append(nn.MaxPool2d(3, stride, 1))
        self.body = nn.Sequential(
            *layers,
            nn.AvgPool2d(3, 1, 1),
            nn.Conv2d(512, 1024, 3, 1, 12, 12),
            nn.ReLU(inplace=True),
            nn.Dropout2d(0.5),
            nn.Conv2d(1024, 1024, 1),
            nn.ReLU(inplace=True),
            nn.Dropout2d(0.5),
        )
        self.head = nn.Conv2d(1024, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> logits (B, C, H / 8, W / 8), sides rounded up."""
        return self.head(self.body(x))


class Aspp(nn.Module):
    """Sum of 3x3 convolutions with dilation 6, 12, 18, 24."""

    def __init__(self, inputs: int, num_classes: int) -> None:
        super().__init__()
        for n, dilation in enumerate((6, 12, 18, 24)):
            self.add_module(f"c{n}", nn.Conv2d(inputs, num_classes, 3, 1, dilation, dilation))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2048, h, w) -> (B, C, h, w)."""
        return torch.stack([branch(x) for branch in self.children()]).sum(0)


class DeepLabV2(nn.Module):
    """ResNet-101 with dilated stages 3 and 4 and ASPP.

    Args:
        num_classes: C.
        stem_pool: With the stem's max-pool the output stride is 8; the released code leaves it out, stride 4.
    """

    def __init__(self, num_classes: int, *, stem_pool: bool = True) -> None:
        super().__init__()
        from torchvision.models import resnet101

        body = resnet101(weights=None, replace_stride_with_dilation=[False, True, True])
        stem = [body.conv1, body.bn1, body.relu, *([body.maxpool] if stem_pool else [])]
        self.body = nn.Sequential(*stem, body.layer1, body.layer2, body.layer3, body.layer4)
        self.aspp = Aspp(2048, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> logits (B, C, h, w)."""
        return self.aspp(self.body(x))


def multi_scale(base: Callable[[Tensor], Tensor], x: Tensor) -> list[Tensor]:
    """Logits at scales 1, .5, .75 and their maximum on the grid of scale 1; the last one is the prediction."""
    found = [base(x)]
    for scale in (0.5, 0.75):
        size = [int(side * scale) for side in x.shape[2:]]
        found.append(base(functional.interpolate(x, size, mode="bilinear", align_corners=False)))
    size = found[0].shape[2:]
    aligned = [functional.interpolate(f, size, mode="bilinear", align_corners=False) for f in found]
    return [*found, torch.stack(aligned).amax(0)]


def grid_rows(side: int, cells: int) -> list[int]:
    """Rows that nearest resizing picks at the cells' centres: floor((i + .5) side / cells)."""
    return [int((i + 0.5) * side / cells) for i in range(cells)]


def rate_groups(network: LargeFov | DeepLabV2, preset: Preset = "intended") -> Mapping[int, Sequence[nn.Parameter]]:
    """Learning-rate multiple -> parameters.

    ``official`` keeps what the released code does: VGG's classifier at the body's rates (D1), and of ResNet-101's ASPP
    the biases alone, its norms not at all (D2).
    """
    head = "head." if isinstance(network, LargeFov) else "aspp."
    groups: dict[int, list[nn.Parameter]] = {1: [], 2: [], 10: [], 20: []}
    for name, parameter in network.named_parameters():
        multiple = _multiple(name, parameter, network, preset, in_head=name.startswith(head))
        if multiple:
            groups[multiple].append(parameter)
    return groups


def _multiple(name: str, parameter: nn.Parameter, network: nn.Module, preset: Preset, *, in_head: bool) -> int:
    """The rate of one tensor; 0 leaves it out."""
    bias = name.endswith("bias")
    if isinstance(network, LargeFov):
        return (20 if bias else 10) if in_head and preset == "intended" else (2 if bias else 1)
    if preset == "intended":
        return (20 if bias else 10) if in_head else 1
    if in_head:
        return 20 if bias else 0
    return 1 if parameter.ndim == 4 else 0
