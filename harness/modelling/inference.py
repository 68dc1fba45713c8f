"""Predictions of a trained segmenter under the protocol's test-time settings.

The dense CRF of ``test.crf`` is an argument (``harness.modelling.crf`` gives it), so that nothing here depends on it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
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
from harness.modelling.features import Levels, PredictionReader
from harness.modelling.frozen import digest, freeze, supplying
from harness.modelling.mm import build, place
from harness.modelling.networks import CONFIG, WEIGHTS
from harness.modelling.preprocess import Uint8Preprocessor

if TYPE_CHECKING:
    from harness.contract.arrays import Image, Mask
    from harness.contract.protocol import TestSettings

Finish = Callable[[Tensor, "Image"], npt.NDArray[Any]]
"""(C, H, W) scores on the device and the image to what is predicted for it."""
Supply = Callable[[Sequence[int], int], Levels]
"""Indices of the images of a batch and the number of a view to stored features."""
Refine = Callable[["npt.NDArray[np.float32]", "Image", str], "npt.NDArray[np.float32]"]
"""(C, H, W) float32 probabilities, the image and a device to probabilities of the same shape."""


MASK_WINDOW, _PROBABILITY_WINDOW = 64, 4
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
    features: Path | None = None,
) -> Iterator[tuple[str, Mask]]:
    """Label map of each image, in order.

    Args:
        folder: Artifact of a trained segmenter.
        items: (id, (H, W, 3) uint8 RGB).
        settings: Scales, flip, base size.
        device: Where to compute.
        refine: The dense CRF, called where the settings ask for it.
        features: Artifact with the features of these images under these settings (``PredictionReader``); it is used
            where the segmenter's backbone has the weights that it was computed by.

    Yields:
        (id, mask), mask (H, W) uint8 class indices.

    Raises:
        ValueError: The settings ask for the dense CRF and none is given.
    """
    finish = _finish(lambda scores, _: scores.argmax(0).to(torch.uint8).cpu().numpy(), settings, device, refine)
    model = load_segmenter(folder, device)
    stored = None if features is None else _usable(PredictionReader(features), model)
    softmax = len(settings.scales) > 1 or settings.flip or settings.crf
    source = iter(items)
    while window := list(islice(source, MASK_WINDOW)):
        ids, images = zip(*window, strict=True)
        supplied = partial(_levels, stored, ids) if stored else None
        masks = _predicted(model, images, settings, finish, softmax=softmax, supplied=supplied)
        yield from zip(ids, masks, strict=True)


def _usable(features: PredictionReader, model: nn.Module) -> PredictionReader | None:
    """The features, if they are those of the model's backbone, which is then frozen to hand them out."""
    backbone = getattr(model, "backbone", None)
    if not isinstance(backbone, nn.Module) or digest(backbone) != features.weights:
        return None
    freeze(backbone)
    return features


def _levels(features: PredictionReader, ids: Sequence[str], chosen: Sequence[int], view: int) -> Levels:
    return features.levels([ids[index] for index in chosen], view)


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
    supplied: Supply | None = None,
) -> list[npt.NDArray[Any]]:
    """``finish`` of the (C, H, W) scores of each image and the image, in order."""
    predicted: dict[int, npt.NDArray[Any]] = {}
    on_gpu: bool = model.data_preprocessor.mean.is_cuda  # type: ignore[union-attr,assignment]
    for chosen, batch in batches(images, on_gpu=on_gpu):
        levels = partial(supplied, chosen) if supplied else None
        scores = _scores(model, batch, settings, softmax=softmax, levels=levels)
        predicted.update((i, finish(planes, images[i])) for i, planes in zip(chosen, scores, strict=True))
    return [predicted[index] for index in range(len(images))]


def batches(images: Sequence[Image], *, on_gpu: bool) -> Iterator[tuple[list[int], Tensor]]:
    """Images of one size in batches, as indices and (B, H, W, 3) uint8."""
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        groups[image.shape[:2]].append(index)
    limit = _GPU_PIXELS if on_gpu else _CPU_PIXELS
    for (height, width), members in groups.items():
        step = max(limit // (height * width), 1)
        for start in range(0, len(members), step):
            chosen = members[start : start + step]
            yield chosen, torch.from_numpy(np.stack([images[i] for i in chosen]))


def views_of(x: Tensor, settings: TestSettings) -> Iterator[tuple[bool, Tensor]]:
    """Each scale of (B, 3, H, W) normalised images, and its mirror image: whether it is one, and (B, 3, h, w)."""
    height, width = x.shape[2:]
    for scale in settings.scales:
        factor = scale * (settings.base / max(height, width) if settings.base else 1.0)
        size = (max(round(height * factor), 1), max(round(width * factor), 1))
        view = x if size == (height, width) else functional.interpolate(x, size, mode="bilinear", align_corners=False)
        yield False, view
        if settings.flip:
            yield True, view.flip(-1)


@torch.inference_mode()
def _scores(
    model: Any,
    images: Tensor,
    settings: TestSettings,
    *,
    softmax: bool,
    levels: Callable[[int], Levels] | None = None,
) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, C, H, W): mean probabilities of all views, or the logits of a single one."""
    x = model.data_preprocessor.normalise(images)
    height, width = x.shape[2:]
    meta = [{"img_shape": (height, width), "ori_shape": (height, width), "pad_shape": (height, width)}] * len(x)
    total: Any = None
    for number, (mirrored, view) in enumerate(views_of(x, settings)):
        with supplying(model, levels and levels(number), view):
            logits = model.encode_decode(view, meta)
        if logits.shape[2:] != (height, width):  # a model that answers at the size of the view
            logits = functional.interpolate(logits, (height, width), mode="bilinear", align_corners=False)
        scores = logits.float().softmax(1) if softmax else logits
        scores = scores.flip(-1) if mirrored else scores
        total = scores if total is None else total.add_(scores)
    count = len(settings.scales) * (2 if settings.flip else 1)
    mean: Tensor = total / count if count > 1 else total
    return mean
