"""Round r on the auxiliary data set, a shared stage: first M of the round before, then E of this round.

    M:  S_{r-1}^aux <- the protocol's segmenter, trained on C(G_{r-1}) of the auxiliary images (filled boxes for r = 1)
    E:  G_r <- fitted to the auxiliary masks, seeing S_{r-1}^aux

Stage r reads stage r - 1, so the target's rounds share them: nothing is trained twice.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from harness.contract import BACKGROUND, IGNORE, ConfigError, Context, PseudoLabel, Segmenter, View
from harness.modelling import (
    FROM_CONFIG,
    backbone_config,
    load_segmenter,
    load_weights,
    mm,
    record_of,
    train_segmenter,
)
from wsss_bilevel_box.encoder import EncoderGenerator, Network, grown
from wsss_bilevel_box.labels import Rules, pseudo_labels, segmenter_logits
from wsss_bilevel_box.learning import Fitting, Probability, Schedule, Unrolled, fit
from wsss_bilevel_box.method import classes_in_order, probability_planes
from wsss_bilevel_box.network import SHAPES, MaskGenerator, with_probability
from wsss_bilevel_box.pairs import PairStream, Planes, Scene, canvas_side, on_canvas, read_scenes, reduced
from wsss_bilevel_box.params import BilevelBoxParams

WEIGHTS = "generator.pth"
ABOUT = "generator.json"
SEGMENTER = "segmenter"
_N = TypeVar("_N", bound=nn.Module)
_CURVE = "train.json"
"""The last file that the training of a segmenter writes."""


def learn(params: Mapping[str, Any], view: View, ctx: Context) -> None:
    """Fit G_r into ``ctx.out``, and the auxiliary segmenter that it looks at."""
    settings = BilevelBoxParams(**{name: value for name, value in params.items() if name != "round"})
    number = int(params["round"])
    torch.set_num_threads(ctx.threads)
    scenes = read_scenes(view)
    before = None if number == 1 else ctx.input(f"bilevel_{number - 1}")
    sees = settings.sees_probability(number)
    segmenter = _auxiliary_segmenter(settings, scenes, before, view, ctx) if sees else None
    generator = _initial(settings, before, ctx, number=number, channels=5 if sees else 4)
    sizes = [scene.image.shape[:2] for scene in scenes]
    canvas = canvas_side(sizes, settings.canvas, generator.multiple, corners=generator.corners)
    curve = _fit(
        generator, settings, [reduced(scene, canvas) for scene in scenes], ctx, canvas=canvas, segmenter=segmenter
    )
    torch.save({k: v.contiguous().cpu() for k, v in generator.state_dict().items()}, ctx.out / WEIGHTS)
    if segmenter is not None and settings.scheme == "unrolled":  # it moved with the generator
        state = {k: v.contiguous().cpu() for k, v in segmenter.state_dict().items()}
        torch.save(state, ctx.out / SEGMENTER / "segmenter.pth")
    about = {"channels": generator.channels, "network": settings.network, "canvas": canvas, "curve": curve}
    if settings.uses_backbone:
        about["backbone"] = ctx.settings["backbone"].name
        about["weights_sha256"] = ctx.settings["backbone"].weights_sha256
        about["pretrained"] = isinstance(generator, EncoderGenerator) and generator.pretrained
    (ctx.out / ABOUT).write_text(json.dumps(about) + "\n", encoding="utf-8")


def load_generator(folder: Path, device: str) -> Network:
    """The generator that ``learn`` left in ``folder``, in evaluation mode."""
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    generator = make_generator(
        about["network"],
        about["channels"],
        backbone=about.get("backbone"),
        weights_sha256=about.get("weights_sha256"),
        pretrained=about.get("pretrained", False),
    )
    generator.load_state_dict(torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True))
    return generator.to(device).to(memory_format=torch.channels_last).eval()


def ready(network: _N, device: str) -> _N:
    """``network`` in evaluation mode with its norms folded into its convolutions: the same function, cheaper."""
    folded: _N = mm.fuse_conv_bn(network.eval())
    return folded.to(device).to(memory_format=torch.channels_last)


def make_generator(
    network: str,
    channels: int,
    *,
    backbone: str | None,
    weights: str | None = None,
    weights_sha256: str | None = None,
    pretrained: bool = False,
) -> Network:
    """A generator with random weights, from the global generator of random numbers.

    Args:
        network: ``backbone``, or a name of ``SHAPES``.
        channels: 5 with the segmenter's probability, 4 without.
        backbone: Name of the protocol's backbone.
        weights: Initial weights of the backbone to load; ``None`` = none, or those of a state that follows.
        weights_sha256: Their SHA-256, by which the pixels that they want to see may be known.
        pretrained: The backbone has, or is going to have, weights that came with it.

    Raises:
        ConfigError: The network needs a backbone that has no name.
    """
    if network != "backbone":
        return MaskGenerator(channels, SHAPES[network])
    if backbone is None or backbone == FROM_CONFIG:
        raise ConfigError("bilevel_box: network 'backbone' needs a named backbone, or set network to 'small'")
    settings = SimpleNamespace(name=backbone, weights_sha256=weights_sha256)  # what a record depends on
    record = record_of(cast("Any", settings))
    stride = min(record.output_strides, key=lambda stride: abs(stride - 16))
    encoder = mm.build(backbone_config(record, stride))
    if weights is not None:
        load_weights(encoder, weights, weights_sha256)
    return EncoderGenerator(
        encoder, record.channels, channels, inputs=record.inputs, stride=stride, pretrained=pretrained
    )


def rules(settings: BilevelBoxParams, canvas: int, *, corners: bool) -> Rules:
    """How the settings generate labels with a generator whose features lie on the corners, or at cells' centres."""
    official = settings.preset == "official"
    return Rules(
        canvas,
        settings.overlap_rule,
        align=official or corners,
        exact=official,
        unit=settings.unit_pixels,
        min_fill=settings.least_fill,
    )


