"""Compares batched CAM inference with the usual way, on the same network and photographs.

The usual way goes image by image and view by view, up-samples every class to the full image and adds up in numpy. Run
``python -m speed.cam``. It prints one line per way, and ends with 1 when the maps differ or ``--require`` is not met.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.contract import InputRule
from harness.contract.protocol import CamSettings
from harness.maps import downsample, infer_cams

Item = tuple[str, npt.NDArray[np.uint8], tuple[int, ...]]
"""Id, (H, W, 3) uint8, classes."""
Maps = Iterator[tuple[str, npt.NDArray[np.float16]]]
"""Id, (K, h, w) float16."""
CLASSES = 20
SETTINGS = CamSettings(scales=(0.5, 1.0, 1.5, 2.0), flip=True, stride=4)
RULE = InputRule()
TOLERANCE = 0.01
"""Largest accepted difference of two normalised maps: the usual one is sampled twice on its way to the stored size."""


class Network(nn.Module):
    """MobileNetV2 x0.35 at output stride 16 with random weights, and a 1x1 class convolution."""

    def __init__(self) -> None:
        super().__init__()
        from mmseg.models.backbones import MobileNetV2

        self.backbone = MobileNetV2(
            widen_factor=0.35, strides=(1, 2, 2, 2, 1, 1, 1), dilations=(1, 1, 1, 1, 1, 2, 2), out_indices=(6,)
        )
        self.head = nn.Conv2d(self.backbone.layer7[-1].conv[-1].conv.out_channels, CLASSES, 1, bias=False)

    def forward(self, batch: Tensor) -> Tensor:
        maps: Tensor = self.head(self.backbone(batch)).relu()
        return maps


def networks() -> tuple[nn.Module, nn.Module, nn.Module]:
    """The same network three times: as it is, channels last, and channels last with its batch norms folded in."""
    from mmcv.cnn import fuse_conv_bn

    torch.manual_seed(0)
    plain = Network()
    plain.backbone.eval()
    with torch.no_grad():  # scores about 1, so that the maps differ visibly where they differ
        plain.head.weight /= plain.head(plain.backbone(torch.randn(1, 3, 225, 225))).std()
    fused = fuse_conv_bn(copy.deepcopy(plain))
    last = torch.channels_last
    return plain, copy.deepcopy(plain).to(memory_format=last), fused.to(memory_format=last)


def photographs(count: int) -> Iterator[Item]:
    """(id, (H, W, 3) uint8, one or two classes): blurred blocks, every third upright."""
    rng = np.random.default_rng(0)
    for index in range(count):
        height, width = (375, 500) if index % 3 else (500, 375)
        blocks = rng.integers(0, 256, (height // 25, width // 25, 3)).astype(np.uint8)
        image = np.kron(blocks, np.ones((25, 25, 1), np.uint8))
        yield str(index), image, (1 + index % CLASSES,) if index % 2 else (3, 9)


def usual(network: nn.Module, items: Iterable[Item]) -> Maps:
    mean = torch.tensor([123.675, 116.28, 103.53]).view(1, 3, 1, 1)
    std = torch.tensor([58.395, 57.12, 57.375]).view(1, 3, 1, 1)
    for name, image, classes in items:
        height, width = image.shape[:2]
        pixels = torch.from_numpy(image.transpose(2, 0, 1)[None].copy()).float()
        total = np.zeros((CLASSES, height, width), np.float32)
        for scale in SETTINGS.scales:
            size = RULE.side(height * scale), RULE.side(width * scale)
            view = (functional.interpolate(pixels, size, mode="bilinear", align_corners=False) - mean) / std
            for flipped in (False, True):
                with torch.no_grad():
                    maps = network(view.flip(-1) if flipped else view)
                    maps = functional.interpolate(maps, (height, width), mode="bilinear", align_corners=True)
                total += maps[0].numpy()[:, :, ::-1] if flipped else maps[0].numpy()
        total /= total.max((1, 2), keepdims=True) + 1e-5
        yield name, downsample(total[[c - 1 for c in classes]], SETTINGS.stride)


def batched(network: nn.Module, items: Iterable[Item], batch_pixels: int | None = None) -> Maps:
    for name, scores in infer_cams(network, items, settings=SETTINGS, batch_pixels=batch_pixels):
        yield name, scores.values


def timed(
    way: Callable[[Sequence[Item]], Maps], items: Sequence[Item]
) -> tuple[list[npt.NDArray[np.float32]], npt.NDArray[np.float64]]:
    """The maps, and the wall and processor milliseconds per image."""
    wall, cpu = time.perf_counter(), time.process_time()
    maps = [values.astype(np.float32) for _, values in way(items)]
    return maps, 1e3 * np.array([time.perf_counter() - wall, time.process_time() - cpu]) / len(items)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3, help="the fastest of these counts")
    parser.add_argument("--require", type=float, default=0.0, help="smallest accepted speed-up of the folded network")
    options = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    plain, last, folded = networks()
    items = list(photographs(options.images))
    ways: dict[str, Callable[[Sequence[Item]], Maps]] = {
        "usual": lambda x: usual(plain, x),
        "batched, network as it is": lambda x: batched(plain, x),
        "batched, channels last": lambda x: batched(last, x),
        "batched, channels last, folded": lambda x: batched(folded, x),
        "  one view pair at a time": lambda x: batched(folded, x, 1),
        "  1 M pixels per batch": lambda x: batched(folded, x, 1 << 20),
    }
    for way in ways.values():
        timed(way, items[:2])
    best = {name: np.full(2, np.inf) for name in ways}
    for _ in range(options.repeats):
        maps = {}
        for name, way in ways.items():
            maps[name], spent = timed(way, items)
            best[name] = np.minimum(best[name], spent)
    print(f"{'way':34} {'wall ms':>8} {'CPU ms':>8} {'speed-up':>8} {'largest difference':>20}")
    worst = 0.0
    for name, (wall, cpu) in best.items():
        gap = max(float(abs(a - b).max()) for a, b in zip(maps[name], maps["usual"], strict=True))
        worst = max(worst, gap)
        print(f"{name:34} {wall:8.0f} {cpu:8.0f} {best['usual'][0] / wall:8.2f} {gap:20.4f}")
    speedup = best["usual"][0] / best["batched, channels last, folded"][0]
    return int(worst > TOLERANCE or speedup < options.require)


if __name__ == "__main__":
    sys.exit(main())
