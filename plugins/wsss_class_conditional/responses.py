"""Multi-scale, mirrored responses of a frozen classifier to many image patches at once: acc of equation 1.

What is unusual here:

* Views of different patches that share a network input size go through the network together, each with its mirror.
* A view is resized once and kept as bytes; erasing replaces pixels on the device just before the network.
* Only the labelled classes are kept, and a view's maps are added up before they are up-sampled, by two small matrix
  products per scale instead of one interpolation per view and class.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from PIL import Image as Pillow

from harness.contract import IMAGENET, Image, InputRule, PluginError
from harness.maps import ForwardCam
from wsss_class_conditional.method import fill_erased, view_masks


@dataclass(frozen=True)
class Views:
    """How a patch is shown to the network.

    Attributes:
        scales: Side factors, in the order in which ``mask_chain`` hands the mask on.
        flip: Whether each view is seen mirrored as well.
        inputs: What the network wants to see.
        own_sides: Sides are those that the network wants, and its features lie where ``inputs`` says; else sides are
            rounded to pixels and the features cover the input evenly.
        mask_chain: True: the mask of a view is resized from that of the view before it (released code, D1).
        mask_mirror: True: a mirrored view is erased with the mirrored mask; False: with the mask as it is (D2).
    """

    scales: tuple[float, ...] = (1.0, 0.5, 1.5, 2.0)
    flip: bool = True
    inputs: InputRule = IMAGENET
    own_sides: bool = False
    mask_chain: bool = False
    mask_mirror: bool = True

    @property
    def corners(self) -> bool:
        """Whether outer features lie on the corners of the input."""
        return self.own_sides and self.inputs.corners

    def sizes(self, height: int, width: int, factor: float) -> list[tuple[int, int]]:
        """Network input (h, w) at each scale of a patch of an image that is scaled by ``factor``."""
        side = self.inputs.side if self.own_sides else round  # Python's round: halves to even
        return [(side(height * scale * factor), side(width * scale * factor)) for scale in self.scales]


@dataclass
class Patch:
    """A rectangle of an image and what is known of it.

    Attributes:
        pixels: (h, w, 3) uint8 RGB.
        channels: Channels of the network that are looked at, one for each class.
        factor: Scale of the image at view scale 1.
        keep: (h, w) bool on the device, False = erased; ``None`` = nothing is.
        views: Its resized (3, h', w') uint8 copies on the device, filled in at first use.
    """

    pixels: Image
    channels: tuple[int, ...]
    factor: float = 1.0
    keep: torch.Tensor | None = None
    views: list[torch.Tensor] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)."""
        return self.pixels.shape[0], self.pixels.shape[1]


def respond(
    forward_cam: ForwardCam, patches: Sequence[Patch], views: Views, *, device: torch.device, batch_pixels: int
) -> list[torch.Tensor]:
    """Sum of a patch's up-sampled maps over its views, before normalisation.

    Args:
        forward_cam: The network, (B, 3, h, w) normalised -> (B, C, h', w') >= 0, on ``device``.
        patches: Patches of any images.
        views: How they are shown.
        device: Where everything but the resizing happens.
        batch_pixels: Network input pixels of one batch, mirrors included; at least one view runs at a time.

    Returns:
        One (n, h, w) float32 tensor for each patch, >= 0.
    """
    groups: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for index, patch in enumerate(patches):
        for number, size in enumerate(_prepare(patch, views, device)):
            groups[size].append((index, number))
    masks = [
        [None] * len(views.scales)
        if patch.keep is None
        else view_masks(patch.keep, views.sizes(*patch.size, patch.factor), chain=views.mask_chain)
        for patch in patches
    ]
    sums = [torch.zeros(len(patch.channels), *patch.size, device=device) for patch in patches]
    for (height, width), members in groups.items():
        step = max(batch_pixels // (height * width * (2 if views.flip else 1)), 1)
        for start in range(0, len(members), step):
            chosen = members[start : start + step]
            shown = [patches[index].views[number] for index, number in chosen]
            kept = [masks[index][number] for index, number in chosen]
            maps = _maps(forward_cam, torch.stack(shown), kept, views)
            for row, (index, _) in enumerate(chosen):
                seen = [m[row, list(patches[index].channels)].float() for m in maps]
                rows, columns = (
                    _sampling(features, side, out, views.corners, device)
                    for features, side, out in zip(
                        seen[0].shape[1:], (height, width), sums[index].shape[1:], strict=True
                    )
                )
                sums[index] += rows @ sum(seen[1:], seen[0]) @ columns.T
    return sums


def _prepare(patch: Patch, views: Views, device: torch.device) -> list[tuple[int, int]]:
    """Resize the patch once for all passes; the sizes of its views."""
    sizes = views.sizes(*patch.size, patch.factor)
    if min(min(size) for size in sizes) < 1:
        raise PluginError(
            f"class_conditional: a patch of {patch.size[0]} x {patch.size[1]} pixels is too small for a view of scale "
            f"{min(views.scales)}; with the preset official such patches come from neg_slice, set it to fixed"
        )
    if not patch.views:
        source = Pillow.fromarray(np.ascontiguousarray(patch.pixels))
        for height, width in sizes:
            resized = np.array(source.resize((width, height), Pillow.Resampling.BICUBIC))
            patch.views.append(torch.from_numpy(resized).to(device).permute(2, 0, 1))
    return sizes


def _maps(
    forward_cam: ForwardCam, shown: torch.Tensor, kept: Sequence[torch.Tensor | None], views: Views
) -> list[torch.Tensor]:
    """Maps (B, C, h', w') of one batch of equal views (B, 3, h, w) uint8, and those of their mirrors, turned back."""
    with torch.inference_mode():
        mean, std = (torch.tensor(v, device=shown.device).view(3, 1, 1) for v in (views.inputs.mean, views.inputs.std))
        batch = shown.float().sub_(mean).div_(std)
        erased = [index for index, mask in enumerate(kept) if mask is not None]
        mirrored = batch.flip(-1) if views.flip else None
        if erased:
            masks = torch.stack([mask for mask in kept if mask is not None])
            plain = batch[erased]
            if mirrored is not None:
                mirrored[erased] = fill_erased(plain.flip(-1), masks.flip(-1) if views.mask_mirror else masks)
            batch[erased] = fill_erased(plain, masks)
        if mirrored is None:
            return [forward_cam(batch)]
        maps = forward_cam(torch.cat([batch, mirrored]))
        return [maps[: len(shown)], maps[len(shown) :].flip(-1)]


@lru_cache(maxsize=4096)
def _sampling(features: int, side: int, out: int, corners: bool, device: torch.device) -> torch.Tensor:
    """(out, features) float32 weights of bilinear sampling of a row of features at the centres of ``out`` pixels.

    The row covers an input of ``side`` pixels, from centre to centre of its outer pixels (``corners``), else evenly,
    which is ``align_corners=False``.
    """
    centre = (np.arange(out) + 0.5) / out
    at = (centre * side - 0.5) * (features - 1) / max(side - 1, 1) if corners else centre * features - 0.5
    at = np.clip(at, 0, features - 1)
    low = np.minimum(at.astype(int), max(features - 2, 0))
    weights = np.zeros((out, features), dtype=np.float32)
    weights[np.arange(out), np.minimum(low + 1, features - 1)] = at - low
    weights[np.arange(out), low] += 1 - (at - low)
    return torch.from_numpy(weights).to(device)
