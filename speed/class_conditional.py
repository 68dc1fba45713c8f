"""Compares batched class-conditional inference with the released code's way, on the same classifier and images.

The released code's way (``usual``) goes image by image and view by view. It up-samples the maps of all classes to the
patch and adds them up in float64, and it takes four patches also where all four are the image. Processor time counts,
and the time outside the network is also given on its own.

Run ``python -m speed.class_conditional``. It ends with 1 when maps differ by more than ``TOLERANCE``, or when a
required ratio is not met.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from harness.contract.inputs import IMAGENET_MEAN, IMAGENET_STD
from speed.cam import Item, networks
from wsss_class_conditional.inference import Inference
from wsss_class_conditional.method import EPS, centre_of_mass, split_boxes
from wsss_class_conditional.params import InferenceParams
from wsss_class_conditional.responses import Views

Values = npt.NDArray[np.floating[Any]]
SCALES = (0.5, 1.0, 1.5, 2.0)
TOLERANCE = 1e-4
PARAMS = InferenceParams()


class Watched:
    """A network that counts its processor seconds and the views that it saw."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.seconds, self.views = 0.0, 0

    def __call__(self, batch: Tensor) -> Tensor:
        start = time.process_time()
        maps: Tensor = self.network(batch)
        self.seconds += time.process_time() - start
        self.views += len(batch)
        return maps


def upsample(maps: Tensor, side: Sequence[int], size: tuple[int, int], corners: bool) -> Tensor:
    """(1, C, h, w) at the centres of the patch's pixels, see ``harness.contract.InputRule``."""
    if not corners:
        return functional.interpolate(maps, size, mode="bilinear", align_corners=False)
    at = [
        ((torch.arange(out) + 0.5) * pixels / out - 0.5) * 2 / max(pixels - 1, 1) - 1
        for pixels, out in zip(side, size, strict=True)
    ]
    grid = torch.stack(torch.meshgrid(*at, indexing="ij")[::-1], -1)[None]
    return functional.grid_sample(maps, grid, align_corners=True, padding_mode="border")


def views_of(patch: npt.NDArray[np.uint8], views: Views) -> list[Tensor]:
    """Normalised views of a patch, each followed by its mirror image."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    seen: list[Tensor] = []
    for height, width in views.sizes(patch.shape[0], patch.shape[1], 1.0):
        resized = np.asarray(Image.fromarray(patch).resize((width, height), Image.Resampling.BICUBIC))
        view = (torch.from_numpy(resized.transpose(2, 0, 1)[None].copy()).float() - mean) / std
        seen += [view, view.flip(-1)]
    return seen


def response(
    network: Watched,
    seen: Sequence[Tensor],
    *,
    keep: npt.NDArray[np.bool_] | None,
    present: Values,
    size: tuple[int, int],
    corners: bool,
) -> Values:
    """R of one patch, one view at a time and all classes in float64; ``keep`` is False where pixels are erased."""
    maps = []
    for index, whole in enumerate(seen):
        view = whole
        if keep is not None:
            mask = functional.interpolate(torch.from_numpy(keep)[None, None].float(), view.shape[2:], mode="nearest")
            mask = mask.flip(-1) if index % 2 else mask
            view = mask * view + (1 - mask) * view.mean((2, 3), keepdim=True)
        with torch.no_grad():
            planes = upsample(network(view), view.shape[2:], size, corners)[0].double().numpy() * present[:, None, None]
        maps.append(planes[:, :, ::-1] if index % 2 else planes)
    total = np.sum(maps, axis=0)
    return np.asarray(total / (total.max((1, 2), keepdims=True) + EPS))


def usual(network: Watched, items: Iterable[Item], views: Views) -> Iterator[Values]:
    """M of every image, the released way."""
    for _, image, classes in items:
        size = image.shape[:2]
        chosen = [cls - 1 for cls in classes]
        present = np.zeros(20)
        present[chosen] = 1.0
        seen = views_of(image, views)
        plain = response(network, seen, keep=None, present=present, size=size, corners=views.corners)
        boxes = split_boxes([centre_of_mass(plain[cls]) for cls in chosen], size)
        merged = np.zeros((*size, len(present), len(boxes)))
        for number, (top, bottom, left, right) in enumerate(boxes):
            patch = np.ascontiguousarray(image[top:bottom, left:right])
            seen, keep, extent = views_of(patch, views), None, (patch.shape[0], patch.shape[1])
            highest, before = np.zeros((len(present), *extent)), patch[:, :, 0].size
            for _ in range(PARAMS.passes):
                now = response(network, seen, keep=keep, present=present, size=extent, corners=views.corners)
                highest = np.max(np.stack([highest, now]), axis=0)
                keep = highest.max(0) < PARAMS.erase_threshold
                newly, before = (before - keep.sum()) / keep.size, keep.sum()
                if newly < PARAMS.stop:
                    break
            merged[top:bottom, left:right, :, number] = highest.transpose(1, 2, 0)
        yield merged.max(-1)[:, :, chosen].transpose(2, 0, 1)


def batched(network: Watched, items: Iterable[Item], views: Views) -> Iterator[Values]:
    for result in Inference(network, PARAMS, views)(items):
        yield result.response


def photographs(count: int, classes: int, seed: int) -> Iterator[Item]:
    """(id, (240, 320, 3) uint8, that many classes): smooth noise, every third upright."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        size = (320, 240) if index % 3 else (240, 320)
        coarse = Image.fromarray(rng.integers(0, 256, (8, 10, 3)).astype(np.uint8))
        tags = tuple(sorted(int(cls) for cls in rng.choice(np.arange(1, 21), classes, replace=False)))
        yield str(index), np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)), tags


