"""The mathematics of AFA (arXiv 2203.02664): affinity from attention, pixel-adaptive refinement, labels of a step.

Tensors in, tensors out. Names of sizes:

* B images, C foreground classes, K planes: the background and, of each image, the classes that it is tagged with;
* N = h x w cells of the last stage's grid, row by row;
* H x W pixels of the crop. Labels are (B, H, W) int64 with 255 = not learned from.

What is unusual here:

* The affinity is one product of matrices. The sum over heads of w_h (S_h + S_h^T) with S_h = Q_h K_h^T is M + M^T,
  where M = [w_1 Q_1 ... w_n Q_n] [K_1 ... K_n]^T, so no head's N x N map exists.
* A step of the refinement is a weighted sum over rows of a table, which torch offers for embeddings: no loop sees a
  pixel or a neighbour. It is linear, so the maps of both background scores, before and behind the walk, go through it
  side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

IGNORE = 255
SOFTNESS = 0.3
"""Of the refinement: how many standard deviations a neighbour may differ."""
POSITION_WEIGHT = 0.01
"""Of the refinement: share of the distance, beside that of the colour."""
WALK_FLOOR = 0.1
"""Keeps a cell that nothing resembles from gaining weight by the walk's normalisation."""
_DIRECTIONS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


def affinity(queries: Tensor, keys: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Affinity of each two cells, from the raw attention of several heads (eq. 3).

    Args:
        queries: (B, heads, N, d), without the attention's scaling by 1 / sqrt(d).
        keys: (B, heads, N, d).
        weight: (heads,) of the learned sum.
        bias: (1,).

    Returns:
        (B, N, N) in (0, 1), symmetric.
    """
    weighted = (queries * weight[:, None, None]).transpose(1, 2).flatten(2)
    logits = weighted @ keys.transpose(1, 2).flatten(2).transpose(1, 2)
    return torch.sigmoid(logits + logits.transpose(1, 2) + bias)


def class_maps(planes: Sequence[tuple[Tensor, Tensor | None]], size: tuple[int, int]) -> Tensor:
    """Class activation maps of several scales as one, from 0 to 1 for each image and class (eq. 1).

    Args:
        planes: Of each scale V x4 (B, C, h, w), and the same of the mirrored image, not mirrored back, or nothing.
        size: (H, W) of the crop.
    """
    total = torch.zeros(())
    for plain, mirrored in planes:
        maps = functional.interpolate(plain, size, mode="bilinear")
        if mirrored is not None:
            maps = torch.maximum(maps, functional.interpolate(mirrored, size, mode="bilinear").flip(-1))
        total = total.to(maps) + maps.relu()
    total = total - total.amin((2, 3), keepdim=True)
    return total / (total.amax((2, 3), keepdim=True) + 1e-5)


def present_planes(tags: Tensor) -> tuple[Tensor, Tensor]:
    """Which class each plane of an image shows.

    Args:
        tags: (B, C) 1 where the class is present.

    Returns:
        (B, K) int64 class index, 0 in the first plane; (B, K) bool, False where an image has fewer classes than others.
    """
    width = int(tags.sum(1).amax())
    order = tags.sort(dim=1, descending=True, stable=True).indices[:, :width]
    classes = functional.pad(order + 1, (1, 0))
    used = functional.pad(tags.gather(1, order) > 0, (1, 0), value=True)
    return classes, used


def probabilities(maps: Tensor, background: float, classes: Tensor, used: Tensor) -> Tensor:
    """Softmax over a constant background score and the maps of the present classes.

    Args:
        maps: (B, C, h, w), all classes.
        background: Score of the background.
        classes: (B, K) as ``present_planes`` says.
        used: (B, K).

    Returns:
        (B, K, h, w), 0 in planes that an image has no class for.
    """
    scored = functional.pad(maps, (0, 0, 0, 0, 1, 0), value=background)
    index = classes[:, :, None, None].expand(-1, -1, *maps.shape[2:])
    return scored.gather(1, index).masked_fill(~used[:, :, None, None], -torch.inf).softmax(1)


def named(planes: Tensor, classes: Tensor) -> Tensor:
    """The class of the highest plane: (B, K, H, W) and (B, K) -> (B, H, W) int64."""
    highest = planes.argmax(1)
    return classes.gather(1, highest.flatten(1)).view_as(highest)


def agreed_label(high: Tensor, low: Tensor, inside: Tensor) -> Tensor:
    """One label of two: classes that withstand the high background score, background that not even the low one moves.

    Args:
        high: (B, H, W) class index under the high score.
        low: The same under the low score.
        inside: (B, H, W) bool, the image inside its crop.
    """
    label = high.masked_fill((high == 0) & (low != 0), IGNORE)
    return label.masked_fill(~inside, IGNORE)


class Neighbourhood(NamedTuple):
    """Where the refinement looks from each pixel, and what it counts there; n = 8 for each dilation.

    Attributes:
        places: (B x H x W, n) int32, neighbours among the pixels of the whole batch; the border goes on beyond it.
        share: (B x H x W, n) float32, whose sum over neighbours is 1.01.
        size: (H, W).
    """

    places: Tensor
    share: Tensor
    size: tuple[int, int]


def neighbour_index(images: int, size: tuple[int, int], dilations: Sequence[int], device: torch.device) -> Tensor:
    """The neighbours of each pixel of ``images`` images, as ``Neighbourhood.places``."""
    (rows, columns), moves = size, [(dy * step, dx * step) for step in dilations for dy, dx in _DIRECTIONS]
    down, right = torch.tensor(moves, device=device).unbind(1)
    row = (torch.arange(rows, device=device)[:, None] + down).clamp_(0, rows - 1)
    column = (torch.arange(columns, device=device)[:, None] + right).clamp_(0, columns - 1)
    within = (row[:, None] * columns + column).flatten(0, 1)
    first = torch.arange(images, device=device)[:, None, None] * (rows * columns)
    return (first + within).flatten(0, 1).int()


def neighbourhood(image: Tensor, dilations: Sequence[int]) -> Neighbourhood:
    """What each neighbour counts for a pixel (eq. 8 to 10).

    Args:
        image: (B, 3, H, W), 0 to 255.
        dilations: Distances of the neighbours.
    """
    size = (image.shape[2], image.shape[3])
    index = neighbour_index(len(image), size, dilations, image.device)
    colours = image.transpose(0, 1).flatten(1)
    likeness = torch.zeros(index.shape, device=image.device)
    for colour in colours:
        around = colour.index_select(0, index.flatten()).view_as(index)
        spread = (around - around.mean(1, keepdim=True)).square_().sum(1, keepdim=True).div_(index.shape[1] - 1).sqrt_()
        likeness -= (around - colour[:, None]).div_((spread + 1e-8) * SOFTNESS).square_()
    length = torch.tensor([step * (dy * dy + dx * dx) ** 0.5 for step in dilations for dy, dx in _DIRECTIONS])
    near = -(length / ((length.std() + 1e-8) * SOFTNESS)).square_()
    share = (likeness / len(colours)).softmax(1) + POSITION_WEIGHT * near.softmax(0).to(image)
    return Neighbourhood(index, share, size)


def refined(maps: Tensor, around: Neighbourhood, iterations: int) -> Tensor:
    """Pixel-adaptive refinement (eq. 11): each pixel becomes the weighted sum of its neighbours, several times.

    Args:
        maps: (B, K, h, w), brought to the size of the neighbourhood.
        around: Neighbours and weights.
        iterations: How often.

    Returns:
        (B, K, H, W). Planes do not see each other.
    """
    maps = functional.interpolate(maps, around.size, mode="bilinear", align_corners=True)
    images, planes = maps.shape[:2]
    pixels = maps.flatten(2).transpose(1, 2).flatten(0, 1)
    for _ in range(iterations):
        pixels = functional.embedding_bag(around.places, pixels, per_sample_weights=around.share, mode="sum")
    return pixels.view(images, -1, planes).transpose(1, 2).reshape(images, planes, *around.size)


def pair_window(size: tuple[int, int], radius: int, device: torch.device) -> Tensor:
    """(N, N) bool: cells of a grid of ``size`` that lie at most ``radius`` rows and columns apart."""
    row, column = (
        axis.flatten() for axis in torch.meshgrid(*(torch.arange(side, device=device) for side in size), indexing="ij")
    )
    return ((row[:, None] - row).abs() <= radius) & ((column[:, None] - column).abs() <= radius)


def pair_targets(label: Tensor, window: Tensor) -> Tensor:
    """What the affinity of each two cells should be (eq. 4).

    Args:
        label: (B, h, w) classes of the cells, 255 = unknown.
        window: (N, N) of ``pair_window``.

    Returns:
        (B, N, N) int64: 1 for equal classes, 0 for others, 255 where one is unknown or the cells lie too far apart.
    """
    cells = label.flatten(1)
    equal = (cells[:, :, None] == cells[:, None]).long()
    known = cells != IGNORE
    return equal.masked_fill(~(known[:, :, None] & known[:, None] & window), IGNORE)


def affinity_loss(affinities: Tensor, target: Tensor) -> Tensor:
    """Equal and different pairs count the same, however many there are (eq. 5): (B, N, N) twice -> ()."""
    same, other = target == 1, target == 0
    missed = ((1 - affinities) * same).sum() / (same.sum() + 1)
    wrong = (affinities * other).sum() / (other.sum() + 1)
    return 0.5 * (missed + wrong)


def walked(planes: Tensor, affinities: Tensor, window: Tensor, power: int) -> Tensor:
    """One step of the random walk on the affinity (eq. 6 and 7, normalised over the cell that gives).

    Args:
        planes: (B, K, h, w) probabilities.
        affinities: (B, N, N).
        window: (N, N) of ``pair_window``.
        power: Of the affinity.
    """
    steps = (affinities * window).pow(power)
    steps = steps / (steps.sum(1, keepdim=True) + WALK_FLOOR)
    return (planes.flatten(2) @ steps).view_as(planes)


def segmentation_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Cross entropy in which background and objects count the same; a kind without pixels counts nothing.

    Args:
        logits: (B, 1 + C, H, W).
        label: (B, H, W).
    """
    each = functional.cross_entropy(logits, label, ignore_index=IGNORE, reduction="none")
    ground = label == 0
    objects = ~ground & (label != IGNORE)
    parts = [(each * chosen).sum() / chosen.sum().clamp(min=1) for chosen in (ground, objects)]
    return 0.5 * (parts[0] + parts[1])
