"""The generators of the reference rows. Each class is a whole method and shows one way to write a plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from harness.contract import BACKGROUND, IGNORE, MINIMUM_BARRIER, Context, DataError, Generator, PseudoLabel, View
from harness.maps import ScoreReader, threshold_labels, upsample
from wsss_baselines.method import grabcut_label, largest_first, salient_classes
from wsss_baselines.params import CamParams, GrabCutParams, GrabCutPixelsParams, SaliencyTagsParams


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
            has_mask = image_id in view.mask_ids
            mask = view.mask(image_id) if has_mask else np.full(view.size(image_id), IGNORE, np.uint8)
            yield PseudoLabel(image_id, mask)


class Background(Generator):
    """Everything is background: the floor, and a reminder of how much of mIoU it is worth."""

    def __init__(self, params: object) -> None: ...

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Yield zeros."""
        for image_id in view.ids:
            yield PseudoLabel(image_id, np.full(view.size(image_id), BACKGROUND, np.uint8))


class Nothing(Generator):
    """No labels at all (255), where a segmenter makes its own while it trains."""

    def __init__(self, params: object) -> None: ...

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Yield 255 everywhere."""
        for image_id in view.ids:
            yield PseudoLabel(image_id, np.full(view.size(image_id), IGNORE, np.uint8))


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
            yield PseudoLabel(image_id, grabcut_label(view.image(image_id), view.boxes(image_id), self.params))


class BoxGrabCutPixels(Generator):
    """Pixel masks of the declared fraction, GrabCut inside the boxes of all other images."""

    def __init__(self, params: GrabCutPixelsParams) -> None:
        self.params = params

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Yield true masks inside the subset, cut out boxes outside it."""
        for image_id in view.ids:
            if image_id in view.mask_ids:
                yield PseudoLabel(image_id, view.mask(image_id))
            else:
                yield PseudoLabel(image_id, grabcut_label(view.image(image_id), view.boxes(image_id), self.params))


class SaliencyTags(Generator):
    """What is salient is foreground, of the image's tag; of several tags a pixel takes the one with the highest CAM."""

    def __init__(self, params: SaliencyTagsParams) -> None:
        self.params = params

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Name the salient pixels of every image.

        Raises:
            DataError: A tagged image has no CAMs.
        """
        cams, saliency = ScoreReader(ctx.input("cams")), self._saliency(view, ctx)
        for image_id in view.ids:
            tags = view.tags(image_id)
            if not tags:
                yield PseudoLabel(image_id, np.full(view.size(image_id), BACKGROUND, np.uint8))
                continue
            maps = cams.get(image_id)
            if maps is None:
                raise DataError(f"saliency_tags: image {image_id!r} has tags, but no CAMs")
            salient = saliency(image_id) > self.params.theta
            yield PseudoLabel(image_id, salient_classes(salient, upsample(maps), maps.classes))

    def _saliency(self, view: View, ctx: Context) -> Callable[[str], npt.NDArray[np.float32]]:
        """Saliency (H, W) float32 in [0, 1] by image id: the data set's, or the one that was made from the image."""
        if self.params.saliency == "dataset":
            return view.saliency
        made = ScoreReader(ctx.input(MINIMUM_BARRIER.name))

        def of_image(image_id: str) -> npt.NDArray[np.float32]:
            scores = made.get(image_id)
            assert scores is not None  # the stage writes every image of the view
            return upsample(scores)[0]

        return of_image
