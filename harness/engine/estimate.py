"""GPU hours of a plan's network stages from counted operations: an estimate, for the time before anything was measured.

The model: a training image costs three forward passes (the backward pass counts two), a predicted view one. A frozen
backbone passes each stored view once and no training image. A pass costs what ``torch.utils.flop_counter`` counts of
it, at a throughput that the user states. Auxiliary heads, decoding, dense CRFs and whatever plugins compute themselves
are left out.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.contract.shared import CAMS, CLASSIFIER, FEATURES

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.contract.protocol import CamSettings, TestSettings
    from harness.engine.plan.layout import Plan, StageSpec
    from harness.registry import PluginManager

PASSES = 3
"""Forward passes that a training step on one image is worth."""
LONG_SIDE, ASPECT = 500, 0.75
"""Images are taken as 4:3, and as 500 pixels long where the protocol names no size."""
ACCELERATOR_SCALE = 2e10
"""Training pixels below which no estimate is made: such plans run on any machine, and counting takes seconds."""
_ARRAYS = {"cams", "features", "labels", "previous_labels"}
"""Upstream artifacts that hold no network."""


@dataclass(frozen=True)
class GpuEstimate:
    """Hours of all stages that are still to compute, one after another.

    Attributes:
        tflops: Throughput that was assumed, in 10^12 operations per second.
        uncounted: Names of stages whose networks are a plugin's own business.
    """

    hours: float
    tflops: float
    uncounted: tuple[str, ...]


def estimate(plan: Plan, wanted: Collection[str], manager: PluginManager, tflops: float) -> GpuEstimate | None:
    """GPU hours of the stages ``wanted``; ``None`` for a plan below the scale of an accelerator."""
    specs = [spec for key, spec in plan.stages.items() if key in wanted]
    costs = _Costs(plan, manager)
    if sum(map(costs.training_pixels, specs)) < ACCELERATOR_SCALE:
        return None
    from harness.modelling.backbones import use_records

    use_records(manager.records("backbone").values())
    flops = [costs.of(spec) for spec in specs]
    uncounted = {spec.name for spec, cost in zip(specs, flops, strict=True) if cost is None}
    return GpuEstimate(sum(filter(None, flops)) / (tflops * 1e12) / 3600, tflops, tuple(sorted(uncounted)))


class _Costs:
    """Floating-point operations of stages; each network is counted once."""

    def __init__(self, plan: Plan, manager: PluginManager) -> None:
        self._plan = plan
        self._segmenters = manager.records("segmenter")
        self._passes: dict[tuple[str, str], float] = {}

    def training_pixels(self, spec: StageSpec) -> float:
        """Pixels that a stage trains on, over all steps."""
        section = self._trains(spec)
        if section is None:
            return 0.0
        settings: Any = spec.settings[section]
        return float(settings.optim.iterations * settings.optim.batch_size * settings.augment.crop**2)

    def _trains(self, spec: StageSpec) -> str | None:
        """The protocol section whose schedule the stage follows."""
        if spec.run == CLASSIFIER.run:
            return "classifier"
        return "segmenter" if spec.kind == "segmenter" and self._has_network(spec) else None

    def _has_network(self, segmenter: StageSpec) -> bool:
        return segmenter.part is None or self._segmenters[segmenter.part.name].trains

    def of(self, spec: StageSpec) -> float | None:
        """Operations of a stage: 0 where there is no network, ``None`` where a plugin runs its own."""
        section = self._trains(spec)
        if section is not None:
            frozen = self._pixel("freeze", spec) if "freeze" in spec.settings else 0.0
            return PASSES * self.training_pixels(spec) * (self._pixel(section, spec) - frozen)
        images = self._plan.dataset.images
        if spec.run == FEATURES.run:
            freeze: Any = spec.settings["freeze"]
            return float(images["train"] * freeze.views * freeze.augment.crop**2 * self._pixel("freeze", spec))
        if spec.run == CAMS.run:
            cam: Any = spec.settings["cam"]
            return images["train"] * self._pixel("classifier", spec) * view_pixels(cam)
        if spec.kind in ("predict", "predicted_features"):
            test: Any = spec.settings["test"]
            kept = 1.0 - self._plan.benchmark.protocol.scoring.dev_fraction
            return kept * images["val"] * self._predicted_pixel(spec) * view_pixels(test)
        trains_own = spec.kind in ("shared", "fit") and spec.settings
        infers_own = spec.kind in ("generate", "refine") and spec.inputs.keys() - _ARRAYS
        return None if trains_own or infers_own else 0.0

    def _predicted_pixel(self, spec: StageSpec) -> float:
        """Operations of a predicted pixel: of the frozen backbone, of the head behind it, or of a whole network."""
        if spec.kind == "predicted_features":
            return self._pixel("freeze", spec)
        segmenter = self._plan.stages[spec.inputs["segmenter"]]
        stored = self._pixel("freeze", segmenter) if FEATURES.name in spec.inputs else 0.0
        return self._pixel("segmenter", segmenter) - stored if self._has_network(segmenter) else 0.0

    def _pixel(self, section: str, spec: StageSpec) -> float:
        """Operations of a forward pass on the training crop, per pixel."""
        from harness.modelling import cost

        backbone: Any = spec.settings["backbone"]
        if (section, backbone.name) not in self._passes:
            count: Callable[..., int] = getattr(cost, f"{section}_flops")
            protocol: Any = getattr(self._plan.benchmark.protocol, section)
            side = protocol.augment.crop
            self._passes[section, backbone.name] = count(protocol, backbone, spec.num_classes, side) / side**2
        return self._passes[section, backbone.name]


def view_pixels(settings: CamSettings | TestSettings) -> float:
    """Pixels of all views of one image."""
    long = settings.base or LONG_SIDE
    size = (round(long * ASPECT), long)
    tiles = getattr(settings, "tiles", None)
    if tiles is None:
        pixels = sum(size[0] * size[1] * scale**2 for scale in settings.scales)
    else:
        pixels = 0
        for scale in settings.scales:
            rows, columns = (1 + math.ceil(max(int(side * scale) - tiles.crop, 0) / tiles.stride) for side in size)
            pixels += rows * columns * tiles.crop**2
    return float(2 * pixels if settings.flip else pixels)
