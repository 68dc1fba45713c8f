"""Measures the memory of IRN's walk on a large photograph, and compares the walk with the matrix over all cells.

Run ``python -m speed.irn``. The released code squares a matrix of all pairs of cells eight times, which is what the
walk of 256 steps is compared with on a small map. On a photograph of 2,000 pixels that matrix has 250,000 rows. The
script ends with 1 when the walk there takes the process, libraries included, beyond 1 GiB, or when the walks differ.
With ``--network`` the boundaries come from a MobileNetV2 that sees the photograph in its own size, which is printed and
not promised.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from harness.engine.peak import PeakMemory
from harness.maps import half_disc
from wsss_irn import method

RADIUS, BETA, DOUBLINGS, STRIDE = 5, 10.0, 8, 4
AT_MOST_MIB, TOLERANCE = 1024, 1e-10


def dense(maps: Tensor, boundary: Tensor) -> Tensor:
    """The released code's way for one image: (C, H, W) scores, (H, W) boundaries -> (C, H, W)."""
    height, width = boundary.shape
    cells = torch.arange(height * width).view(height, width)
    matrix = torch.eye(height * width, dtype=boundary.dtype)
    for dy, dx in half_disc(RADIUS):
        area = method.Area(0, height - dy, max(-dx, 0), width - max(dx, 0))
        worst = torch.stack([area.seen(boundary, step) for step in method.path((dy, dx))]).amax(0)
        one, other = area.seen(cells, (0, 0)), area.seen(cells, (dy, dx))
        matrix[one, other] = matrix[other, one] = (1 - worst) ** BETA
    power = matrix / matrix.sum(0)
    for _ in range(DOUBLINGS):
        power = power @ power
    return ((maps * (1 - boundary)).flatten(1) @ power).view_as(maps)


def example(height: int, width: int, classes: int) -> tuple[Tensor, Tensor]:
    """(1, C, H, W) scores and (1, H, W) boundaries, mostly weak ones, from a seed."""
    rng = np.random.default_rng(0)
    maps, boundary = rng.random((1, classes, height, width)), rng.random((1, height, width)) ** 4
    return torch.from_numpy(maps).float(), torch.from_numpy(boundary).float()


def network_boundary(side: int) -> Tensor:
    """(1, h, w) boundaries that a network with random weights sees in a photograph of noise, 4 : 3."""
    from harness.contract.protocol import BackboneSettings, ClassifierSettings
    from harness.modelling import CamClassifier, mm
    from harness.modelling.classifier import classifier_config
    from wsss_irn.network import IrnNetwork
    from wsss_irn.refiner import boundary_map

    settings = ClassifierSettings.model_validate({"optim": {"iterations": 0}, "augment": {"crop": 257}})
    config = classifier_config(settings, BackboneSettings(name="mobilenet_v2"), 2)
    del config["type"]
    body = CamClassifier(**config)
    network = IrnNetwork(body, config["channels"], range(4), radius=10, displacement=False)
    mm.place(network, "cpu")
    network.eval()
    image = np.random.default_rng(0).integers(0, 256, (side * 3 // 4, side, 3)).astype(np.uint8)
    with torch.inference_mode():
        return boundary_map(network, image, None)


def walked(maps: Tensor, boundary: Tensor) -> Tensor:
    return method.walk(maps, boundary, radius=RADIUS, beta=BETA, steps=2**DOUBLINGS)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=2000, help="sides of the photograph in pixels")
    parser.add_argument("--classes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--network", action="store_true", help="let a network see the photograph")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    cells = options.side // STRIDE + 1
    maps, boundary = example(cells, cells, options.classes)
    with PeakMemory() as peak:
        began = time.process_time()
        walked(maps, boundary)
        seconds = time.process_time() - began
    matrix = cells**4 * 4 / 1e9
    print(f"walk on {cells} x {cells} cells, {options.classes} classes: {seconds:.1f} s of processor time")
    print(f"peak {peak.mib:.0f} MiB with all libraries (at most {AT_MOST_MIB}); the matrix: {matrix:.0f} GB")
    maps, boundary = (values.double() for values in example(40, 52, options.classes))
    gap = float((walked(maps, boundary)[0] - dense(maps[0], boundary[0])).abs().max())
    print(f"largest difference from the matrix on 40 x 52 cells {gap:.1e} (at most {TOLERANCE:.0e})")
    if options.network:
        with PeakMemory() as whole:
            size = tuple(network_boundary(options.side).shape[1:])
        print(f"network on {options.side} x {options.side * 3 // 4} pixels: {size} cells, peak {whole.mib:.0f} MiB")
    return int(peak.mib > AT_MOST_MIB or gap > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
