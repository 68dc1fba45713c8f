"""The inference: patches of many images shown to one frozen classifier, pass after pass. Nothing is trained.

Changed against the released code: nothing goes through files; a patch that is the whole image is looked at once (the
released code looks four times at images with three or more classes), and its first pass is the response that the
centres need anyway; patches that have converged leave the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from harness.contract import Image, PluginError
from harness.maps import REFERENCE_SIDE, CamItem, ForwardCam
from wsss_class_conditional.method import Box, centre_of_mass, normalised, split_boxes
from wsss_class_conditional.params import InferenceParams
from wsss_class_conditional.responses import Patch, Views, respond


@dataclass
class Search:
    """One patch under inspection: what it has shown so far, and where.

    Attributes:
        owner: Number of the image.
        patch: The patch; its mask is that of the next pass.
        origin: (row, column) of its corner in the image.
        planes: Which planes of the image's map it contributes to, one for each channel of the patch.
        peak: (n,) maxima of the whole image's response, ``None`` with ``renorm="patch"``.
        shared: True: ``peak`` is the least divisor; False: the divisor.
        merged: A, (n, h, w) float32; ``None`` before the first pass.
        passes: Passes so far.
        converged: The last pass erased too little for another.
    """

    owner: int
    patch: Patch
    origin: tuple[int, int]
    planes: list[int]
    peak: torch.Tensor | None = None
    shared: bool = False
    merged: torch.Tensor | None = None
    passes: int = 0
    converged: bool = False

    def merge(self, sums: torch.Tensor, threshold: float) -> torch.Tensor:
        """A = max(A, R), then erase where any class reaches the threshold; the newly erased share of the patch."""
        response = normalised(sums, at_least=self.peak) if self.shared else normalised(sums, self.peak)
        self.merged = response if self.merged is None else torch.maximum(self.merged, response)
        self.passes += 1
        left = self.merged.amax(0) < threshold
        before = left.numel() if self.patch.keep is None else self.patch.keep.sum()
        self.patch.keep = left
        return (before - left.sum()) / left.numel()


@dataclass(frozen=True)
class Inferred:
    """The result for one image.

    Attributes:
        image_id: Its id.
        response: M, (n, H, W) float32 in [0, 1), one plane for each tagged class.
        plain: The ordinary CAM of the whole image, of the same shape and range.
        boxes: The different patches.
        passes: Passes of each patch, with ``erase_scope="class"`` of each patch and class.
    """

    image_id: str
    response: npt.NDArray[np.float32]
    plain: npt.NDArray[np.float32]
    boxes: list[Box]
    passes: list[int]


class Inference:
    """The algorithm with its switches on one classifier.

    Args:
        forward_cam: (B, 3, h, w) ImageNet-normalised -> (B, C, h', w') >= 0, channel i = class i + 1.
        params: Switches.
        views: Scales, mirroring and the geometry of the network.
        base: Long side of the image at scale 1; ``None`` = its own.
        device: Where the network runs and maps are kept.
        batch_pixels: Network input pixels of one batch.
        window_pixels: Image pixels that are worked on together.
    """

    def __init__(
        self,
        forward_cam: ForwardCam,
        params: InferenceParams,
        views: Views,
        *,
        base: int | None = None,
        device: str | torch.device = "cpu",
        batch_pixels: int | None = None,
        window_pixels: int = 1 << 20,
    ) -> None:
        self.forward_cam = forward_cam
        self.params = params
        self.views = views
        self.base = base
        self.device = torch.device(device)
        self.batch_pixels = batch_pixels or (1 << 23 if self.device.type == "cuda" else 1 << 18)
        self.window_pixels = window_pixels

    def __call__(self, items: Iterable[tuple[str, Image, tuple[int, ...]]]) -> Iterator[Inferred]:
        """Yield the maps of each (id, (H, W, 3) uint8 RGB, ascending classes >= 1), in order.

        Raises:
            PluginError: A response is not finite, or a patch is too small for a view.
        """
        window: list[CamItem] = []
        pixels = 0
        for item in map(CamItem._make, items):
            window.append(item)
            pixels += item.image.shape[0] * item.image.shape[1]
            if pixels >= self.window_pixels:
                yield from self._infer(window)
                window, pixels = [], 0
        yield from self._infer(window)

    def _infer(self, items: Sequence[CamItem]) -> Iterator[Inferred]:
        """Whole images first, then their patches until each has converged."""
        tagged = {}
        for number, item in enumerate(items):
            if item.classes:
                factor = self.base / max(item.image.shape[:2]) if self.base else 1.0
                tagged[number] = Patch(item.image, tuple(cls - 1 for cls in item.classes), factor)
        sums = dict(zip(tagged, self._respond(list(tagged.values())), strict=True))
        plain = {number: normalised(total).cpu().numpy() for number, total in sums.items()}
        boxes = {number: self._boxes(items[number], plain[number]) for number in tagged}
        searches = {
            number: list(self._searches(number, whole, sums[number], boxes[number])) for number, whole in tagged.items()
        }
        # Section 3, "iteratively": pass after pass over the patches that have not converged.
        every = [search for of_image in searches.values() for search in of_image]
        limit = self.params.passes if self.params.iterate else 1
        while active := [search for search in every if search.passes < limit and not search.converged]:
            self._merge_all(active, self._respond([search.patch for search in active]))
        for number, item in enumerate(items):
            if number in tagged:
                response = self._merged(searches[number], plain[number].shape)
                passes = [search.passes for search in searches[number]]
                yield Inferred(item.image_id, response, plain[number], boxes[number], passes)
            else:
                none = np.zeros((0, *item.image.shape[:2]), np.float32)
                yield Inferred(item.image_id, none, none, [], [])

    def _respond(self, patches: Sequence[Patch]) -> list[torch.Tensor]:
        return respond(self.forward_cam, patches, self.views, device=self.device, batch_pixels=self.batch_pixels)

    def _boxes(self, item: CamItem, plain: npt.NDArray[np.float32]) -> list[Box]:
        """The different patches of an image."""
        height, width = plain.shape[1:]
        if not self.params.split:
            return [(0, height, 0, width)]
        try:
            swallow = self.params.chosen("centre_errors") == "swallow"
            centres = [centre_of_mass(plane, fallback=swallow) for plane in plain]
        except ValueError:
            raise PluginError(f"class_conditional: image {item.image_id!r}: its CAM is not finite") from None
        clamp = self.params.chosen("neg_slice") == "fixed"
        factor = 1.0 if self.params.chosen("lengths") == "pixels" else max(height, width) / REFERENCE_SIDE
        one, two = (max(round(factor * pixels), 1) for pixels in self.params.buffer)
        return list(dict.fromkeys(split_boxes(centres, (height, width), buffer=(one, two), clamp=clamp)))

    def _searches(self, owner: int, whole: Patch, sums: torch.Tensor, boxes: Iterable[Box]) -> Iterator[Search]:
        """One search per patch, or per patch and class; a patch that is the whole image has its first pass behind it.

        The response of the whole image was needed for the centres of mass, so it is not asked for twice.
        """
        peaks = None if self.params.renorm == "patch" else sums.amax((-2, -1))
        every = list(range(len(whole.channels)))
        for top, bottom, left, right in boxes:
            entire = (bottom - top, right - left) == whole.size
            patch = whole if entire else replace(whole, pixels=whole.pixels[top:bottom, left:right], views=[])
            for planes in [[k] for k in every] if self.params.erase_scope == "class" else [every]:
                search = Search(
                    owner,
                    replace(patch, channels=tuple(whole.channels[k] for k in planes)),
                    (top, left),
                    planes,
                    None if peaks is None else peaks[planes],
                    shared=self.params.renorm == "shared",
                )
                if entire:
                    self._merge_all([search], [sums[planes]])
                yield search

    def _merge_all(self, searches: Sequence[Search], sums: Sequence[torch.Tensor]) -> None:
        newly = [s.merge(total, self.params.erase_threshold) for s, total in zip(searches, sums, strict=True)]
        for search, share in zip(searches, torch.stack(newly).tolist(), strict=True):
            search.converged = share < self.params.stop

    def _merged(self, searches: Iterable[Search], shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """M: every A pasted at its place, the maximum where patches overlap."""
        response = torch.zeros(shape, device=self.device)
        for search in searches:
            assert search.merged is not None
            (top, left), (height, width) = search.origin, search.patch.size
            for plane, merged in zip(search.planes, search.merged, strict=True):
                at = response[plane, top : top + height, left : left + width]
                torch.maximum(at, merged, out=at)
        return response.cpu().numpy()
