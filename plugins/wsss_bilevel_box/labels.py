"""Pseudo labels of many images from one generator: batches of (image, class) pairs over shared canvases.

One segmenter pass for an image, whatever the number of its classes; one generator pass for many pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from harness.contract import Box
from wsss_bilevel_box.method import Overlap, box_mask, classes_in_order, compose, margins, probability_planes
from wsss_bilevel_box.network import assemble
from wsss_bilevel_box.pairs import on_canvas, scaled

_CPU_PIXELS, _GPU_PIXELS = 1 << 19, 1 << 24
"""Canvas pixels per batch of pairs; they bound the memory."""

Item = tuple[str, npt.NDArray[np.uint8], tuple[Box, ...]]


@dataclass(frozen=True)
class Rules:
    """Switches of generation.

    Attributes:
        canvas: Side of the square canvas.
        overlap: See ``compose``.
        align: Up-sample with ``align_corners=True``.
        exact: See ``probability_planes``.
        unit: See ``assemble``.
        min_fill: See ``compose``.
    """

    canvas: int
    overlap: Overlap = "smallest_box"
    align: bool = False
    exact: bool = False
    unit: bool = True
    min_fill: float = 0.0


def segmenter_logits(segmenter: Any, images: Tensor) -> Tensor:
    """Logits of a segmenter at its own stride.

    Args:
        segmenter: As ``harness.modelling.load_segmenter`` returns it.
        images: (N, H, W, 3) uint8 RGB.

    Returns:
        (N, C, h, w) float32.
    """
    return segmenter(segmenter.data_preprocessor.normalise(images), mode="tensor").float()


def pseudo_labels(
    generator: nn.Module, items: Iterable[Item], *, rules: Rules, device: str, segmenter: nn.Module | None = None
) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    """C(G) of every image; an image without boxes is background.

    Args:
        generator: G, in evaluation mode.
        items: (id, (H, W, 3) uint8 RGB, boxes in annotation order) of each image.
        rules: Switches.
        device: Where to compute.
        segmenter: S, whose probabilities a five-channel generator sees; its classes are those of the boxes.

    Yields:
        (id, (H, W) uint8 label map), in the order of ``items``.
    """
    limit = max((_CPU_PIXELS if device == "cpu" else _GPU_PIXELS) // rules.canvas**2, 1)
    waiting: list[Item] = []
    pairs = 0
    for item in items:
        more = len(classes_in_order(item[2]))
        if waiting and pairs + more > limit:
            yield from _labelled(generator, waiting, rules, device, segmenter)
            waiting, pairs = [], 0
        waiting.append(item)
        pairs += more
    if waiting:
        yield from _labelled(generator, waiting, rules, device, segmenter)


def _labelled(
    generator: nn.Module, items: Sequence[Item], rules: Rules, device: str, segmenter: nn.Module | None
) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    """Label maps of one batch."""
    placed = [on_canvas(image, rules.canvas) for _, image, _ in items]
    planes = _margins(generator, items, placed, rules, device=device, segmenter=segmenter)
    done = 0
    for (image_id, image, boxes), (_, factor) in zip(items, placed, strict=True):
        height, width = image.shape[:2]
        count = len(classes_in_order(boxes))
        covered = planes[done : done + count, : max(round(height * factor), 1), : max(round(width * factor), 1)]
        if factor != 1.0:
            resized = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in covered]
            covered = np.array(resized, np.float32)
        yield image_id, compose(covered, boxes, (height, width), overlap=rules.overlap, min_fill=rules.min_fill)
        done += count


@torch.inference_mode()
def _margins(
    generator: nn.Module,
    items: Sequence[Item],
    placed: Sequence[tuple[npt.NDArray[np.uint8], float]],
    rules: Rules,
    *,
    device: str,
    segmenter: nn.Module | None,
) -> npt.NDArray[np.float32]:
    """(P, canvas, canvas) float32 margins of all pairs of the batch."""
    pairs = [(n, cls) for n, (_, _, boxes) in enumerate(items) for cls in classes_in_order(boxes)]
    side = (rules.canvas, rules.canvas)
    if not pairs:
        return np.zeros((0, *side), np.float32)
    images = torch.from_numpy(np.stack([canvas for canvas, _ in placed])).to(device)
    owner, classes = (torch.tensor(column, device=device) for column in zip(*pairs, strict=True))
    drawn = [box_mask(scaled(items[n][2], placed[n][1]), cls, side) for n, cls in pairs]
    masks = torch.from_numpy(np.stack(drawn)).to(device)
    seen = None
    if segmenter is not None:
        scores = segmenter_logits(segmenter, images)
        seen = probability_planes(scores, owner, classes, side, exact=rules.exact, align=rules.align)
    logits = generator(assemble(images[owner], masks, seen, unit=rules.unit))
    planes: npt.NDArray[np.float32] = margins(logits, side, align=rules.align).cpu().numpy()
    return planes
