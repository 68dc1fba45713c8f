"""Compares trees and filters of tree energy loss with plain loops, and with the training step that they are part of.

*Loop* is the usual form, one cell after the other: Kruskal's algorithm on the sorted edges, and the two passes of the
filter along the tree, forward and backward, with all classes of a cell at once. Sizes are those of the demo and of
the table of 300 photographs: batch, cells, classes, channels of the embedding. The training step is that of the same
benchmarks, on stored features of a frozen network, with cross entropy alone and with tree energy loss.

Run ``python -m speed.tree``. Ratios are of processor time; the fastest of the repeats, or the fastest step, counts. The
script ends with 1 when results differ, when trees and filters are not 5 times as fast as the loops, or when those of
both levels take more than 15 % of a training step.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

warnings.simplefilter("ignore")

from harness.contract import IGNORE, PseudoLabel, Segmenter  # noqa: E402
from harness.contract.protocol import (  # noqa: E402
    AugmentSettings,
    BackboneSettings,
    FreezeSettings,
    OptimSettings,
    SegmenterSettings,
)
from harness.modelling import backbone_config, find_backbone, mm, train_segmenter  # noqa: E402
from harness.modelling.feature_stage import compute_features  # noqa: E402
from harness.testing import fake_context, fake_view  # noqa: E402
from speed.guided import photograph  # noqa: E402
from wsss_tree_energy.params import TreeEnergyParams  # noqa: E402
from wsss_tree_energy.segmenter import PartialCrossEntropy, TreeEnergy  # noqa: E402
from wsss_tree_energy.tree import Forest, grid_edges, minimum_spanning_forest, squared_differences, tree_filter  # noqa: E402

R = TypeVar("R")
Rows = npt.NDArray[np.floating[Any]]
AT_LEAST, AT_MOST, TOLERANCE = 5.0, 0.15, 1e-4
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Size:
    """A benchmark: its batch, cells on a side, classes, images, and its segmenter."""

    name: str
    batch: int
    cells: int
    classes: int
    side: int
    backbone: str
    weights: str | None
    config: str
    crop: int
    stride: int
    steps: int


SIZES = (
    Size("demo", 16, 13, 6, 96, "resnet18_x0.125", "configs/weights/creatures.pth", "mlp_demo", 97, 8, 60),
    Size("photographs", 8, 33, 7, 320, "mobilenet_v2", None, "context_stride8", 257, 16, 16),
)


def loop_tree(distances: Tensor, side: int) -> set[int]:
    """Kruskal's algorithm on one image: indices of the edges of its tree."""
    edges, leader = grid_edges(side, side).tolist(), list(range(side * side))

    def find(cell: int) -> int:
        while leader[cell] != cell:
            leader[cell] = leader[leader[cell]]
            cell = leader[cell]
        return cell

    kept = set()
    for edge in np.argsort((distances + 1).numpy(), kind="stable").tolist():
        one, other = (find(cell) for cell in edges[edge])
        if one != other:
            leader[one] = other
            kept.add(edge)
    return kept


def loop_passes(x: Rows, weight: Rows, parent: list[int], roots: int) -> tuple[Rows, Rows]:
    """What comes up and what comes down, cell after cell."""
    up = x.copy()
    for cell in range(len(x) - 1, roots - 1, -1):
        up[parent[cell - roots]] += weight[cell - roots] * up[cell]
    down = up.copy()
    for cell in range(roots, len(x)):
        w = weight[cell - roots]
        down[cell] = (1 - w * w) * up[cell] + w * down[parent[cell - roots]]
    return up, down


