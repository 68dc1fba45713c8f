"""What happens around a training step: randomness, learning rate, frozen norms, losses, checkpoints."""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness.modelling.mm import Hook, Runner, Visualizer, get_rank
from harness.modelling.segmenter import axis_seed

if TYPE_CHECKING:
    from harness.contract.protocol import OptimSettings

LOG_INTERVAL = 50


class StepSeeds(Hook):
    """Seeds every step from (seed, iteration), so that dropout is the same after a resume."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed torch, numpy and random; the rank keeps processes apart."""
        seed = axis_seed(self._seed, f"{get_rank()}/{runner.iter}")
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)


class PolyRate(Hook):
    """lr * min(1, (t+1)/(warmup+1)) * (1 - t/T)^power, from the iteration alone: nothing to resume."""

    def __init__(self, optim: OptimSettings) -> None:
        self._optim = optim

    def factor(self, iteration: int) -> float:
        """What the initial learning rate is multiplied with."""
        warm = min(1.0, (iteration + 1) / (self._optim.warmup + 1))
        return float(warm * (1.0 - iteration / self._optim.iterations) ** self._optim.power)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Set the learning rate of every parameter group."""
        factor = self.factor(runner.iter)
        for group in runner.optim_wrapper.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor


class FrozenNorms(Hook):
    """Keeps statistics and affine part of every BatchNorm in ``module``."""

    def __init__(self, module: nn.Module) -> None:
        self._norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]
        for norm in self._norms:
            norm.requires_grad_(False)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Mmengine's loop puts the whole model into training mode before each step."""
        for norm in self._norms:
            norm.training = False


class Losses(Hook):
    """Mean losses of each interval, and an error when one is not finite. Reads the device once an interval."""

    def __init__(self, progress: Callable[[int, int], None], *, interval: int = LOG_INTERVAL) -> None:
        self.points: list[dict[str, float]] = []
        self._pending: list[dict[str, Tensor]] = []
        self._progress = progress
        self._interval = interval
        self._told = 0.0

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Losses of methods read the iteration from mmengine's message hub."""
        runner.message_hub.update_info("iter", runner.iter)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Tensor] | None = None
    ) -> None:
        """Keep the step's losses on the device."""
        done, total = runner.iter + 1, runner.max_iters
        self._pending.append({name: value.detach() for name, value in (outputs or {}).items() if "loss" in name})
        if done % self._interval == 0 or done == total:
            point = self._flush(done)
            if isinstance(runner.visualizer, Visualizer):
                runner.visualizer.add_scalars({name: point[name] for name in point if name != "iteration"}, step=done)
        if done == total or time.monotonic() - self._told >= 1.0:
            self._told = time.monotonic()
            self._progress(done, total)

    def state_dict(self) -> dict[str, Any]:
        """Points, and the losses of the interval under way."""
        return {"points": self.points, "pending": [{k: v.cpu() for k, v in step.items()} for step in self._pending]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where ``state_dict`` was called."""
        self.points, self._pending = list(state["points"]), list(state["pending"])

    def _flush(self, done: int) -> dict[str, float]:
        point: dict[str, float] = {"iteration": done}
        names = dict.fromkeys(name for step in self._pending for name in step)
        for name in names:
            values = torch.stack([step[name].float().cpu() for step in self._pending if name in step]).tolist()
            point[name] = sum(values) / len(values)
            if not math.isfinite(point[name]):
                first = next(i for i, value in enumerate(values) if not math.isfinite(value))
                iteration = done - len(self._pending) + first + 1
                raise FloatingPointError(f"training diverged: {name} is {values[first]} at iteration {iteration}")
        self.points.append(point)
        self._pending = []
        return point


class Checkpoint(Hook):
    """Saves what a resume needs, every ``seconds`` or ``iterations``, replacing the file in one step."""

    priority = "VERY_LOW"

    def __init__(self, path: Path, losses: Losses, *, seconds: float, iterations: int | None = None) -> None:
        self._path = path
        self._losses = losses
        self._seconds = seconds
        self._iterations = iterations
        self._saved = time.monotonic()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Tensor] | None = None
    ) -> None:
        """Save when it is time; the last step is left to whoever keeps the result."""
        done = runner.iter + 1
        late = time.monotonic() - self._saved >= self._seconds
        if (
            get_rank() == 0
            and done < runner.max_iters
            and (late or (self._iterations and done % self._iterations == 0))
        ):
            self.save(runner, done)
            self._saved = time.monotonic()

    def save(self, runner: Runner, done: int) -> None:
        """Write the state after ``done`` iterations."""
        state = {
            "iteration": done,
            "model": unwrapped(runner.model).state_dict(),
            "optimizer": runner.optim_wrapper.state_dict(),
            "losses": self._losses.state_dict(),
        }
        temporary = self._path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)

    def resume(self, runner: Runner) -> None:
        """Continue from the saved state, if there is one."""
        if not self._path.exists():
            return
        state = torch.load(self._path, map_location="cpu", weights_only=True)
        unwrapped(runner.model).load_state_dict(state["model"])
        runner.optim_wrapper.load_state_dict(state["optimizer"])
        self._losses.load_state_dict(state["losses"])
        runner.train_loop._iter = state["iteration"]


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside a distributed wrapper."""
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model
