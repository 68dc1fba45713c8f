"""Training: ``fit`` for a network on the protocol's recipe, ``train`` for any loop that a method brings.

What is unusual here:

* The final weights are a function of data, settings and seed alone: augmentation follows the position in the sample
  stream, dropout the iteration, and a training that was killed and resumed ends with the same bytes.
* Images stay uint8 until they are on the device, and convolutional networks train in channels-last layout.
* Losses are read from the device once in 50 steps, and go to TensorBoard where it is installed.
* Several processes that torchrun started share every batch; on GPUs BatchNorm then sees all of it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness.common.seeds import derive_seed
from harness.contract.errors import ConfigError, PluginError
from harness.modelling import mm
from harness.modelling.distributed import join_group, synchronise_norms, wrapped
from harness.modelling.frozen import supplying
from harness.modelling.mm import BaseModel, MessageHub, get_rank
from harness.modelling.probe import ONE_VALUE
from harness.modelling.sampler import Batches, StreamLoader
from harness.modelling.training_state import Checkpoint, LossCurve, Scalars, numbered

if TYPE_CHECKING:
    from harness.contract.protocol import OptimSettings

MOST_LOADERS = 8
"""Most threads that prepare batches beside a GPU; more than these only wait for each other."""
BF16_CAPABILITY = 8
"""First major compute capability of NVIDIA GPUs that compute in bfloat16."""
CHECKPOINT_SECONDS = 300.0
"""Time between checkpoints; the conformance kit sets it to 0 so that an interruption finds one."""


class Place(Protocol):
    """The part of a stage's ``Context`` that a training uses."""

    work: Path
    device: str
    threads: int

    def seed(self, axis: str, /) -> int:
        """A seed of this run for ``axis``."""

    def progress(self, done: int, total: int, /) -> None:
        """Report how far the training is."""


@dataclass(frozen=True)
class Recipe:
    """What happens in each step of a training.

    Attributes:
        optimizer: Holds the parameters that learn; each of its groups has its rate under ``initial_lr`` too.
        iterations: Number of steps.
        rate: Iteration, from 0 on, to the factor of the initial rates.
        precision: ``bfloat16`` or ``float16`` for mixed precision, ``None`` for float32.
        frozen_norms: BatchNorm layers that keep their statistics.
    """

    optimizer: torch.optim.Optimizer
    iterations: int
    rate: Callable[[int], float] = lambda iteration: 1.0
    precision: str | None = None
    frozen_norms: tuple[nn.Module, ...] = ()


def fit(
    model: nn.Module,
    dataset: Batches,
    optim: OptimSettings,
    ctx: Place,
    *,
    axis: str = "train",
    rates: Mapping[str, float] | None = None,
    sampler: Mapping[str, Any] | None = None,
    checkpoint_iterations: int | None = None,
) -> list[dict[str, float]]:
    """Train ``model`` in place on a recipe of the protocol.

    Args:
        model: See ``train``. Parameters named ``backbone.*`` learn at ``optim.lr``, all others at ``optim.lr *
            optim.head_lr_mult``; its attribute ``lr_multipliers``, if it has one, multiplies these (prefix of parameter
            names to a factor, where the longest prefix that fits counts, 0 freezes).
        dataset: Training samples.
        optim: Optimiser and schedule; 0 iterations, or a model without parameters that learn, leave it as it is.
        ctx: The stage's context: scratch folder, device, threads, seeds, progress.
        axis: Which of the run's seeds the order of the data and dropout depend on.
        rates: Prefix of parameter names to a multiplier of ``optim.lr`` in place of ``head_lr_mult``; as above.
        sampler: Registered sampler of indices; by default a shuffled, endless one.
        checkpoint_iterations: Iterations between checkpoints, beside the time.

    Returns:
        The loss curve: ``iteration`` and the mean of each loss over every 50 iterations.

    Raises:
        ConfigError: The batch size does not divide among the processes or leaves a BatchNorm one value, the device
            lacks the precision, or a prefix of ``rates`` fits no parameter.
        PluginError: So does one of ``lr_multipliers``, or a factor is no number from 0 on.
        FloatingPointError: A loss became infinite or NaN.
    """
    device = join_group(ctx.device)
    frozen = norms_of(model.get_submodule("backbone")) if optim.freeze_bn else ()
    for norm in frozen:
        norm.requires_grad_(False)
    groups = parameter_groups(model, optim, rates or {})
    if optim.iterations == 0 or not groups:
        return []
    torch.set_num_threads(ctx.threads)
    mm.place(model, device)
    synchronise_norms(model)
    recipe = Recipe(
        _optimizer(groups, optim),
        optim.iterations,
        rate=lambda iteration: poly_rate(iteration, optim.iterations, warmup=optim.warmup, power=optim.power),
        precision=_precision(optim, device),
        frozen_norms=frozen,
    )
    seed = ctx.seed(axis)
    batches = _loader(dataset, sampler, optim.batch_size, seed=seed, device=device, threads=ctx.threads)
    try:
        return train(model, batches.starting_at, recipe, ctx, seed=seed, checkpoint_iterations=checkpoint_iterations)
    except ValueError as error:
        if ONE_VALUE not in str(error):
            raise
        raise ConfigError(
            "optim.batch_size: a BatchNorm behind a global pooling cannot learn from one image per process and step; "
            "set at least 2 for each process"
        ) from error


