"""The reference methods. Each class is a whole method and shows one way to write a plugin.

Unusual here: ``box_grabcut`` cuts each box out with some context first, so its cost follows the boxes and not the
image; a box in which GrabCut finds next to nothing is filled, because an object is known to be in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from harness.contract import BACKGROUND, IGNORE, Box, Context, Generator, PseudoLabel, Segmenter, View
from harness.maps import ScoreReader, threshold_labels, upsample
from wsss_baselines import CamParams, GrabCutParams

Mask = npt.NDArray[np.uint8]


class Full(Generator):
    """Pixel masks of all training images: the ceiling of every weak method."""

    def __init__(self, params: object) -> None: ...

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Yield the true masks."""
        for image_id in view.ids:
            yield PseudoLabel(image_id, view.mask(image_id))


class PixelSubset(Generator):
    """Pixel masks of the declared fraction; all other images carry no label at all (255)."""

    def __init__(self, params: object) -> None: ...

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Yield true masks inside the subset, 255 everywhere outside it."""
        for image_id in view.ids:
            known = image_id in view.mask_ids
            mask = view.mask(image_id) if known else np.full(view.size(image_id), IGNORE, np.uint8)
            yield PseudoLabel(image_id, mask)


class Background(Generator):
    """Everything is background: the floor, and a reminder of how much of mIoU it is worth."""

    def __init__(self, params: object) -> None: ...

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Yield zeros."""
        for image_id in view.ids:
            yield PseudoLabel(image_id, np.full(view.size(image_id), BACKGROUND, np.uint8))


class Cam(Generator):
    """argmax over the present classes' CAMs and a constant background score, fixed in advance."""

    def __init__(self, params: CamParams) -> None:
        self.threshold = params.threshold

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Threshold the shared classifier's CAMs; the maps travel along as soft scores."""
        threshold = self.threshold if self.threshold is not None else ctx.settings["cam"].threshold
        cams = ScoreReader(ctx.input("cams"))
        for image_id in view.ids:
            scores = cams.get(image_id)
            if scores is None or not scores.classes:
                yield PseudoLabel(image_id, np.full(view.size(image_id), BACKGROUND, np.uint8), scores)
                continue
            yield PseudoLabel(image_id, threshold_labels(upsample(scores), scores.classes, threshold), scores)


class BoxFill(Generator):
    """Every box painted with its class; where boxes overlap the smaller one is in front."""

    def __init__(self, params: object) -> None: ...

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Paint boxes, largest first."""
        for image_id in view.ids:
            label = np.full(view.size(image_id), BACKGROUND, np.uint8)
            for box in largest_first(view.boxes(image_id)):
                label[box.y0 : box.y1, box.x0 : box.x1] = box.cls
            yield PseudoLabel(image_id, label)


class BoxGrabCut(Generator):
    """GrabCut inside every box; where objects overlap the one with the smaller box is in front."""

    def __init__(self, params: GrabCutParams) -> None:
        self.params = params

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Cut each box's object out, largest box first."""
        for image_id in view.ids:
            image = view.image(image_id)
            label = np.full(image.shape[:2], BACKGROUND, np.uint8)
            for box in largest_first(view.boxes(image_id)):
                inside = label[box.y0 : box.y1, box.x0 : box.x1]
                inside[grabcut(image, box, self.params)] = box.cls
            yield PseudoLabel(image_id, label)


def largest_first(boxes: Iterable[Box]) -> list[Box]:
    """Boxes by falling area, so that painting in this order leaves the smaller in front; ties keep their order."""
    return sorted((box for box in boxes if box.area > 0), key=lambda box: -box.area)


def grabcut(image: npt.NDArray[np.uint8], box: Box, params: GrabCutParams) -> npt.NDArray[np.bool_]:
    """Foreground of one box by GrabCut on the box and some context around it.

    Args:
        image: (H, W, 3) uint8 RGB.
        box: The object's box.
        params: Iterations, context and the smallest believable share of foreground.

    Returns:
        (box height, box width) bool.
    """
    height, width = image.shape[:2]
    dx, dy = (max(8, round(params.margin * side)) for side in (box.x1 - box.x0, box.y1 - box.y0))
    left, top = max(box.x0 - dx, 0), max(box.y0 - dy, 0)
    crop = np.ascontiguousarray(image[top : min(box.y1 + dy, height), left : min(box.x1 + dx, width)])
    rows = slice(box.y0 - top, box.y1 - top)
    columns = slice(box.x0 - left, box.x1 - left)
    state = np.full(crop.shape[:2], cv2.GC_BGD, np.uint8)
    state[rows, columns] = cv2.GC_PR_FGD
    filled = np.ones((box.y1 - box.y0, box.x1 - box.x0), np.bool_)
    if (state == cv2.GC_BGD).sum() < 16 or filled.size < 16:  # the colour models need a few pixels of each side
        return filled
    cv2.setRNGSeed(0)  # its k-means initialisation draws from OpenCV's global generator
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(crop, state, None, *models, params.iterations, cv2.GC_INIT_WITH_MASK)
    found = (state[rows, columns] & 1).astype(np.bool_)  # GC_FGD = 1, GC_PR_FGD = 3
    return found if found.mean() >= params.min_fill else filled


class Plain(Segmenter):
    """The protocol's segmenter, unchanged."""

    def __init__(self, params: object) -> None: ...


class Constant(Segmenter):
    """A model that always answers background; without parameters there is nothing to train."""

    def __init__(self, params: object) -> None: ...

    def configure(self, cfg: Any, view: View, ctx: Context) -> Any:
        """Replace the network by ``ConstantSegmentor``."""
        from wsss_baselines import constant  # registers the model

        cfg.model = {"type": constant.ConstantSegmentor.__name__, "num_classes": ctx.num_classes}
        return cfg
