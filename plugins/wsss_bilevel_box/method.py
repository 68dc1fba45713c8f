"""LPG: Learning Class-Agnostic Pseudo Mask Generation for Box-Supervised Semantic Segmentation (arXiv 2103.05463).

A generator G_w of masks is learned on auxiliary classes, of which masks are known, and applied to the target's boxes:

    upper:  min_w  mean CE( G_w([p_c, m_c, x]), [y = c] ),   p_c = softmax(S_t*(w))_c                       (1)
    lower:  t*(w) = argmin_t CE( S_t(x), C(G_w) )                                                           (2)
    C:      y(p) = c where m_c = 1 and G_w says foreground; ``overlap`` decides where classes contend       (3)
    soft C: q_c = sigma_c m_c,  background prod_c (1 - q_c),  the rest in proportion to q_c                 (4)

m_c are the filled boxes of class c, p_c the probability that the segmenter S gives to it. The alternation and the
unrolled step that solve (1) and (2) are in ``learning.py``, the rounds on the auxiliary data set in ``auxiliary.py``.

Unusual here: foreground is a sign. The argmax over two up-sampled logits is the sign of their up-sampled difference, so
only one plane is up-sampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from harness.contract import IGNORE, Box

Overlap = Literal["first", "smallest_box", "max_logit"]


def classes_in_order(boxes: Sequence[Box]) -> tuple[int, ...]:
    """The classes of ``boxes`` by their first appearance."""
    return tuple(dict.fromkeys(box.cls for box in boxes))


def box_mask(boxes: Sequence[Box], cls: int, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """m_c of equation 1: (H, W) uint8, 1 inside any box of ``cls``."""
    mask = np.zeros(size, np.uint8)
    for box in boxes:
        if box.cls == cls:
            mask[box.y0 : box.y1, box.x0 : box.x1] = 1
    return mask


def smallest_area(boxes: Sequence[Box], cls: int, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """(H, W) float32: area of the smallest box of ``cls`` over each pixel, infinity outside all of them."""
    area = np.full(size, np.inf, np.float32)
    for box in boxes:
        if box.cls == cls:
            inside = area[box.y0 : box.y1, box.x0 : box.x1]
            np.minimum(inside, box.area, out=inside)
    return area


def probability_planes(
    logits: Tensor, images: Tensor, classes: Tensor, size: tuple[int, int], *, exact: bool, align: bool = False
) -> Tensor:
    """p_c of equation 1 for (image, class) pairs: softmax over all classes, at full size.

    Args:
        logits: (N, C, h, w) float32 of the segmenter.
        images: (P,) int64, index of each pair's image.
        classes: (P,) int64, index of each pair's class.
        size: (H, W) of the canvas.
        exact: Up-sample all C planes, then softmax, as the paper's code does. Otherwise softmax at the segmenter's
            stride and up-sample the P present planes alone, which is C times less work and differs along edges.
        align: Up-sample with ``align_corners=True``.

    Returns:
        (P, H, W) float32 in [0, 1].
    """
    if exact:
        full = functional.interpolate(logits, size, mode="bilinear", align_corners=align)
        return full.softmax(1)[images, classes]
    planes = logits.softmax(1)[images, classes]
    return functional.interpolate(planes[:, None], size, mode="bilinear", align_corners=align)[:, 0]


def margins(logits: Tensor, size: tuple[int, int], *, align: bool) -> Tensor:
    """Foreground minus background of generator logits (P, 2, h, w), up-sampled to (P, H, W)."""
    difference = logits[:, 1:] - logits[:, :1]
    return functional.interpolate(difference, size, mode="bilinear", align_corners=align)[:, 0]


def foreground(
    plane: npt.NDArray[np.float32], boxes: Sequence[Box], cls: int, min_fill: float
) -> npt.NDArray[np.bool_]:
    """Where a pixel is labelled ``cls`` unless another class has a better claim: (H, W) bool, False outside its boxes.

    Inside a box that is the sign of the margin. A box with a smaller share of foreground than ``min_fill`` is filled,
    because an object is known to be in it: our own addition, and the rule of the reference row ``box_grabcut``.

    Args:
        plane: (H, W) float32 margins.
        boxes: Of the image.
        cls: Whose boxes count.
        min_fill: In [0, 1]; 0 fills nothing.
    """
    wanted = np.zeros(plane.shape, np.bool_)
    for box in boxes:
        if box.cls == cls and box.area:
            inside = (slice(box.y0, box.y1), slice(box.x0, box.x1))
            positive = plane[inside] > 0
            wanted[inside] |= positive if positive.mean() >= min_fill else True
    return wanted


def compose(
    margin: npt.NDArray[np.float32],
    boxes: Sequence[Box],
    size: tuple[int, int],
    *,
    overlap: Overlap,
    min_fill: float = 0.0,
) -> npt.NDArray[np.uint8]:
    """The label map of one image, equation 3.

    Every labelled pixel of class c lies in a box of c; which pixels are labelled does not depend on the order of the
    classes.

    Args:
        margin: (K, H, W) float32, one plane for each of ``classes_in_order(boxes)``.
        boxes: The image's boxes in annotation order.
        size: (H, W).
        overlap: Who gets a contested pixel: the class that appears first, the one whose smallest box over the pixel has
            the least area, or the one with the largest margin; ties go to the first.
        min_fill: A box with a smaller share of foreground is filled, see ``foreground``.

    Returns:
        (H, W) uint8 class indices, 0 = background.
    """
    classes = classes_in_order(boxes)
    label = np.zeros(size, np.uint8)
    best = np.full(size, -np.inf, np.float32)
    for rank, (cls, plane) in enumerate(zip(classes, margin, strict=True)):
        if overlap == "first":
            claim = np.full(size, -rank, np.float32)
        else:
            claim = plane if overlap == "max_logit" else -smallest_area(boxes, cls, size)
        wins = foreground(plane, boxes, cls, min_fill) & (claim > best)
        label[wins] = cls
        best[wins] = claim[wins]
    return label


def soft_compose(foreground: Tensor, masks: Tensor) -> Tensor:
    """Equation 4: C as a distribution over (background, class 1 .. K), so that the lower problem has a gradient.

    q_c = sigma_c m_c; background gets prod(1 - q_c), the rest is shared in proportion to q_c.

    Args:
        foreground: (K, h, w) probability of foreground of each present class.
        masks: (K, h, w) filled boxes, fractions allowed.

    Returns:
        (1 + K, h, w), sums to one over the first axis.
    """
    claim = foreground * masks
    background = (1 - claim).prod(0, keepdim=True)
    share = claim / claim.sum(0, keepdim=True).clamp_min(1e-12)
    return torch.cat([background, (1 - background) * share])


def generator_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Equation 1: mean cross entropy over all known cells.

    Args:
        logits: (P, 2, h, w) float32.
        targets: (P, h, w) int64: 0, 1, or 255 = not learned from.
    """
    return functional.cross_entropy(logits, targets, ignore_index=IGNORE)


