"""What a stage is handed besides its view: folders, declared settings, seeds, upstream artifacts, progress."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.atomic import write_atomically
from harness.common.seeds import derive_seed
from harness.contract.errors import PluginError, StoreError
from harness.contract.interfaces import PreviousRound
from harness.engine.executors.group import local_rank

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.contract.arrays import Image, PseudoLabel
    from harness.engine.plan.layout import StageSpec

REPORT_EACH = 0.5
"""Seconds between two progress reports: more often than they are drawn, and rarely enough to cost nothing."""


class Settings(Mapping[str, Any]):
    """The protocol sections that a component declared; others are refused with the remedy."""

    def __init__(self, sections: Mapping[str, Any], stage: str) -> None:
        self._sections = dict(sections)
        self._stage = stage

    def __getitem__(self, name: str) -> Any:
        if name not in self._sections:
            raise KeyError(f"{self._stage} did not declare the protocol section {name!r}; add it to the record's reads")
        return self._sections[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sections)

    def __len__(self) -> int:
        return len(self._sections)


class StageContext:
    """The ``Context`` of one stage.

    Args:
        spec: The stage.
        out: Folder that becomes the artifact.
        work: Folder that survives a kill.
        inputs: Folders of the upstream artifacts.
        device: ``auto``, ``cpu`` or ``cuda``; looked up when the stage first asks for its device.
        slot: Number of the worker, which spreads stages over devices where ``CUDA_VISIBLE_DEVICES`` names none.
        threads: CPU threads of this process.
        report: File that progress is written to.
    """

    def __init__(
        self,
        spec: StageSpec,
        *,
        out: Path,
        work: Path,
        inputs: Mapping[str, Path],
        device: str = "auto",
        slot: int = 0,
        threads: int = 1,
        report: Path | None = None,
    ) -> None:
        self.out, self.work, self.threads = out, work, threads
        self.num_classes = spec.num_classes
        self.settings = Settings(spec.settings, spec.name)
        self._spec, self._inputs = spec, inputs
        self._device, self._slot = device, slot
        self._report, self._reported = report, 0.0

    @cached_property
    def device(self) -> str:
        """``"cpu"`` or ``"cuda:N"``; decided here, so that a process without need of torch never imports it."""
        if self._device == "cpu":
            return "cpu"
        import torch

        if torch.cuda.is_available():
            if "CUDA_VISIBLE_DEVICES" in os.environ:  # whoever set it chose: the first, or one for each of a group
                return f"cuda:{local_rank()}"
            return f"cuda:{self._slot % torch.cuda.device_count()}"
        if self._device == "cuda":
            raise PluginError("--device cuda: no CUDA device is available")
        return "cpu"

    @property
    def device_name(self) -> str:
        """``cpu``, or the name of the accelerator if the stage asked for its device and got one."""
        device = self.__dict__.get("device", "cpu")
        if device == "cpu":
            return "cpu"
        import torch

        return str(torch.cuda.get_device_name(device))

    def seed(self, axis: str) -> int:
        """A 31-bit seed, alike for every method.

        Raises:
            PluginError: The stage's key holds no seed, so a random result would be shared by all seeds.
        """
        if self._spec.seed is None:
            raise PluginError(
                f"{self._spec.name} asks for a seed but declares no randomness; set random=True in its record"
            )
        return derive_seed(self._spec.seed, axis)

    def input(self, name: str) -> Path:
        """Folder of an upstream artifact.

        Raises:
            PluginError: The stage has no such input.
        """
        if name not in self._inputs:
            names = ", ".join(self._inputs) or "none"
            advice = (
                "set fits=True in its record"
                if name == "fit" and self._spec.kind in ("generate", "refine")
                else "add it to the record's uses"
            )
            raise PluginError(f"{self._spec.name} has no input {name!r} (inputs: {names}); {advice}")
        return self._inputs[name]

    @cached_property
    def previous(self) -> PreviousRound:
        """The previous round.

        Raises:
            PluginError: There is none, or the component did not declare ``uses_previous``.
        """
        if "previous_labels" not in self._inputs:
            raise PluginError(
                f"{self._spec.name} needs a previous round: it must declare uses_previous and not be in the first round"
            )
        labels, segmenter = self._inputs["previous_labels"], self._inputs["previous_segmenter"]
        return StoredRound(labels, segmenter, str(self._spec.modelling), self)

    def progress(self, done: int, total: int) -> None:
        """Leave progress where the parent, or any other process, can see it; losing it harms nothing."""
        now = time.monotonic()
        if self._report is None or (now - self._reported < REPORT_EACH and done < total):
            return
        self._reported = now
        with suppress(StoreError):
            write_atomically(self._report, json.dumps({"done": done, "total": total}), durable=False)


class StoredRound(PreviousRound):
    """The round before, read from its artifacts."""

    def __init__(self, labels: Path, segmenter: Path, modelling: str, ctx: StageContext) -> None:
        from harness.maps.labels import LabelReader

        self._labels = LabelReader(labels)
        self._segmenter, self._modelling, self._ctx = segmenter, modelling, ctx

    def label(self, image_id: str) -> PseudoLabel:
        """The previous round's pseudo label."""
        return self._labels.label(image_id)

    def predict(self, images: Sequence[Image]) -> Iterator[npt.NDArray[np.float32]]:
        """(C, H, W) float32 class probabilities of each image under the protocol's test-time settings."""
        from harness.registry import resolve

        probabilities = resolve(f"{self._modelling}:predict_probabilities")
        predictions: Iterator[npt.NDArray[np.float32]] = probabilities(
            self._segmenter, images, settings=self._ctx.settings["test"], device=self._ctx.device
        )
        return predictions

    @property
    def checkpoint(self) -> Path:
        """The previous segmenter's weights file."""
        return weights_of(self._segmenter)


def weights_of(segmenter: Path) -> Path:
    """The one weights file in the folder of a trained segmenter.

    Raises:
        PluginError: There is none, or more than one.
    """
    files = sorted(segmenter.glob("*.pth"))
    if len(files) != 1:
        raise PluginError(f"{segmenter}: a trained segmenter has one weights file, found {len(files)}")
    return files[0]
