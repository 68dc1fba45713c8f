"""CLIP-ES (Lin et al., CVPR 2023, arXiv 2212.09506): activation maps of a frozen CLIP, without any training.

    v = unit vector of the image, t_k of the texts (present classes, then background words)
    p = softmax_k( exp(s) v . t_k )                    classes compete with each other and with the background      (1)
    cam_c = n01 n01 relu( sum_d A_d mean_xy dp_c/dA_d )     A: patches behind the last block's first norm           (2)
    T = balanced mean attention, made symmetric, squared                                                            (3)
    cam'_c = (T * B_c) cam_c                           B_c: boxes around the strong parts of cam_c                  (4)
    label = argmax CRF[1 - max_c cam'_c, cam'_1, ...],  255 where the largest marginal is small                     (5)

Equations 1 and 2 are section 3.2 of the paper, 3 and 4 section 3.4 (class-aware attention affinity), 5 section 3.5: the
pixels that confidence-guided loss ignores are 255 in the label. Arrays and tensors in and out; nothing is read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from harness.contract import IGNORE, Mask
from wsss_clip_es.network import ImageTower

Floats = npt.NDArray[np.float32]

_EPS = 1e-7
MEAN_BGR = (104.008, 116.669, 122.675)
"""What the authors subtract from the image that their CRF sees."""


def unit_range(maps: Tensor) -> Tensor:
    """n01: (..., h, w) to [0, 1], each map by its own minimum and maximum; a constant map becomes 0."""
    maps = maps - maps.amin(dim=(-2, -1), keepdim=True)
    return maps / (_EPS + maps.amax(dim=(-2, -1), keepdim=True))


def class_scores(image: Tensor, texts: Tensor, scale: float, *, softmax: bool = True) -> Tensor:
    """Eq. 1.

    Args:
        image: (E,) unit vector.
        texts: (K, E) unit vectors.
        scale: s, logarithm of the inverse temperature.
        softmax: Off: the logits themselves.

    Returns:
        (K,).
    """
    logits = float(np.exp(scale)) * texts @ image
    return logits.softmax(dim=0) if softmax else logits


def grad_cams(
    tower: ImageTower, tokens: Tensor, texts: Tensor, classes: int, *, scale: float, softmax: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Eqs. 1 and 2: Grad-CAM of each present class at the last block's first norm.

    Args:
        tower: CLIP's image tower.
        tokens: (1, 1 + h w, D) in front of the last block.
        texts: (K, E) unit vectors, the present classes first.
        classes: How many present classes there are.
        scale: As in ``class_scores``.
        softmax: As in ``class_scores``.

    Returns:
        Maps (C, h w) before normalisation, scores (K,), the attention of the last block (1 + h w, 1 + h w).
    """
    with torch.enable_grad():
        normalised = tower.last.ln_1(tokens).detach().requires_grad_()
        behind, attention = tower.last.after_norm(tokens, normalised)
        scores = class_scores(tower.embed(behind)[0], texts, scale, softmax=softmax)
        gradients = [
            torch.autograd.grad(scores[place], normalised, retain_graph=place + 1 < classes)[0][0, 1:]
            for place in range(classes)
        ]
    patches = normalised.detach()[0, 1:]
    maps = torch.stack([patches @ gradient.mean(dim=0) for gradient in gradients])
    return maps, scores.detach(), attention.detach()[0]


def cams(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """The end of eq. 2: (C, h w) to (C, h, w) in [0, 1]."""
    return unit_range(unit_range(maps.relu().reshape(-1, *size)))


def transition(attention: Tensor, *, balancings: int = 3, squarings: int = 1) -> Tensor:
    """Eq. 3: (n, n) mean attention between patches to a symmetric affinity.

    Args:
        attention: Rows need not sum to one.
        balancings: How often columns, then rows, are divided by their sums (Sinkhorn).
        squarings: How often the symmetric matrix is multiplied by itself.

    Returns:
        (n, n).
    """
    for _ in range(balancings):
        attention = attention / attention.sum(dim=0, keepdim=True)
        attention = attention / attention.sum(dim=1, keepdim=True)
    attention = (attention + attention.T) / 2
    for _ in range(squarings):
        attention = attention @ attention
    return attention


def boxes(cam: Floats, threshold: float) -> list[tuple[int, int, int, int]]:
    """Boxes (x0, y0, x1, y1), half-open, around the connected parts of a map that exceed a share of its maximum.

    As published, a box that touches the right or lower edge stops one cell before it.

    Args:
        cam: (h, w) float32 in [0, 1]; compared in steps of 1/255.
        threshold: The share.
    """
    height, width = cam.shape
    levels = (255 * cam).astype(np.uint8)
    parts, _ = ndimage.label(levels > int(threshold * levels.max()), structure=np.ones((3, 3)))
    found = ndimage.find_objects(parts)
    return [(x.start, y.start, min(x.stop, width - 1), min(y.stop, height - 1)) for y, x in found]


def box_mask(cam: Floats, threshold: float) -> Floats:
    """B_c of eq. 4: (h, w) float32, 1 inside a box."""
    mask = np.zeros(cam.shape, np.float32)
    for x0, y0, x1, y1 in boxes(cam, threshold):
        mask[y0:y1, x0:x1] = 1
    return mask


def refined(cam: Tensor, affinity: Tensor, threshold: float) -> Tensor:
    """Eq. 4: (h, w) in [0, 1] to (h, w), which ``unit_range`` brings back to [0, 1]."""
    mask = torch.from_numpy(box_mask(cam.cpu().numpy(), threshold)).to(cam)
    return (affinity @ (mask * cam).flatten()).reshape(cam.shape)


def enlarged(maps: Tensor, size: tuple[int, int]) -> Floats:
    """(C, h, w) to (C, H, W) float32, bilinear."""
    resized = functional.interpolate(maps[None], size, mode="bilinear", align_corners=False)
    enlarged_maps: Floats = resized[0].float().cpu().numpy()
    return enlarged_maps


def with_background(maps: Floats, exponent: float = 1.0) -> Floats:
    """(C, H, W) in [0, 1] to (1 + C, H, W): the background (1 - max)^exponent first; not made to sum to one."""
    background = np.clip(1 - maps.max(axis=0, keepdims=True), 0, 1) ** exponent
    return np.concatenate([background, maps]).astype(np.float32)


def confident_label(marginals: Floats, classes: Sequence[int], confidence: float) -> Mask:
    """Eq. 5 behind the CRF: the most probable class, 255 where its marginal is under ``confidence``.

    Args:
        marginals: (K, H, W) float32, sum to one.
        classes: Class index of each plane.
        confidence: 0 ignores no pixel.

    Returns:
        (H, W) uint8.
    """
    label = np.asarray(classes, np.uint8)[marginals.argmax(axis=0)]
    return np.where(marginals.max(axis=0) < confidence, np.uint8(IGNORE), label)


def official_crf_image(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(H, W, 3) RGB to what the authors' CRF sees: BGR minus the mean, cast to uint8 so that negative values wrap."""
    shifted = image[..., ::-1].astype(np.float32) - np.array(MEAN_BGR, np.float32)
    return (np.trunc(shifted).astype(np.int64) % 256).astype(np.uint8)