def train(
    model: nn.Module,
    batches: Callable[[int], Iterator[Any]],
    recipe: Recipe,
    ctx: Place,
    *,
    seed: int,
    after_step: Callable[[int], None] | None = None,
    checkpoint_iterations: int | None = None,
) -> list[dict[str, float]]:
    """Train ``model`` in place, step by step; a checkpoint in ``ctx.work`` is resumed and the result is the same.

    A stage may train several times, in the same order whenever it runs: each training has a checkpoint of its own.

    Args:
        model: On its device. An mmengine model gets each batch through its data preprocessor and is called in mode
            ``loss``; any other module is called with the batch. Both return losses by name; those whose name holds
            ``loss`` are added up. Its ``state_dict`` must hold everything that a step changes.
        batches: Iteration to an endless iterator of the batches from there on.
        recipe: Optimiser, rate, length, precision.
        ctx: Scratch folder, threads, progress.
        seed: Seed of dropout and of whatever else a step draws at random.
        after_step: Called with the iteration after its step.
        checkpoint_iterations: Iterations between checkpoints, beside the time.

    Returns:
        The loss curve: ``iteration`` and the mean of each loss over every 50 iterations.

    Raises:
        FloatingPointError: A loss became infinite or NaN.
    """
    cv2.setNumThreads(0)  # the loader's threads are the parallel ones; OpenCV's own would compete with them
    mm.enter_scope()
    step = _Step(model, recipe)
    curve = LossCurve()
    parts = {"model": model, "optimizer": recipe.optimizer, "losses": curve, "scaler": step.scaler}
    with numbered(ctx) as number, Scalars(ctx.work) as scalars, _without_pixel_accuracy():
        checkpoint = Checkpoint(
            ctx.work, parts, seconds=CHECKPOINT_SECONDS, iterations=checkpoint_iterations, number=number
        )
        start = checkpoint.resume()
        stream = batches(start)
        for iteration in range(start, recipe.iterations):
            batch = next(stream)
            _seed_step(seed, iteration)
            factor = recipe.rate(iteration)
            for group in recipe.optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
            MessageHub.get_current_instance().update_info("iter", iteration)  # losses of mmseg and of methods read it
            losses = step(batch)
            if after_step is not None:
                after_step(iteration)
            point = curve.add(losses, done=iteration + 1, total=recipe.iterations)
            if point is not None:
                scalars.add(point)
            checkpoint.save_when_due(iteration + 1, recipe.iterations)
            ctx.progress(iteration + 1, recipe.iterations)
    return curve.points


class _Step:
    """Forward, backward and update on one batch."""

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        self._model, self._optimizer, self._precision = model, recipe.optimizer, recipe.precision
        self._network = wrapped(model)
        self._device = next(model.parameters()).device.type
        learning = [parameter for group in recipe.optimizer.param_groups for parameter in group["params"]]
        self._inputs = learning if self._network is model else None  # DistributedDataParallel needs the whole backward
        self._frozen = recipe.frozen_norms
        self.scaler = torch.amp.GradScaler(self._device, enabled=recipe.precision == "float16")

    def __call__(self, batch: Any) -> dict[str, Tensor]:
        self._network.train()
        for norm in self._frozen:
            norm.training = False
        mixed = torch.autocast(self._device, getattr(torch, self._precision)) if self._precision else nullcontext()
        with mixed:
            if isinstance(self._model, BaseModel):
                data = self._model.data_preprocessor(batch, True)
                with supplying(self._model, batch, data.get("inputs")):
                    named = self._network(**data, mode="loss")
            else:
                named = self._network(batch)
            losses = _summed(named)
        torch.autograd.backward(self.scaler.scale(losses["loss"]), inputs=self._inputs)
        self.scaler.step(self._optimizer)
        self.scaler.update()
        self._optimizer.zero_grad()
        return losses


def _summed(named: Mapping[str, Any]) -> dict[str, Tensor]:
    """Each loss as its mean (a list as the sum of means), and their sum as ``loss``."""
    losses = {
        name: sum((item.mean() for item in value[1:]), value[0].mean()) if isinstance(value, list) else value.mean()
        for name, value in named.items()
    }
    return {"loss": sum(value for name, value in losses.items() if "loss" in name), **losses}


def norms_of(module: nn.Module) -> tuple[nn.Module, ...]:
    """The BatchNorm layers inside ``module``."""
    return tuple(part for part in module.modules() if isinstance(part, _BatchNorm))


