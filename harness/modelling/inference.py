"""Predictions of a trained segmenter under the protocol's test-time settings.

The dense CRF of ``test.crf`` is an argument (``harness.modelling.crf`` gives it), so that nothing here depends on it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from harness.modelling.mm import build, place
from harness.modelling.networks import CONFIG, WEIGHTS
from harness.modelling.preprocess import Uint8Preprocessor

if TYPE_CHECKING:
    from harness.contract.arrays import Image, Mask
    from harness.contract.protocol import TestSettings

Finish = Callable[[Tensor, "Image"], npt.NDArray[Any]]
"""(C, H, W) scores on the device and the image to what is predicted for it."""
Refine = Callable[["npt.NDArray[np.float32]", "Image", str], "npt.NDArray[np.float32]"]
"""(C, H, W) float32 probabilities, the image and a device to probabilities of the same shape."""


_MASK_WINDOW, _PROBABILITY_WINDOW = 64, 4
"""Images read at a time, so that those of one size share batches; masks are small, probabilities are not."""
_CPU_PIXELS, _GPU_PIXELS = 1 << 19, 1 << 22
"""Image pixels of a batch."""


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
    assert isinstance(model.data_preprocessor, Uint8Preprocessor)
    place(model, device)
    model.eval()
    return model


def predict_probabilities(
    folder: Path,
    images: Iterable[Image],
    *,
    settings: TestSettings,
    device: str = "cpu",
    refine: Refine | None = None,
) -> Iterator[npt.NDArray[np.float32]]:
    """Class probabilities of each image, in order.

    Args:
        folder: Artifact of a trained segmenter.
        images: (H, W, 3) uint8 RGB each.
        settings: Scales, flip, base size.
        device: Where to compute.
        refine: The dense CRF, called where the settings ask for it.

    Yields:
        (C, H, W) float32, the softmax averaged over the views, or the marginals of the dense CRF over it.

    Raises:
        ValueError: The settings ask for the dense CRF and none is given.
    """
    finish = _finish(_as_array, settings, device, refine)
    model = load_segmenter(folder, device)
    source = iter(images)
    while window := list(islice(source, _PROBABILITY_WINDOW)):
        yield from _predicted(model, window, settings, finish, softmax=True)


def predict(
    folder: Path,
    items: Iterable[tuple[str, Image]],
    *,
    settings: TestSettings,
    device: str = "cpu",
    refine: Refine | None = None,
) -> Iterator[tuple[str, Mask]]:
    """Label map of each image, in order.

    Args:
        folder: Artifact of a trained segmenter.
        items: (id, (H, W, 3) uint8 RGB).
        settings: Scales, flip, base size.
        device: Where to compute.
        refine: The dense CRF, called where the settings ask for it.

    Yields:
        (id, mask), mask (H, W) uint8 class indices.

    Raises:
        ValueError: The settings ask for the dense CRF and none is given.
    """
    finish = _finish(lambda scores, _: scores.argmax(0).to(torch.uint8).cpu().numpy(), settings, device, refine)
    model = load_segmenter(folder, device)
    softmax = len(settings.scales) > 1 or settings.flip or settings.crf
    source = iter(items)
    while window := list(islice(source, _MASK_WINDOW)):
        images = [image for _, image in window]
        masks = _predicted(model, images, settings, finish, softmax=softmax)
        yield from ((image_id, mask) for (image_id, _), mask in zip(window, masks, strict=True))


def _finish(last: Finish, settings: TestSettings, device: str, refine: Refine | None) -> Finish:
    """``last``, after the dense CRF where the settings ask for it."""
    if not settings.crf:
        return last
    if refine is None:
        raise ValueError("test.crf is set: predict with harness.modelling.crf, which brings the dense CRF")
    crf = refine
    return lambda scores, image: last(torch.from_numpy(crf(_as_array(scores, image), image, device)), image)


def _as_array(scores: Tensor, image: Image) -> npt.NDArray[np.float32]:
    return scores.float().cpu().numpy()


def _predicted(
    model: nn.Module,
    images: Sequence[Image],
    settings: TestSettings,
    finish: Finish,
    *,
    softmax: bool,
) -> list[npt.NDArray[Any]]:
    """``finish`` of the (C, H, W) scores of each image and the image, in order; images of one size share batches."""
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        groups[image.shape[:2]].append(index)
    on_gpu = model.data_preprocessor.mean.is_cuda  # type: ignore[union-attr]
    limit = _GPU_PIXELS if on_gpu else _CPU_PIXELS
    predicted: dict[int, npt.NDArray[Any]] = {}
    for (height, width), members in groups.items():
        step = max(limit // (height * width), 1)
        for start in range(0, len(members), step):
            chosen = members[start : start + step]
            batch = torch.from_numpy(np.stack([images[i] for i in chosen]))
            scores = _scores(model, batch, settings, softmax=softmax)
            predicted.update((i, finish(planes, images[i])) for i, planes in zip(chosen, scores, strict=True))
    return [predicted[index] for index in range(len(images))]


@torch.inference_mode()
def _scores(model: Any, images: Tensor, settings: TestSettings, *, softmax: bool) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, C, H, W): mean probabilities of all views, or the logits of a single one."""
    x = model.data_preprocessor.normalise(images)
    height, width = x.shape[2:]
    meta = [{"img_shape": (height, width), "ori_shape": (height, width), "pad_shape": (height, width)}] * len(x)
    total: Any = None
    for scale in settings.scales:
        factor = scale * (settings.base / max(height, width) if settings.base else 1.0)
        size = (max(round(height * factor), 1), max(round(width * factor), 1))
        view = x if size == (height, width) else functional.interpolate(x, size, mode="bilinear", align_corners=False)
        for mirrored in (False, True) if settings.flip else (False,):
            logits = model.encode_decode(view.flip(-1) if mirrored else view, meta)
            if logits.shape[2:] != (height, width):  # a model that answers at the size of the view
                logits = functional.interpolate(logits, (height, width), mode="bilinear", align_corners=False)
            scores = logits.float().softmax(1) if softmax else logits
            scores = scores.flip(-1) if mirrored else scores
            total = scores if total is None else total.add_(scores)
    count = len(settings.scales) * (2 if settings.flip else 1)
    mean: Tensor = total / count if count > 1 else total
    return mean