def at_cells(planes: Tensor, size: tuple[int, int], *, corners: bool) -> Tensor:
    """Mean of ``planes`` (N, C, H, W) around the place of each feature of a grid of ``size`` (h, w): (N, C, h, w).

    With ``corners`` feature i lies on pixel i * stride, the outer ones on the corners, and the mean is over a stride
    around it. Otherwise a feature lies at the centre of its cell.
    """
    if not corners:
        return functional.adaptive_avg_pool2d(planes, size)
    strides = [(side - 1) // max(cells - 1, 1) for side, cells in zip(planes.shape[2:], size, strict=True)]
    reach = [stride // 2 for stride in strides]
    kernel = [2 * half + 1 for half in reach]
    return functional.avg_pool2d(planes, kernel, strides, reach, count_include_pad=False)


def lower_loss(
    logits: Tensor,
    probabilities: Tensor,
    *,
    owner: Tensor,
    classes: Tensor,
    masks: Tensor,
    corners: bool = False,
) -> Tensor:
    """Equation 2, CE(S_t(x), soft C(G_w)) at the segmenter's stride, mean over cells.

    Args:
        logits: (N, C, h, w) of the segmenter.
        probabilities: (P, h', w') of foreground, at the generator's stride.
        owner: (P,) int64, which crop each pair looks at; every class of each crop is there.
        classes: (P,) int64 class indices.
        masks: (P, S, S) filled boxes of the class.
        corners: Whether outer features lie on the corners of the crop.
    """
    size = (logits.shape[2], logits.shape[3])
    claims = functional.interpolate(probabilities[:, None], size, mode="bilinear", align_corners=corners)[:, 0]
    inside = at_cells(masks.to(probabilities.dtype)[:, None], size, corners=corners)[:, 0]
    scores = logits.log_softmax(1)
    losses = []
    for n in range(len(logits)):
        pairs = owner == n
        label = soft_compose(claims[pairs], inside[pairs])
        channels = torch.cat([classes.new_zeros(1), classes[pairs]])
        losses.append(-(label * scores[n, channels]).sum(0).mean())
    return torch.stack(losses).mean()
