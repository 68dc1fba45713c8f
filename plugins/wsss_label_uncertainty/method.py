"""Learning label uncertainty inside boxes (Neven et al., ICCVW 2021, arXiv 2110.05926): what is learned from.

A few images carry pixel masks, all carry boxes. ``BoxAndPixels`` paints boxes where there is no mask; everything
outside the boxes is certain background. ``LabelUncertainty`` gives the head a variance and the loss of ``loss.py``.

Unusual here: the boxes travel with the label as a map of box numbers, so that they follow every augmentation, and the
part of a box that a crop shows is simply what is left of its number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.contract import BACKGROUND, IGNORE, Box, Context, Generator, PseudoLabel, Segmenter, View
from wsss_label_uncertainty.params import BoxAndPixelsParams, LabelUncertaintyParams

Mask = npt.NDArray[np.uint8]

OUTSIDE = 0
"""Origin of a pixel's label: outside every box, hence certain background."""
EXACT = 254
"""Origin of a pixel's label: a pixel mask. Boxes are numbered from 1 to 253."""


class Painted(NamedTuple):
    """The boxes of one image as maps, each (H, W) uint8; the smallest box is in front.

    Attributes:
        label: Class of the front box, 0 outside all boxes.
        origin: Number of the front box, 1 to 253 (an image with more boxes shares numbers), 0 outside all boxes.
        beneath: Class of the box behind it that shows another class, 0 where there is none.
    """

    label: Mask
    origin: Mask
    beneath: Mask


def paint(boxes: Iterable[Box], size: tuple[int, int]) -> Painted:
    """Paint boxes, largest first; of equal boxes the later is in front."""
    label, origin, beneath = (np.zeros(size, np.uint8) for _ in range(3))
    for number, box in enumerate(sorted(boxes, key=lambda box: -box.area)):
        inside = (slice(box.y0, box.y1), slice(box.x0, box.x1))
        other = label[inside] != box.cls
        beneath[inside][other] = label[inside][other]
        label[inside] = box.cls
        origin[inside] = OUTSIDE + 1 + number % (EXACT - 1)
    return Painted(label, origin, beneath)


class BoxAndPixels(Generator):
    """True masks of the declared fraction; on all other images painted boxes, and background around them."""

    def __init__(self, params: BoxAndPixelsParams) -> None:
        self.params = params

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Yield masks and painted boxes."""
        for image_id in view.ids:
            known = image_id in view.mask_ids
            yield PseudoLabel(image_id, view.mask(image_id) if known else self._boxes(view, image_id))

    def _boxes(self, view: View, image_id: str) -> Mask:
        boxes, size = view.boxes(image_id), view.size(image_id)
        painted = paint(boxes, size)
        inside = painted.origin != OUTSIDE
        label = painted.label
        if self.params.shrink_certain:
            grown = paint((_grown(box, self.params.shrink_certain) for box in boxes), size)
            label[(grown.origin != OUTSIDE) & ~inside] = IGNORE
        if self.params.interior == "ignore":
            label[inside] = IGNORE
        return label


def _grown(box: Box, pixels: int) -> Box:
    return Box(box.cls, max(box.x0 - pixels, 0), max(box.y0 - pixels, 0), box.x1 + pixels, box.y1 + pixels)


def fill_ratios(view: View, num_classes: int) -> list[float]:
    """Object pixels by box pixels of every class, from the images with a mask alone.

    A class without a box on these images takes the ratio of all classes together, background (never used) has 1.
    """
    area, filled = np.zeros(num_classes, np.int64), np.zeros(num_classes, np.int64)
    for image_id in sorted(view.mask_ids):
        mask, painted = view.mask(image_id), paint(view.boxes(image_id), view.size(image_id)).label
        boxed = painted[(painted != BACKGROUND) & (mask != IGNORE)]
        object_ = painted[(painted != BACKGROUND) & (mask == painted)]
        area += np.bincount(boxed, minlength=num_classes)
        filled += np.bincount(object_, minlength=num_classes)
    overall = filled.sum() / area.sum() if area.any() else 1.0
    ratios = np.where(area > 0, filled / np.maximum(area, 1), overall)
    return [1.0, *ratios[1:].tolist()]


class LabelUncertainty(Segmenter):
    """The protocol's network, each head with a variance beside its means, trained with the attenuated loss."""

    extra_targets = ("origin", "beneath")

    def __init__(self, params: LabelUncertaintyParams) -> None:
        self.params = params

    def configure(self, cfg: Any, view: View, ctx: Context) -> Any:
        """Widen every head, set the loss, and draw a fixed share of each batch from the images with a mask."""
        from wsss_label_uncertainty.network import uncertain

        params, iterations = self.params, ctx.settings["segmenter"].optim.iterations
        loss = {
            "fill": fill_ratios(view, ctx.num_classes),
            "attenuate": params.attenuate,
            "form": params.form,
            "exact_weight": params.exact_weight,
            "rule": params.rule,
            "start": round(params.start * iterations),
            "warmup": params.warmup,
            "min_fill": params.min_fill,
            "min_variance": params.min_variance,
            "overlap": params.overlap,
        }
        for name in ("decode_head", "auxiliary_head"):
            if cfg.model.get(name) is not None:
                cfg.model[name] = uncertain(cfg.model[name], loss, shared_variance=params.shared_variance)
        if params.exact_share is not None:
            cfg.train_dataloader.sampler = {
                "type": "TwoStreams",
                "first": sorted(view.mask_ids),
                "share": params.exact_share,
                "seed": ctx.seed("train"),
            }
        return cfg

    def targets(self, image_id: str, label: PseudoLabel, view: View, ctx: Context) -> Mapping[str, Mask]:
        """Where each pixel's label comes from, and the class beneath the front box."""
        if image_id in view.mask_ids:
            exact = np.full(label.mask.shape, EXACT, np.uint8)
            return {"origin": exact, "beneath": np.zeros_like(exact)}
        painted = paint(view.boxes(image_id), label.mask.shape)
        return {"origin": painted.origin, "beneath": painted.beneath}