def _initial(settings: BilevelBoxParams, before: Path | None, ctx: Context, *, number: int, channels: int) -> Network:
    """Random weights, or those of the round before where they fit (or ``inflate`` makes them fit)."""
    backbone = ctx.settings["backbone"] if settings.uses_backbone else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(ctx.seed(f"generator/{number}"))
        generator = make_generator(
            settings.network,
            channels,
            backbone=backbone and backbone.name,
            weights=backbone and backbone.weights,
            weights_sha256=backbone and backbone.weights_sha256,
            pretrained=backbone is not None and backbone.weights is not None,
        )
    if before is None:
        return generator
    earlier = load_generator(before, "cpu")
    if earlier.channels == channels:
        generator.load_state_dict(earlier.state_dict())
    elif settings.inflates:
        widen = grown if settings.uses_backbone else with_probability
        generator.load_state_dict(widen(earlier.state_dict()))
    return generator


def _fit(
    generator: Network,
    settings: BilevelBoxParams,
    scenes: Sequence[Scene],
    ctx: Context,
    *,
    canvas: int,
    segmenter: nn.Module | None,
) -> list[dict[str, float]]:
    optim = ctx.settings["segmenter"].optim
    official = settings.preset == "official"
    align = official or generator.corners
    probability = Probability(segmenter, exact=official, align=align)
    planes = None
    if segmenter is not None and settings.prob_cache:
        planes = cached_planes(segmenter, scenes, canvas, ctx.device, align=align)
        probability = Probability()
    unrolled = None
    if segmenter is not None and settings.scheme == "unrolled":
        unrolled = Unrolled(segmenter, settings.inner_lr, probability, settings.unit_pixels, corners=generator.corners)
    stream = PairStream(
        scenes,
        crop=canvas,
        seed=ctx.seed("pairs"),
        pad_label=BACKGROUND if official else IGNORE,
        centred=not align,
        planes=planes,
    )
    schedule = Schedule(
        iterations=optim.iterations if settings.iterations is None else settings.iterations,
        batch_size=settings.batch_size or optim.batch_size,
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        every=50 if official else 1,
    )
    fitting = Fitting(generator, probability, unrolled, unit=settings.unit_pixels)
    return fit(fitting, stream, schedule, ctx, seed=ctx.seed("generator"))