def measure(
    way: Callable[[Watched, Iterable[Item], Views], Iterator[Values]],
    network: nn.Module,
    items: Iterable[Item],
    views: Views,
) -> tuple[list[Values], float, float, int]:
    """Maps, processor seconds in all, those outside the network, and the number of views."""
    watched, start = Watched(network), time.process_time()
    maps = list(way(watched, items, views))
    spent = time.process_time() - start
    return maps, spent, spent - watched.seconds, watched.views


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--images", type=int, default=2, help="images with 1, with 2 and with 3 classes each")
    parser.add_argument("--geometry", choices=("network", "pixels"), default="network")
    parser.add_argument("--require", type=float, nargs=2, default=(2.0, 5.0), help="least ratio in all, and outside")
    options = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    network: Any = networks()[-1]
    with torch.no_grad():  # random weights give maps far below EPS, on which no pass would erase anything
        network.head.weight.div_(network(torch.randn(1, 3, 225, 225)).amax((0, 2, 3))[:, None, None, None] + 1e-30)
    views = Views(SCALES, own_sides=options.geometry == "network")
    measure(batched, network, list(photographs(1, 1, 9)), views)
    total = np.zeros((2, 2))  # usual, batched: in all, outside the network
    worst, quarter = 0.0, True
    print("classes  views usual/batched  CPU s usual/batched  ratio  outside usual/batched  ratio  largest difference")
    for classes in (1, 2, 3):
        items = list(photographs(options.images, classes, classes))
        old, new = (measure(way, network, items, views) for way in (usual, batched))
        gap = max(float(abs(a - b).max()) for a, b in zip(old[0], new[0], strict=True))
        worst = max(worst, gap)
        total += np.array([old[1:3], new[1:3]])
        quarter &= classes < 3 or 4 * new[3] <= old[3]
        print(
            f"{classes:7}  {old[3]:11}/{new[3]:<8} {old[1]:10.2f}/{new[1]:<8.2f} {old[1] / new[1]:6.2f} "
            f"{old[2]:12.2f}/{new[2]:<9.2f} {old[2] / new[2]:6.2f}  {gap:.1e}"
        )
    whole, outside = total[0] / total[1]
    print(f"all: {whole:.2f} times faster, {outside:.2f} times less outside the network, difference {worst:.1e}")
    met = worst <= TOLERANCE and quarter and whole >= options.require[0] and outside >= options.require[1]
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
