"""The generator: pixel masks where they are declared, painted boxes elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import IGNORE, Context, Generator, PseudoLabel, View
from wsss_label_uncertainty.boxes import grown, paint
from wsss_label_uncertainty.params import OUTSIDE, BoxAndPixelsParams


class BoxAndPixels(Generator):
    """True masks of the declared fraction; on all other images painted boxes, and background around them."""

    def __init__(self, params: BoxAndPixelsParams) -> None:
        self.params = params

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Yield masks and painted boxes."""
        for image_id in view.ids:
            if image_id in view.mask_ids:
                yield PseudoLabel(image_id, view.mask(image_id))
                continue
            boxes, size = view.boxes(image_id), view.size(image_id)
            painted = paint(boxes, size)
            label, inside = painted.label, painted.origin != OUTSIDE
            if self.params.shrink_certain:
                wider = paint((grown(box, self.params.shrink_certain) for box in boxes), size)
                label[(wider.origin != OUTSIDE) & ~inside] = IGNORE
            if self.params.interior == "ignore":
                label[inside] = IGNORE
            yield PseudoLabel(image_id, label)