def parameter_groups(model: nn.Module, optim: OptimSettings, rates: Mapping[str, float]) -> list[dict[str, Any]]:
    """The parameters that learn, grouped by rate and decay; those whose rate is 0 are frozen.

    With AdamW, biases and norms have no weight decay.

    Raises:
        ConfigError: A prefix of ``rates`` fits no parameter.
        PluginError: A prefix of the model's ``lr_multipliers`` fits none, or its factor is no number from 0 on.
    """
    if (unused := _unused(rates, model)) is not None:
        raise ConfigError(f"rates: no parameter of {type(model).__name__} begins with {unused!r}")
    multipliers = lr_multipliers(model)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        usual = 1.0 if name.startswith("backbone.") else optim.head_lr_mult
        lr = optim.lr * _of_longest(rates, name, usual) * _of_longest(multipliers, name, 1.0)
        if lr == 0.0:
            parameter.requires_grad_(False)
        if not parameter.requires_grad:
            continue
        undecayed = optim.optimizer == "adamw" and parameter.ndim == 1
        groups.setdefault((lr, 0.0 if undecayed else optim.weight_decay), []).append(parameter)
    return [
        {"params": members, "lr": lr, "initial_lr": lr, "weight_decay": decay}
        for (lr, decay), members in groups.items()
    ]


def lr_multipliers(model: nn.Module) -> Mapping[str, float]:
    """What the attribute of that name says of a model, if it has one.

    Raises:
        PluginError: A prefix fits no parameter, or its factor is no number from 0 on.
    """
    multipliers: Mapping[str, float] = getattr(model, "lr_multipliers", {})
    where = f"{type(model).__name__}.lr_multipliers"
    if (unused := _unused(multipliers, model)) is not None:
        raise PluginError(f"{where}: no parameter begins with {unused!r}")
    for prefix, factor in multipliers.items():
        if not isinstance(factor, int | float) or not 0 <= factor < math.inf:
            raise PluginError(f"{where}[{prefix!r}]: must be a number from 0 (frozen) on, got {factor!r}")
    return multipliers


def _unused(factors: Mapping[str, float], model: nn.Module) -> str | None:
    """A prefix that no parameter of the model begins with."""
    names = [name for name, _ in model.named_parameters()]
    return next((prefix for prefix in factors if not any(name.startswith(prefix) for name in names)), None)


def _of_longest(factors: Mapping[str, float], name: str, otherwise: float) -> float:
    """The factor of the longest prefix of a parameter's name."""
    prefix = max((prefix for prefix in factors if name.startswith(prefix)), key=len, default=None)
    return otherwise if prefix is None else factors[prefix]


def poly_rate(iteration: int, iterations: int, *, warmup: int = 0, power: float = 0.9, every: int = 1) -> float:
    """min(1, (t+1)/(warmup+1)) * (1 - t'/T)^power, where t' is t rounded down to a multiple of ``every``."""
    warm = min(1.0, (iteration + 1) / (warmup + 1))
    return float(warm * (1.0 - iteration // every * every / iterations) ** power)


def _optimizer(groups: list[dict[str, Any]], optim: OptimSettings) -> torch.optim.Optimizer:
    if optim.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=optim.lr, momentum=optim.momentum, fused=True)
    return torch.optim.AdamW(groups, lr=optim.lr, fused=True)


def _precision(optim: OptimSettings, device: str) -> str | None:
    """The type of mixed precision, ``None`` for float32."""
    cuda = device.startswith("cuda")
    if optim.amp is True and cuda:
        capability, _ = torch.cuda.get_device_capability(device)
        return "bfloat16" if capability >= BF16_CAPABILITY else "float16"
    if optim.amp == "fp16" and not cuda:
        raise ConfigError("optim.amp: fp16 needs a GPU; the CPU trains with bf16, or with false in float32")
    return {"bf16": "bfloat16", "fp16": "float16"}.get(str(optim.amp))


def _loader(
    dataset: Batches,
    sampler: Mapping[str, Any] | None,
    batch_size: int,
    *,
    seed: int,
    device: str,
    threads: int = 1,
) -> StreamLoader:
    """The loader of this process's share of every batch.

    Beside a GPU threads prepare it; on the CPU they would only compete with the training.
    """
    world = torch.distributed.get_world_size() if mm.distributed() else 1
    if batch_size % world:
        raise ConfigError(f"optim.batch_size: {batch_size} does not divide among {world} processes")
    cfg = {"type": "ShuffleStream", **(sampler or {})}
    if cfg["type"] == "ShuffleStream":
        cfg["seed"] = seed
    cuda = device.startswith("cuda")
    return StreamLoader(
        dataset,
        mm.build_sampler(cfg, dataset),
        batch_size=batch_size // world,
        threads=min(MOST_LOADERS, threads) if cuda else 0,
        pin=cuda,
    )


def _seed_step(seed: int, iteration: int) -> None:
    """Seed all generators for one step, so that dropout is the same after a resume; each process has its own seed."""
    derived = derive_seed(seed, f"{get_rank()}/{iteration}")
    torch.manual_seed(derived)
    np.random.seed(derived)
    random.seed(derived)


@contextmanager
def _without_pixel_accuracy() -> Iterator[None]:
    """Keep mmseg's heads from measuring it: each step would wait for the device, and here nothing reads it."""
    measured = mm.decode_head.accuracy
    mm.decode_head.accuracy = lambda logits, *args, **kwargs: logits.new_zeros(1)
    try:
        yield
    finally:
        mm.decode_head.accuracy = measured