def loop_filter(x: Tensor, similarity: Tensor, forest: Forest, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The filtered maps, and the gradients by the similarities: (B, C, h, w) and (B, E)."""
    rows, parent, roots = forest.rows(x), forest.parent.tolist(), forest.roots
    weight = similarity.flatten().numpy()[forest.edge]
    up, down = loop_passes(np.concatenate([rows, np.ones_like(rows[:, :1])], 1), weight, parent, roots)
    y = down[:, :-1] / down[:, -1:]
    back = forest.rows(gradient) / down[:, -1:]
    own, around = loop_passes(np.concatenate([back, -(back * y).sum(1, keepdims=True)], 1), weight, parent, roots)
    by_edge = np.zeros(similarity.numel(), np.float32)
    for cell in range(roots, len(rows)):
        above, w = parent[cell - roots], weight[cell - roots]
        total = own[cell] @ down[above] + around[above] @ up[cell] - 2 * w * (own[cell] @ up[cell])
        by_edge[forest.edge[cell - roots]] = total
    return forest.maps(y, x), torch.from_numpy(by_edge).view_as(similarity)


def our_filter(x: Tensor, similarity: Tensor, forest: Forest, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The same from the plugin."""
    inputs = x.clone().requires_grad_(), similarity.clone().requires_grad_()
    y = tree_filter(*inputs, forest)
    return y.detach(), torch.autograd.grad(y, inputs, gradient)[1]


def fastest(function: Callable[[], R], repeats: int) -> tuple[R, float]:
    """The result and the smallest processor seconds."""
    result, spent = function(), []
    for _ in range(repeats):
        start = time.process_time()
        function()
        spent.append(time.process_time() - start)
    return result, min(spent)


def compare(size: Size, repeats: int) -> tuple[bool, float]:
    """Print the lines of one benchmark; whether all is as promised, and the seconds of trees and filters in a step."""
    images = functional.interpolate(photograph(size.batch), (size.cells, size.cells), mode="bilinear")
    distances = squared_differences(images)
    x = torch.randn(size.batch, size.classes, size.cells, size.cells).softmax(1)
    gradient, similarity = torch.randn_like(x), torch.exp(-distances / 0.02)
    ours, trees = fastest(lambda: minimum_spanning_forest(distances, size.cells, size.cells), repeats)
    theirs, looped = fastest(lambda: [loop_tree(each, size.cells) for each in distances], 1)
    found = {divmod(edge, distances.shape[1]) for edge in ours.edge.tolist()}
    same = found == {(image, edge) for image, kept in enumerate(theirs) for edge in kept}
    print(
        f"{size.name:12} trees            {1e3 * looped:9.1f} {1e3 * trees:9.2f} {looped / trees:7.1f}  equal: {same}"
    )
    (y, by_edge), filters = fastest(lambda: our_filter(x, similarity, ours, gradient), repeats)
    (slow_y, slow_by_edge), slow = fastest(lambda: loop_filter(x, similarity, ours, gradient), 1)
    gap = max(float((y - slow_y).abs().max()), float((by_edge - slow_by_edge).abs().max()))
    times = f"{1e3 * slow:9.1f} {1e3 * filters:9.2f} {slow / filters:7.1f}"
    print(f"{size.name:12} filter, gradient {times}  difference {gap:.0e}")
    ratio = (looped + slow) / (trees + filters)
    print(f"{size.name:12} together {ratio:34.1f}", flush=True)
    return same and gap < TOLERANCE and ratio >= AT_LEAST, 2 * (trees + filters)


class Steps:
    """A context that notes the processor time of each training step."""

    def __init__(self, folder: Path, **fields: Any) -> None:
        self._context = fake_context(folder, **fields)
        self.at: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def progress(self, done: int, total: int, /) -> None:
        self.at.append(time.process_time())

    @property
    def fastest(self) -> float:
        """Seconds of the fastest step but the first ones."""
        return float(np.diff(self.at)[4:].min())


def sections(size: Size, folder: Path) -> dict[str, Any]:
    """Those of the protocol."""
    weights = folder / "weights.pth"
    if size.weights is None:
        network = mm.build(backbone_config(find_backbone(size.backbone), size.stride))
        torch.save({"state_dict": network.state_dict()}, weights)
    augment = AugmentSettings(crop=size.crop, colour=0.2)
    optim = OptimSettings(
        iterations=size.steps, batch_size=size.batch, optimizer="adamw", lr=0.003, head_lr_mult=1.0, weight_decay=0.01
    )
    return {
        "backbone": BackboneSettings(name=size.backbone, weights=str(ROOT / size.weights if size.weights else weights)),
        "freeze": FreezeSettings(views=2, augment=augment, output_stride=size.stride),
        "segmenter": SegmenterSettings(
            config=str(ROOT / "configs" / "segmenters" / f"{size.config}.py"),
            output_stride=size.stride,
            augment=augment,
            optim=optim,
        ),
    }


def scribbled(size: Size, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A line of each of three classes, 255 elsewhere."""
    label = np.full((size.side, size.side), IGNORE, np.uint8)
    for cls in rng.choice(size.classes, 3, replace=False):
        row, column = rng.integers(0, size.side - 40, 2)
        label[row : row + 3, column : column + 40] = cls
    return label


def share(size: Size, tree_seconds: float, folder: Path) -> bool:
    """Print what a step takes without and with the loss; whether trees and filters are a small part of it."""
    rng = np.random.default_rng(0)
    drawn = functional.interpolate(photograph(2 * size.batch), (size.side, size.side), mode="bilinear")
    pixels = (255 * drawn).byte().permute(0, 2, 3, 1).numpy()
    view = fake_view({str(number): np.ascontiguousarray(image) for number, image in enumerate(pixels)})
    labels = {image_id: PseudoLabel(image_id, scribbled(size, rng)) for image_id in view.ids}
    settings, classes = sections(size, folder), size.classes
    stored = fake_context(folder / "features", settings=settings, num_classes=classes)
    compute_features({}, view, stored)
    spent = {}
    segmenters: dict[str, Segmenter] = {"plain": PartialCrossEntropy(None), "tree": TreeEnergy(TreeEnergyParams())}
    for name, segmenter in segmenters.items():
        fields = {"settings": settings, "num_classes": classes, "inputs": {"features": stored.out}}
        context: Any = Steps(folder / name, **fields, threads=torch.get_num_threads())
        train_segmenter(segmenter, SimpleNamespace(label=labels.__getitem__), view, context)
        spent[name] = context.fastest
    part, added = tree_seconds / spent["tree"], (spent["tree"] - spent["plain"]) / spent["plain"]
    print(
        f"{size.name:12} training step: cross entropy {1e3 * spent['plain']:.1f} ms, with the loss"
        f" {1e3 * spent['tree']:.1f} ms (+{100 * added:.0f} %); trees and filters {1e3 * tree_seconds:.1f} ms,"
        f" {100 * part:.1f} % of it",
        flush=True,
    )
    return bool(part <= AT_MOST)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=10, help="the fastest of these counts")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(f"{'':29} {'loop ms':>9} {'ours ms':>9} {'faster':>7}")
    fine = True
    for size in SIZES:
        as_promised, seconds = compare(size, options.repeats)
        with tempfile.TemporaryDirectory() as folder:
            fine &= share(size, seconds, Path(folder)) and as_promised
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
