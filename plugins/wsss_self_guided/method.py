"""Self-guided dense annotations, reconstructed from the abstract of Ke and Hsu (arXiv 1810.07050).

One network makes class maps and is trained on what they become:

    (1) maps       M_c = relu(S_c) / max relu(S_c) of the tagged classes, M_0 = (1 - max_c M_c)^alpha;
                   0 where max relu(S_c) < min_peak
    (2) affinity   M <- P^t M, the random walk on intermediate features
    (3) guidance   Q = guided filter of M, the image itself as the guide; cut to [0, 1], sum 1
    (4) labels     Y = argmax Q
    (5) training   L = L_cls(tags) + lambda L_seg(Y), in the same step, Y fixed

The abstract states the five steps; each formula here is a reconstruction (see README.md). A batch holds only the
classes of its images: slot 0 is the background, then the tagged classes of each image, then empty slots.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from harness.contract import IGNORE
from harness.maps import Affinity, apply_guided_filter, max_normalise
from wsss_self_guided.params import SelfGuidedParams


def class_slots(tags: Tensor) -> Tensor:
    """Classes of each image in slots.

    Args:
        tags: (B, C) float, 1 where class i + 1 is tagged.

    Returns:
        (B, 1 + K) int64: 0, the tagged classes in ascending order, then -1 for empty slots.
    """
    tagged, order = tags.sort(dim=1, descending=True, stable=True)
    count = int(tags.gt(0).sum(1).max())
    slots = torch.where(tagged[:, :count] > 0, order[:, :count] + 1, -1)
    return functional.pad(slots, (1, 0), value=0)


def in_slots(scores: Tensor, slots: Tensor) -> Tensor:
    """Planes of ``scores`` (B, C, h, w) for the foreground slots: (B, K, h, w); an empty slot holds any plane."""
    channel = (slots[:, 1:] - 1).clamp_min(0)
    return scores.gather(1, channel[..., None, None].expand(-1, -1, *scores.shape[2:]))


def detected(scores: Tensor, slots: Tensor, min_peak: float, valid: Tensor | None = None) -> Tensor:
    """Tagged classes that the network has found at all: (B, K) bool.

    Equation 1 stretches every map to peak 1. Of a class that is not seen, in the image or in this crop of it, that
    would be noise.

    Args:
        scores: (B, K, h, w) float class scores, not normalised.
        slots: (B, 1 + K) int64.
        min_peak: Least value of max relu(S_c).
        valid: (B, h, w) bool, False on padding; ``None`` = all.
    """
    if valid is not None:
        scores = scores * valid[:, None]
    return (slots[:, 1:] > 0) & (scores.amax((2, 3)).clamp_min(0) >= min_peak)


def localization_maps(scores: Tensor, present: Tensor, alpha: float, valid: Tensor | None = None) -> Tensor:
    """(1): peaks of present classes become 1, absent classes 0, and the background is what no class claims.

    Args:
        scores: (B, K, h, w) float class scores.
        present: (B, K) bool.
        alpha: Larger values give more foreground.
        valid: (B, h, w) bool, False on padding, which must not hold the peak; ``None`` = all.

    Returns:
        (B, 1 + K, h, w) float in [0, 1], background first.
    """
    if valid is not None:
        scores = scores * valid[:, None]
    maps = max_normalise(scores, present)
    rest = 1 - maps.amax(1, keepdim=True) if maps.shape[1] else torch.ones_like(scores[:, :1])
    return torch.cat([rest.clamp_min(0) ** alpha, maps], 1)


def tie_power(threshold: float) -> float:
    """The alpha at which background and foreground tie at ``threshold``: (1 - m)^alpha = m."""
    return math.log(threshold) / math.log(1 - threshold)


def refine_maps(
    maps: Tensor, affinity: Affinity | None, guide: Tensor, filled: Tensor, params: SelfGuidedParams
) -> Tensor:
    """(2) and (3): walk on the grid, upsample, filter under the image.

    Args:
        maps: (B, 1 + K, h, w) float; on the grid of ``affinity``, where there is one.
        affinity: Of intermediate features, ``None`` = no walk.
        guide: (B, 3, H, W) float32 in [0, 1], not normalised: ``filter_eps`` is a variance on this scale.
        filled: (B, 1 + K) bool, False for empty slots.
        params: Switches and constants.

    Returns:
        (B, 1 + K, H, W) float in [0, 1], sum 1 over the slots.
    """
    if affinity is not None:
        maps = affinity.walk(maps, params.steps)
    maps = resize(maps, guide.shape[-2:])
    if params.guided_filter:
        maps = apply_guided_filter(
            guide, maps, radius=params.filter_radius, eps=params.filter_eps, subsample=params.filter_subsample
        )
    maps = maps.clamp(0, 1) * filled[..., None, None]
    return maps / maps.sum(1, keepdim=True).clamp_min(1e-6)


def dense_labels(maps: Tensor, slots: Tensor, *, margin: float = 0.0, valid: Tensor | None = None) -> Tensor:
    """(4): the strongest class of each pixel.

    Args:
        maps: (B, 1 + K, H, W) float.
        slots: (B, 1 + K) int64 class of each plane, -1 = empty.
        margin: Pixels whose lead over the second class is smaller are ignored.
        valid: (B, H, W) bool, False on padding.

    Returns:
        (B, H, W) int64 class indices, 255 = ignore.
    """
    maps = maps.masked_fill((slots < 0)[..., None, None], -1.0)
    labels = slots.gather(1, maps.argmax(1).flatten(1)).view_as(maps[:, 0])
    if margin > 0 and maps.shape[1] > 1:
        first, second = maps.topk(2, 1).values.unbind(1)
        labels = labels.masked_fill(first - second < margin, IGNORE)
    return labels if valid is None else labels.masked_fill(~valid, IGNORE)


def classification_loss(logits: Tensor, tags: Tensor) -> Tensor:
    """(5), first term: mean over classes of the binary cross entropy of (B, C) logits and tags."""
    return functional.multilabel_soft_margin_loss(logits, tags)


def balanced_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """(5), second term: mean over background pixels plus mean over foreground pixels (the balance of DSRG).

    Args:
        logits: (B, 1 + C, H, W) float.
        labels: (B, H, W) int64, 255 = ignore.

    Returns:
        A scalar; a term without pixels is 0.
    """
    loss = functional.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
    terms = []
    for pixels in (labels == 0, (labels > 0) & (labels != IGNORE)):
        terms.append((loss * pixels).sum() / pixels.sum().clamp_min(1))
    return terms[0] + terms[1]


def affinity_energy_loss(maps: Tensor, affinity: Affinity, present: Tensor) -> Tensor:
    """The other reading of (2), a penalty: mean energy of the present classes' maps over the sum of all affinities.

    Args:
        maps: (B, K, h, w) float foreground maps, on the grid of ``affinity``.
        affinity: Detached from its features, whose trivial optimum would be constant.
        present: (B, K) bool.

    Returns:
        A scalar >= 0. One step against its gradient is a lazy step of the walk.
    """
    weights = affinity.degree().sum((1, 2, 3)) * present.sum(1)
    energy = (affinity.energy(maps) * present).sum(1)
    return (energy / weights.clamp_min(1e-6)).mean()


def resize(maps: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Bilinear between grids whose corners coincide: a feature of a convolutional network lies on pixel i * stride."""
    if maps.shape[-2:] == torch.Size(size):
        return maps
    return functional.interpolate(maps, tuple(size), mode="bilinear", align_corners=True)