@torch.inference_mode()
def cached_planes(
    segmenter: nn.Module, scenes: Sequence[Scene], canvas: int, device: str, *, align: bool = False
) -> Planes:
    """p_c of the present classes of every image at the image's size, from one pass of the segmenter at scale 1."""
    cache = {}
    for scene in scenes:
        placed, factor = on_canvas(scene.image, canvas)
        logits = segmenter_logits(segmenter, torch.from_numpy(placed)[None].to(device))
        classes = classes_in_order(scene.boxes)
        index = torch.tensor(classes, device=device)
        planes = probability_planes(logits, torch.zeros_like(index), index, (canvas, canvas), exact=False, align=align)
        height, width = (max(round(side * factor), 1) for side in scene.image.shape[:2])
        for cls, plane in zip(classes, planes[:, :height, :width].cpu().numpy(), strict=True):
            cache[scene.image_id, cls] = np.ascontiguousarray(plane)
    return cache


def _auxiliary_segmenter(
    settings: BilevelBoxParams, scenes: Sequence[Scene], before: Path | None, view: View, ctx: Context
) -> nn.Module:
    """S_{r-1}^aux: trained on C(G_{r-1}), beginning from the one before where there is one."""
    folder = ctx.work / SEGMENTER
    if not (folder / _CURVE).exists():
        labels = _Composed(settings, scenes, before, ctx)
        warm = before and before / SEGMENTER / "segmenter.pth"
        nested = _Nested(ctx, folder, len(view.auxiliary.classes), settings.auxiliary_iterations)
        warm_start = warm if warm is not None and warm.exists() else None
        images = cast("View", _Scenes(scenes, view.auxiliary.classes))
        train_segmenter(Segmenter(), labels, images, cast("Context", nested), warm_start=warm_start)
    shutil.copytree(folder, ctx.out / SEGMENTER, ignore=shutil.ignore_patterns("work"), dirs_exist_ok=True)
    segmenter = load_segmenter(folder, ctx.device)
    return segmenter if settings.scheme == "unrolled" else ready(segmenter, ctx.device)


class _Composed:
    """Labels of the auxiliary images by id: C(G_{r-1}), or filled boxes before the first round."""

    def __init__(self, settings: BilevelBoxParams, scenes: Sequence[Scene], before: Path | None, ctx: Context) -> None:
        if before is None:
            self._labels = {scene.image_id: filled(scene) for scene in scenes}
            return
        generator = ready(load_generator(before, ctx.device), ctx.device)
        canvas = json.loads((before / ABOUT).read_text(encoding="utf-8"))["canvas"]
        sees = generator.channels == 5
        segmenter = ready(load_segmenter(before / SEGMENTER, ctx.device), ctx.device) if sees else None
        items = ((scene.image_id, scene.image, scene.boxes) for scene in scenes)
        how = rules(settings, canvas, corners=generator.corners)
        self._labels = dict(pseudo_labels(generator, items, rules=how, device=ctx.device, segmenter=segmenter))

    def label(self, image_id: str) -> PseudoLabel:
        """The label of one image."""
        return PseudoLabel(image_id, self._labels[image_id])


def filled(scene: Scene) -> npt.NDArray[np.uint8]:
    """Boxes painted in annotation order, later ones over earlier ones: the labels of stage 0."""
    label = np.zeros(scene.image.shape[:2], np.uint8)
    for box in scene.boxes:
        label[box.y0 : box.y1, box.x0 : box.x1] = box.cls
    return label


class _Scenes:
    """What the training of a segmenter asks of a view, from memory."""

    def __init__(self, scenes: Sequence[Scene], classes: tuple[str, ...]) -> None:
        self.ids = tuple(scene.image_id for scene in scenes)
        self.classes = classes
        self._images = {scene.image_id: scene.image for scene in scenes}

    def image(self, image_id: str) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8, RGB."""
        return self._images[image_id]


class _Nested:
    """``ctx`` for a training inside the stage: its own folders, the auxiliary classes, perhaps a shorter schedule."""

    def __init__(self, ctx: Context, folder: Path, num_classes: int, iterations: int | None) -> None:
        self.out, self.work, self.num_classes = folder, folder / "work", num_classes
        self.work.mkdir(parents=True, exist_ok=True)
        self.device, self.threads, self.seed = ctx.device, ctx.threads, ctx.seed
        self.progress: Callable[[int, int], None] = ctx.progress
        segmenter = ctx.settings["segmenter"]
        if iterations is not None:
            optim = segmenter.optim.model_copy(update={"iterations": iterations})
            segmenter = segmenter.model_copy(update={"optim": optim})
        self.settings = {"backbone": ctx.settings["backbone"], "segmenter": segmenter}
