"""Tree energy loss (arXiv 2203.10739) and What's the Point (arXiv 1506.02106): what few labelled pixels teach.

Tree energy loss, of P = softmax(logits) at the resolution of the logits, the image I and an embedding E:

    Y1 = F(P; tree of I, exp(-|I_i - I_j|^2 / sigma))        low level                            (1)
    Y2 = F(Y1; tree of E, exp(-|E_i - E_j|^2))               high level                           (2)
    L  = sum over unlabelled pixels |P - Y2|_1 / their number in the batch                        (3)

F is the filter of ``tree``. Nothing is detached: the gradient goes through P, through the filtered Y, and through the
similarities of E; the trees themselves have none.

What's the Point, of S = softmax(logits), the classes L that the image has, those L' that it lacks, and its points s:

    L_image  = -1/|L| sum_{c in L} ln max_i S_ic - 1/|L'| sum_{c in L'} ln(1 - max_i S_ic)        (4)
    L_points = -1/|s| sum_{i in s} ln S_i,class(i)                                                (5)
    L_object = -1/|I| sum_i [P_i ln sum_{c in O} S_ic + (1 - P_i) ln(1 - sum_{c in O} S_ic)]      (6)

where O are the object classes and P is how much a pixel looks like an object, from the image alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from wsss_tree_energy.tree import TRACE, minimum_spanning_forest, squared_differences, tree_filter

EPS = 1e-6
"""Smallest probability whose logarithm is taken."""


def edge_distances(features: Tensor, outside: Tensor | None = None) -> Tensor:
    """|f_i - f_j|^2 between neighbours, infinite where one of them lies outside the image.

    No path between two pixels of the image then leads through padding, whose equal colours would join all that
    touches it, and what lies outside reaches nothing inside.

    Args:
        features: (B, C, h, w).
        outside: (B, h, w) bool, ``None`` = nowhere.

    Returns:
        (B, E) in the order of ``tree.grid_edges``.
    """
    distances = squared_differences(features)
    if outside is None:
        return distances
    beyond = torch.cat(
        [(outside[:, 1:] | outside[:, :-1]).flatten(1), (outside[:, :, 1:] | outside[:, :, :-1]).flatten(1)], dim=1
    )
    return distances.masked_fill(beyond, torch.inf)


def along_tree(x: Tensor, distances: Tensor, sigma: float = 1.0) -> Tensor:
    """Equations 1 and 2: (B, C, h, w) filtered along the minimum spanning trees of (B, E) distances."""
    forest = minimum_spanning_forest(distances, x.shape[2], x.shape[3])
    similarity = torch.exp(-distances / sigma)
    return tree_filter(x, similarity.masked_fill(similarity < TRACE, 0), forest)


def tree_energy(probabilities: Tensor, unlabelled: Tensor, trees: Sequence[tuple[Tensor, float]]) -> Tensor:
    """Equation 3, without its weight.

    Args:
        probabilities: (B, C, h, w), P.
        unlabelled: (B, h, w) bool, False outside the image.
        trees: Distances (B, E) and sigma of each level, in the order in which P is filtered.

    Returns:
        A number, 0 where everything is labelled.
    """
    filtered = probabilities
    for distances, sigma in trees:
        filtered = along_tree(filtered, distances, sigma)
    gap = (probabilities - filtered).abs().sum(1) * unlabelled
    return gap.sum() / unlabelled.sum().clamp(min=1)


def image_level(probabilities: Tensor, present: Tensor, absent: Tensor, inside: Tensor) -> Tensor:
    """Equation 4 of each image, (B,).

    Args:
        probabilities: (B, C, h, w), S.
        present: (B, C) bool, L.
        absent: (B, C) bool, L'. A class of neither kind has no say.
        inside: (B, h, w) bool, False in padding, where no maximum is sought.
    """
    highest = probabilities.masked_fill(~inside[:, None], 0).flatten(2).amax(2).clamp(EPS, 1 - EPS)
    found = -(highest.log() * present).sum(1) / present.sum(1).clamp(min=1)
    wrong = -((1 - highest).log() * absent).sum(1) / absent.sum(1).clamp(min=1)
    return found + wrong


def point_level(logits: Tensor, labels: Tensor, ignore: int = 255) -> Tensor:
    """Equation 5 of each image, (B,); 0 for one without labelled pixels.

    Args:
        logits: (B, C, h, w).
        labels: (B, h, w) int64.
        ignore: The label of all other pixels.
    """
    entropy = functional.cross_entropy(logits, labels, ignore_index=ignore, reduction="none").flatten(1)
    return entropy.sum(1) / (labels != ignore).flatten(1).sum(1).clamp(min=1)


def object_level(probabilities: Tensor, objectness: Tensor, inside: Tensor) -> Tensor:
    """Equation 6 of each image, (B,); all classes but the first are objects.

    Args:
        probabilities: (B, C, h, w), S.
        objectness: (B, h, w) in [0, 1], P.
        inside: (B, h, w) bool, the pixels that count.
    """
    objects = (1 - probabilities[:, 0]).clamp(EPS, 1 - EPS)
    each = functional.binary_cross_entropy(objects, objectness, reduction="none") * inside
    return each.flatten(1).sum(1) / inside.flatten(1).sum(1).clamp(min=1)
