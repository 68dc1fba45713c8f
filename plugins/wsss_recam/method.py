"""Class re-activation maps (Chen et al., CVPR 2022, arXiv 2203.00962).

f are the features, W the classifier, W' a second one without bias; a row of W or W' is a class.

    (1) M_k = relu(W_k f) / (max relu(W_k f) + 1e-5)             soft mask of every class k
    (2) p_k = mean over all cells of M_k f                       feature of class k
    (3) s_k = W' p_k;  CE = mean of -log softmax(s_k)[k] over the tagged classes k of an image
        SCE = mean of CE over the images; an image without tags adds 0 and counts
    (4) L   = multi-label soft margin(W mean f, tags) + lambda SCE
    (5) ReCAM_k = relu((W_k * W'_k) f)                           inference, * by element
    (6) the same with 0 in place of W_k * W'_k where both are negative: evidence against a class is none for it

Nothing is detached: the gradient of SCE reaches f as a feature and through its mask, and W through the mask.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from harness.maps import max_normalise


def class_features(features: Tensor, first: Tensor) -> Tensor:
    """(1) and (2): the mean of the features under the mask of each class, divided by all cells, not by the mask.

    Args:
        features: (B, D, h, w) float.
        first: (C, D) float, W.

    Returns:
        (B, C, D) float. The product of masks and features, (B, C, D, h, w), is never held in memory.
    """
    masks = max_normalise(functional.conv2d(features, first[..., None, None]))
    return torch.einsum("bkhw,bdhw->bkd", masks, features) / features[0, 0].numel()


def softmax_loss(pooled: Tensor, second: Tensor, tags: Tensor) -> Tensor:
    """(3): the second classifier must name each tagged class from the feature of that class.

    Args:
        pooled: (B, C, D) float, p.
        second: (C, D) float, W'.
        tags: (B, C) float, 1 where a class is tagged.

    Returns:
        Scalar; 0 with a gradient where no image has a tag.
    """
    own = functional.log_softmax(pooled @ second.T, dim=2).diagonal(dim1=1, dim2=2)
    return -((own * tags).sum(1) / tags.sum(1).clamp_min(1)).mean()


def map_weights(first: Tensor, second: Tensor, kind: str) -> Tensor:
    """(5), (6), or one of the two: the weights whose class activation maps are the method's.

    Args:
        first: (C, D, ...) float, W.
        second: Of the same shape, W'.
        kind: ``product`` is (5), ``supporting`` is (6), or ``first`` or ``second``.
    """
    product = first * second
    supporting = product.masked_fill((first < 0) & (second < 0), 0)
    return {"product": product, "supporting": supporting, "first": first, "second": second}[kind]
