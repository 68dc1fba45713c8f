"""Boundaries and displacements on the levels of a backbone that does not learn.

Each level goes through a 1x1 convolution and GroupNorm, is resized to the grid of the first tap, and the levels are
joined; the resizing stands before the ReLU, as in the released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.contract import ConfigError, Context
from harness.modelling import CamClassifier, build_classifier, load_classifier, mm, record_of, seeded
from wsss_irn import method
from wsss_irn.params import IrnParams

WIDTH = 32
"""Channels of each tap in the boundary branch."""
SHALLOW, DEEP = 128, 256
"""Channels in the displacement branch: of the first tap, of the others and of what joins them."""


class Tap(nn.Sequential):
    """1x1 convolution without bias, and GroupNorm."""

    def __init__(self, channels: int, width: int, groups: int) -> None:
        super().__init__(nn.Conv2d(channels, width, 1, bias=False), nn.GroupNorm(groups, width))


class BoundaryBranch(nn.Module):
    """Tells boundaries from everything else.

    Args:
        channels: Of the taps.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.taps = nn.ModuleList(Tap(count, WIDTH, 4) for count in channels)
        self.join = nn.Conv2d(WIDTH * len(channels), 1, 1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """(B, c_l, h_l, w_l) taps -> (B, h, w) logits of a boundary on the grid of the first tap."""
        size = levels[0].shape[2:]
        seen = [method.resize(tap(level), size).relu() for tap, level in zip(self.taps, levels, strict=True)]
        logits: Tensor = self.join(torch.cat(seen, 1))
        return logits[:, 0]


class DisplacementBranch(nn.Module):
    """Says where the centre of the object lies.

    Args:
        channels: Of the taps.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        widths = [SHALLOW] + [DEEP] * (len(channels) - 1)
        self.taps = nn.ModuleList(Tap(count, width, 16) for count, width in zip(channels, widths, strict=True))
        self.deep = Tap(sum(widths[1:]), DEEP, 16) if len(widths) > 1 else None
        self.join = Tap(SHALLOW + (DEEP if self.deep else 0), DEEP, 16)
        self.out = nn.Conv2d(DEEP, 2, 1, bias=False)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """(B, c_l, h_l, w_l) taps -> (B, 2, h, w) cells from each cell to the centre, dy and dx."""
        first, *others = [tap(level) for tap, level in zip(self.taps, levels, strict=True)]
        parts = [first.relu()]
        if self.deep is not None:
            middle = torch.cat([method.resize(level, others[0].shape[2:]).relu() for level in others], 1)
            parts.append(method.resize(self.deep(middle), first.shape[2:]).relu())
        displacement: Tensor = self.out(self.join(torch.cat(parts, 1)).relu())
        return displacement


class IrnNetwork(mm.BaseModel):
    """Both branches on a backbone as it is.

    Args:
        body: Whose backbone, preprocessor and sides of images are taken.
        channels: Of the backbone's levels.
        taps: Levels that the branches read, the one of the largest map first.
        radius: Of the pairs in training, in cells.
        displacement: Whether there is a displacement branch.
    """

    def __init__(
        self, body: CamClassifier, channels: Sequence[int], taps: Sequence[int], *, radius: int, displacement: bool
    ) -> None:
        super().__init__(body.data_preprocessor)
        self.inputs, self.backbone = body.inputs, body.backbone
        self.backbone.requires_grad_(False)
        self.levels, self.radius = tuple(taps), radius
        read = [channels[level] for level in taps]
        self.boundary = BoundaryBranch(read)
        self.displacement = DisplacementBranch(read) if displacement else None

    def init_weights(self) -> None:
        """Leave the backbone its weights and the branches torch's initial ones."""

    def train(self, mode: bool = True) -> IrnNetwork:
        """Statistics of the backbone stay as they are."""
        super().train(mode)
        self.backbone.eval()
        return self

    def seen(self, images: Tensor) -> list[Tensor]:
        """The levels that the branches read, of (B, 3, h, w) normalised float32."""
        with torch.no_grad():
            levels = self.backbone(images)
            return [levels[level] for level in self.levels]

    def boundaries(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised float32 -> (B, h, w) probability of a boundary, the mirror image averaged in."""
        logits = self.boundary(self.seen(images)) + self.boundary(self.seen(images.flip(-1))).flip(-1)
        return (logits / 2).sigmoid()

    def forward(self, inputs: Tensor, data_samples: Sequence[Any] | None = None, mode: str = "tensor") -> Any:
        """Boundaries, or with ``mode="loss"`` the losses against the labels of the samples, 255 = not learned from."""
        if mode != "loss":
            return self.boundaries(inputs)
        assert data_samples is not None
        labels = torch.stack([sample.gt_sem_seg.data[0] for sample in data_samples])
        return self.losses(self.seen(inputs), labels)

    def losses(self, levels: Sequence[Tensor], labels: Tensor) -> dict[str, Tensor]:
        """Half the sum of both terms of the boundaries, and of displacements where they are trained.

        Args:
            levels: What the branches read.
            labels: (B, H, W) int64 class indices, 255 = ignore.
        """
        size = levels[0].shape[2:]
        pairs = method.label_pairs(method.nearest(labels, size), self.radius)
        probability = self.boundary(levels).float().sigmoid()
        same, different = method.boundary_losses(method.pair_affinities(probability, self.radius), pairs)
        found = {"loss_same": same / 2, "loss_different": different / 2}
        if self.displacement is not None:
            moved = self.displacement(levels).float()
            foreground, background = method.displacement_losses(moved, pairs, self.radius)
            found |= {"loss_objects": foreground / 2, "loss_background": background / 2}
        return found


def build_network(params: IrnParams, ctx: Context) -> IrnNetwork:
    """The network with its initial branches, on the device of the stage.

    Raises:
        ConfigError: ``taps`` names a level that the backbone does not have.
    """
    trained = params.features == "classifier"
    body = load_classifier(ctx.input("classifier"), fold=False) if trained else build_classifier(ctx)
    channels = record_of(ctx.settings["backbone"]).channels
    taps = chosen_taps(params, ctx, len(channels))

    def make() -> IrnNetwork:
        return IrnNetwork(body, channels, taps, radius=params.radius, displacement=params.displacement)

    network = seeded(make, ctx.seed("irn"))
    mm.place(network, ctx.device)
    return network


def chosen_taps(params: IrnParams, ctx: Context, count: int) -> tuple[int, ...]:
    """The levels that the branches read, counted from 0: those of ``taps``, else the stored ones, else all.

    Args:
        params: The refiner's.
        ctx: The stage's context.
        count: Levels of the backbone.

    Raises:
        ConfigError: The backbone has no such level.
    """
    if params.taps is None:
        return ctx.settings["freeze"].stored(count) if "freeze" in ctx.settings else tuple(range(count))
    for level in params.taps:
        if not -count <= level < count:
            raise ConfigError(f"irn: taps: the backbone has {count} levels, no level {level}")
    return tuple(sorted({range(count)[level] for level in params.taps}))
