"""Predictions of a trained segmenter under the protocol's test-time settings."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.contract.errors import StoreError
from harness.modelling.mm import build

if TYPE_CHECKING:
    from harness.contract.arrays import Image, Mask
    from harness.contract.protocol import TestSettings

WEIGHTS = "segmenter.pth"
CONFIG = "segmenter.json"


def load_segmenter(folder: Path, device: str = "cpu") -> nn.Module:
    """The trained segmenter in ``folder``, in evaluation mode.

    Raises:
        StoreError: The folder holds no segmenter.
    """
    try:
        cfg = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        state = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise StoreError(f"{folder}: no readable segmenter ({error})") from None
    for module in cfg["imports"]:
        import_module(module)
    model = build(cfg["model"])
    model.load_state_dict(state)
    return model.eval().to(device=device, memory_format=torch.channels_last)


def predict_probabilities(
    folder: Path, images: Sequence[Image], *, settings: TestSettings, device: str = "cpu"
) -> Iterator[npt.NDArray[np.float32]]:
    """Class probabilities of each image, in order.

    Args:
        folder: Of a trained segmenter.
        images: (H, W, 3) uint8 RGB each.
        settings: Scales, flip, base size.
        device: Where to compute.

    Yields:
        (C, H, W) float32, the softmax averaged over the views.
    """
    model = load_segmenter(folder, device)
    for scores in _scores(model, images, settings, device, probabilities=True):
        yield scores.float().cpu().numpy()


def predict(
    folder: Path, items: Iterable[tuple[str, Image]], *, settings: TestSettings, device: str = "cpu"
) -> Iterator[tuple[str, Mask]]:
    """Label map of each image, in order.

    Args:
        folder: Of a trained segmenter.
        items: (id, (H, W, 3) uint8 RGB).
        settings: Scales, flip, base size.
        device: Where to compute.

    Yields:
        (id, mask), mask (H, W) uint8 class indices.
    """
    model = load_segmenter(folder, device)
    source = iter(items)
    while window := list(islice(source, _WINDOW)):
        masks = _scores(model, [image for _, image in window], settings, device, probabilities=False)
        for (image_id, _), scores in zip(window, masks, strict=True):
            yield image_id, scores.argmax(0).to(torch.uint8).cpu().numpy()


_WINDOW = 64


def _scores(
    model: nn.Module, images: Iterable[Image], settings: TestSettings, device: str, *, probabilities: bool
) -> Iterator[Tensor]:
    """(C, H, W) scores of each image in order: probabilities, or logits where one view makes them enough."""
    softmax = probabilities or len(settings.scales) > 1 or settings.flip
    source = iter(images)
    while window := list(islice(source, _WINDOW)):
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, image in enumerate(window):
            groups[image.shape[0], image.shape[1]].append(index)
        done: dict[int, Tensor] = {}
        for size, members in groups.items():
            step = max(_batch_pixels(device) // (size[0] * size[1]), 1)
            for start in range(0, len(members), step):
                chosen = members[start : start + step]
                batch = torch.from_numpy(np.stack([window[i] for i in chosen]))
                done.update(zip(chosen, _batch_scores(model, batch, settings, softmax=softmax), strict=True))
        for index in range(len(window)):
            yield done.pop(index)


def _batch_pixels(device: str) -> int:
    return 1 << 22 if device.startswith("cuda") else 1 << 19


@torch.inference_mode()
def _batch_scores(model: Any, images: Tensor, settings: TestSettings, *, softmax: bool) -> Tensor:
    """(B, H, W, 3) uint8 of one size -> (B, C, H, W)."""
    x = model.data_preprocessor.normalise(images)
    height, width = x.shape[2:]
    meta = [{"img_shape": (height, width), "ori_shape": (height, width), "pad_shape": (height, width)}] * len(x)
    total: Tensor | None = None
    for scale in settings.scales:
        factor = scale * (settings.base / max(height, width) if settings.base else 1.0)
        size = (max(round(height * factor), 1), max(round(width * factor), 1))
        view = x if size == (height, width) else functional.interpolate(x, size, mode="bilinear", align_corners=False)
        for mirrored in (False, True) if settings.flip else (False,):
            logits = model.encode_decode(view.flip(-1) if mirrored else view, meta)
            scores = logits.softmax(1) if softmax else logits
            scores = scores.flip(-1) if mirrored else scores
            total = scores if total is None else total.add_(scores)
    assert total is not None
    views = len(settings.scales) * (2 if settings.flip else 1)
    return total / views if views > 1 else total
