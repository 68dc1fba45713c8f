"""The adapter: images and tags in, labels and their maps out; CLIP is frozen, and nothing is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image
import torch
from torch import Tensor

from harness.contract import BACKGROUND, Context, DataError, Generator, PseudoLabel, SoftScores, View
from harness.data import described
from harness.maps import Bilateral, DenseCRF, Gaussian, downsample
from wsss_clip_es import method
from wsss_clip_es.params import ClipEsParams
from wsss_clip_es.text import Texts, read_texts, texts_for, tokens_for
from wsss_clip_es.weights import Clip, load_clip

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""What CLIP expects of R, G and B in [0, 1]."""

KERNELS = (Gaussian(1.0, 3.0), Bilateral(67.0, 3.0, 4.0))
"""The authors' CRF is DeepLab's at test time."""

_ITERATIONS = 10


def check(params: ClipEsParams, view: View) -> str:
    """Read weights and texts, for the plan; weights that were read once are remembered.

    Raises:
        DataError: They do not fit together, or the texts lack a class of the data set.
    """
    _, (embedding, vocabulary, length) = described(params.weights, "CLIP 1", partial(_shape, params.weights))
    if params.text is not None:
        read_texts(params.text, view.classes[1:], embedding)
    elif vocabulary:
        tokens_for(params, view.classes, vocabulary, length=length)
    else:
        raise DataError(f"{params.weights}: has no text tower, so the prompts must come from `text`")
    return ""


def _shape(weights: Path) -> tuple[int, int, int]:
    """Channels that image and text share, different tokens, tokens of a text; zeros without a text tower."""
    clip = load_clip(weights)
    text = (clip.text.token_embedding.num_embeddings, len(clip.text.positional_embedding)) if clip.text else (0, 0)
    return clip.image.proj.shape[1], *text


class ClipEs(Generator):
    """Activation maps of a frozen CLIP, refined by its own attention."""

    def __init__(self, params: ClipEsParams) -> None:
        self.params = params

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Yield the label of every image, one image at a time; one without tags is all background."""
        torch.set_num_threads(ctx.threads)
        params, clip = self.params, load_clip(self.params.weights)
        texts = texts_for(params, clip, view.classes)
        clip.image.to(ctx.device)
        stride = ctx.settings["cam"].stride
        for image_id in view.ids:
            image, classes = view.image(image_id), view.tags(image_id)
            if not classes:
                yield PseudoLabel(image_id, np.full(image.shape[:2], BACKGROUND, np.uint8))
                continue
            maps = class_maps(image, classes, clip, texts, params=params, device=ctx.device)
            label = labelled(image, maps, (BACKGROUND, *classes), params=params, device=ctx.device)
            yield PseudoLabel(image_id, label, SoftScores(classes, downsample(maps, stride), image.shape[:2]))


@torch.no_grad()
def class_maps(
    image: npt.NDArray[np.uint8],
    classes: Sequence[int],
    clip: Clip,
    texts: Texts,
    *,
    params: ClipEsParams,
    device: str,
) -> method.Floats:
    """The maps of the present classes, eqs. 1 to 4.

    Args:
        image: (H, W, 3) uint8 RGB.
        classes: Present classes, ascending.
        clip: The weights, the image tower on ``device``.
        texts: Vectors of all classes.
        params: Of the method.
        device: Where the tower is.

    Returns:
        (C, H, W) float32 in [0, 1].
    """
    present = torch.cat([texts.foreground[[cls - 1 for cls in classes]], texts.background]).to(device)
    pixels = normalised(image, clip.image.patch).to(device)
    size = (pixels.shape[2] // clip.image.patch, pixels.shape[3] // clip.image.patch)
    tokens, attention = clip.image.before_last(pixels, half_positions=params.half_positions)
    raw, _, last = method.grad_cams(clip.image, tokens, present, len(classes), scale=clip.scale, softmax=params.softmax)
    maps = method.cams(raw, size)
    if params.caa:
        mean = torch.stack([*(weights[0] for weights in attention), last][-params.last_layers :]).mean(dim=0)
        affinity = method.transition(mean[1:, 1:], balancings=params.sinkhorn, squarings=params.squarings)
        maps = method.unit_range(torch.stack([method.refined(cam, affinity, params.box_threshold) for cam in maps]))
    return method.enlarged(maps, (image.shape[0], image.shape[1]))


def normalised(image: npt.NDArray[np.uint8], patch: int) -> Tensor:
    """(H, W, 3) uint8 RGB to (1, 3, H', W') float32 at sides that are multiples of the patch, bicubic."""
    height, width = (-(-side // patch) * patch for side in image.shape[:2])
    resized = PIL.Image.fromarray(image).resize((width, height), PIL.Image.Resampling.BICUBIC)
    pixels = (np.asarray(resized, np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def labelled(
    image: npt.NDArray[np.uint8], maps: method.Floats, classes: Sequence[int], *, params: ClipEsParams, device: str
) -> npt.NDArray[np.uint8]:
    """The label of maps (C, H, W), eq. 5; ``classes`` begin with the background."""
    probabilities = method.with_background(maps, params.background_exponent)
    if not params.crf:
        return method.confident_label(probabilities, classes, 0)
    seen = method.official_crf_image(image) if params.crf_image == "official" else image
    marginals = DenseCRF(seen, pairwise=KERNELS, device=device).infer(probabilities, _ITERATIONS)
    return method.confident_label(marginals, classes, params.confidence)
