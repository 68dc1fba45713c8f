"""What a training keeps beside the weights: its loss curve, its checkpoint, and scalars for TensorBoard."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from harness.common.atomic import replacing
from harness.modelling import mm
from harness.modelling.mm import Visualizer, get_rank

CHECKPOINT = "checkpoint.pth"
"""Of a stage's first training; that of the second is ``checkpoint-2.pth``."""
LOG_INTERVAL = 50
TENSORBOARD = "TensorboardVisBackend"


_finished: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
"""How many trainings a stage has finished, by its context."""


class LossCurve:
    """Mean losses of each interval of iterations; the device is read once per interval."""

    def __init__(self, *, interval: int = LOG_INTERVAL) -> None:
        self.points: list[dict[str, float]] = []
        self._pending: list[dict[str, Tensor]] = []
        self._interval = interval

    def add(self, losses: Mapping[str, Tensor], *, done: int, total: int) -> dict[str, float] | None:
        """Keep the losses of a step on the device.

        Returns:
            At the end of an interval, ``iteration`` and the mean of each loss; else ``None``.

        Raises:
            FloatingPointError: A loss of the interval is infinite or NaN; says which, and at which iteration.
        """
        self._pending.append({name: value.detach() for name, value in losses.items() if "loss" in name})
        if done % self._interval and done != total:
            return None
        point: dict[str, float] = {"iteration": done}
        for name in dict.fromkeys(name for step in self._pending for name in step):
            values = torch.stack([step[name].float().cpu() for step in self._pending if name in step]).tolist()
            point[name] = sum(values) / len(values)
            if not math.isfinite(point[name]):
                first = next(i for i, value in enumerate(values) if not math.isfinite(value))
                iteration = done - len(self._pending) + first + 1
                raise FloatingPointError(f"training diverged: {name} is {values[first]} at iteration {iteration}")
        self.points.append(point)
        self._pending = []
        return point

    def state_dict(self) -> dict[str, Any]:
        """The points, and the losses of the interval that has begun."""
        return {"points": self.points, "pending": [{k: v.cpu() for k, v in step.items()} for step in self._pending]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where ``state_dict`` was called."""
        self.points, self._pending = list(state["points"]), list(state["pending"])


@contextmanager
def numbered(ctx: object) -> Iterator[int]:
    """The number of a training in the stage of ``ctx``, from 1 on; one that is broken off keeps its number."""
    number = _finished.get(ctx, 0) + 1
    yield number
    _finished[ctx] = number


class Checkpoint:
    """Saves what a resume needs, every ``seconds`` or ``iterations``, replacing the file in one step.

    Args:
        work: Scratch folder of the stage.
        parts: Name to object; each has ``state_dict`` and ``load_state_dict``.
        seconds: Time between checkpoints.
        iterations: Iterations between checkpoints, beside the time.
        number: Of the training in its stage, from 1 on: each has a file of its own.
    """

    def __init__(
        self,
        work: Path,
        parts: Mapping[str, Any],
        *,
        seconds: float,
        iterations: int | None = None,
        number: int = 1,
    ) -> None:
        name = CHECKPOINT if number == 1 else f"checkpoint-{number}.pth"
        self._path, self._parts = work / name, parts
        self._seconds, self._iterations = seconds, iterations
        self._saved = time.monotonic()

    def resume(self) -> int:
        """Load the saved state, if there is one.

        Returns:
            The number of iterations that are done.
        """
        if not self._path.exists():
            return 0
        state = torch.load(self._path, map_location="cpu", weights_only=True)
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
        return int(state["iteration"])

    def save_when_due(self, done: int, total: int) -> None:
        """Save when it is time, but not after the last step: then the stage publishes the result itself."""
        late = time.monotonic() - self._saved >= self._seconds
        due = late or (self._iterations is not None and done % self._iterations == 0)
        if get_rank() == 0 and done < total and due:
            self.save(done)
            self._saved = time.monotonic()

    def save(self, done: int) -> None:
        """Write the state after ``done`` iterations."""
        state = {"iteration": done, **{name: part.state_dict() for name, part in self._parts.items()}}
        with replacing(self._path) as file:
            torch.save(state, file)


class Scalars:
    """Writes points of the curve for TensorBoard, where it is installed; only the first process does."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._visualizer: Any = None

    def __enter__(self) -> Self:
        if find_spec("tensorboard") is not None and get_rank() == 0:
            with mm.quiet():
                name = f"wsss-{time.monotonic_ns()}"
                self._visualizer = Visualizer(name, vis_backends=[{"type": TENSORBOARD}], save_dir=str(self._work))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._visualizer is not None:
            self._visualizer.close()

    def add(self, point: Mapping[str, float]) -> None:
        """Add one point of a ``LossCurve``."""
        if self._visualizer is not None:
            scalars = {name: value for name, value in point.items() if name != "iteration"}
            self._visualizer.add_scalars(scalars, step=int(point["iteration"]))
