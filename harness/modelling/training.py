"""Training through mmengine's Runner.

What is unusual here:

* The final weights are a function of data, settings and seed alone: augmentation follows the position in the sample
  stream, dropout the iteration, and a run that was killed and resumed ends with the same bytes.
* Images stay uint8 until they are on the device and convolutional networks train in channels-last layout.
* The runner is bare: no pictures, no environment dump, no console log; losses are read from the device once in 50
  steps, and go to TensorBoard where it is installed.
* Several processes that torchrun started share every batch; BatchNorm then sees all of it (on GPUs).
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import logging
import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from multiprocessing import get_start_method
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import cv2
import torch
from torch import nn

from harness.contract.errors import ConfigError
from harness.modelling import mm
from harness.modelling.hooks import Checkpoint, FrozenNorms, Losses, PolyRate, StepSeeds
from harness.modelling.mm import (
    AmpOptimWrapper,
    MMDistributedDataParallel,
    MMLogger,
    OptimWrapper,
    Runner,
    Visualizer,
    decode_head,
)
from harness.modelling.probe import ONE_VALUE
from harness.modelling.sampler import StreamLoader

if TYPE_CHECKING:
    from harness.contract.protocol import OptimSettings
    from harness.modelling.dataset import TrainingSet

CHECKPOINT = "checkpoint.pth"
LOG = "train.log"
TENSORBOARD = "TensorboardVisBackend"
MOST_LOADERS = 8
BF16_CAPABILITY = 8
"""First major compute capability of NVIDIA GPUs that compute in bfloat16."""

_runs = itertools.count()


def train(
    model: nn.Module,
    dataset: TrainingSet,
    optim: OptimSettings,
    *,
    work: Path,
    device: str,
    seed: int,
    threads: int = 1,
    sampler: dict[str, Any] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    checkpoint_seconds: float = 300.0,
    checkpoint_iterations: int | None = None,
) -> list[dict[str, float]]:
    """Train ``model`` in place.

    Args:
        model: An mmengine model with a ``backbone``; its ``train_step`` takes the batches of ``dataset``.
        dataset: Training samples.
        optim: Optimiser and schedule; 0 iterations, or a model without parameters, leave it as it is.
        work: Scratch folder for log and checkpoints; a checkpoint found there is resumed.
        device: ``cpu`` or ``cuda:N``; under torchrun each process takes its own.
        seed: Of data order and dropout.
        threads: CPU threads of this process.
        sampler: Registered sampler of indices; default a shuffled, endless one.
        progress: Called with (done, total) about once a second.
        checkpoint_seconds: Time between checkpoints.
        checkpoint_iterations: Iterations between checkpoints, beside the time.

    Returns:
        The loss curve: mean losses of every 50 iterations.

    Raises:
        ConfigError: The batch size does not divide among the processes or leaves a BatchNorm one value, or the device
            lacks the precision.
        FloatingPointError: A loss became infinite or NaN.
    """
    if optim.iterations == 0 or not any(parameter.requires_grad for parameter in model.parameters()):
        return []
    torch.set_num_threads(threads)
    cv2.setNumThreads(0)
    device = _join_group(device)
    mm.place(model, device)
    _synchronise_norms(model)
    losses = Losses(progress)
    checkpoint = Checkpoint(work / CHECKPOINT, losses, seconds=checkpoint_seconds, iterations=checkpoint_iterations)
    hooks = [StepSeeds(seed), PolyRate(optim), losses, checkpoint]
    if optim.freeze_bn:
        hooks.append(FrozenNorms(model.get_submodule("backbone")))
    runner = _BareRunner(
        model=model,
        work_dir=str(work),
        train_dataloader=_loader(dataset, sampler, optim.batch_size, seed=seed, device=device, threads=threads),
        train_cfg={"type": "IterBasedTrainLoop", "max_iters": optim.iterations},
        optim_wrapper=_optimizer(model, optim, device),
        checkpoint=checkpoint,
        hooks=hooks,
    )
    try:
        with _without_pixel_accuracy():
            runner.train()
    except ValueError as error:
        if ONE_VALUE in str(error):
            raise ConfigError(
                "optim.batch_size: a BatchNorm behind a global pooling cannot learn from one image a process and step; "
                "set at least 2 for each process"
            ) from error
        raise
    finally:
        runner.close()
    return losses.points


class _BareRunner(Runner):
    """mmengine's Runner without what a benchmark cell does not need."""

    def __init__(self, *, checkpoint: Checkpoint, hooks: list[Any], **kwargs: Any) -> None:
        mm.enter_scope()
        self._checkpoint = checkpoint
        defaults = ("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint")
        super().__init__(
            **kwargs,
            default_hooks=dict.fromkeys(defaults),
            custom_hooks=hooks,
            default_scope=mm.SCOPE,
            launcher="pytorch" if mm.distributed() else "none",
            experiment_name=f"wsss-{os.getpid()}-{next(_runs)}",
            env_cfg={"mp_cfg": {"mp_start_method": get_start_method(allow_none=True)}},
        )

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **kwargs: Any) -> MMLogger:
        """To a file, never to the console."""
        logger = MMLogger.get_instance(
            name=self._experiment_name, log_level=log_level, log_file=str(Path(self.work_dir) / LOG), file_mode="a"
        )
        logger.handlers = [h for h in logger.handlers if isinstance(h, logging.FileHandler)]
        return logger

    def build_visualizer(self, visualizer: Any = None) -> Any:
        """Writes scalars for TensorBoard where it is installed; else a stand-in on which the loop sets attributes."""
        if find_spec("tensorboard") is None or self.rank != 0:
            return SimpleNamespace()
        with mm.quiet():
            return Visualizer(self._experiment_name, vis_backends=[{"type": TENSORBOARD}], save_dir=self.work_dir)

    def wrap_model(self, model_wrapper_cfg: Any, model: nn.Module) -> Any:
        """The model is on its device already."""
        if not self.distributed:
            return model
        index = next(model.parameters()).device.index
        return MMDistributedDataParallel(
            module=model,
            device_ids=None if index is None else [index],
            broadcast_buffers=False,
            find_unused_parameters=True,
        )

    def load_or_resume(self) -> None:
        """Resume from the work folder."""
        self._checkpoint.resume(self)

    def close(self) -> None:
        """Close log and event files and drop the empty folder that mmengine makes."""
        if isinstance(self.visualizer, Visualizer):
            self.visualizer.close()
        for handler in self.logger.handlers:
            handler.close()
        self.logger.handlers.clear()
        with contextlib.suppress(OSError):
            Path(self.log_dir).rmdir()

    def _init_model_weights(self) -> None:
        """The model comes with its initial weights."""

    def _log_env(self, env_cfg: dict[str, Any]) -> None:
        """Environments are in the run record."""

    def dump_config(self) -> None:
        """The stage writes its own."""


@contextlib.contextmanager
def _without_pixel_accuracy() -> Iterator[None]:
    """Mmseg's heads measure it each step, at full resolution and waiting for the device; here nothing reads it."""
    measured = decode_head.accuracy
    decode_head.accuracy = lambda logits, *args, **kwargs: logits.new_zeros(1)
    try:
        yield
    finally:
        decode_head.accuracy = measured


def _join_group(device: str) -> str:
    """Under torchrun, join the process group once and take the local GPU."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return device
    cuda = device.startswith("cuda")
    if cuda:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    if not mm.distributed():
        torch.distributed.init_process_group("nccl" if cuda else "gloo")
        atexit.register(_leave_group)
    return device


def _leave_group() -> None:
    if mm.distributed():
        torch.distributed.destroy_process_group()


def _synchronise_norms(model: nn.Module) -> None:
    """Let BatchNorm see the whole batch of several GPUs, as one GPU would; torch has no such layer for the CPU."""
    if mm.distributed() and torch.distributed.get_backend() == "nccl":
        # replaces the layers inside the model; their parameters stay the same objects
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]


def _loader(
    dataset: TrainingSet,
    sampler: dict[str, Any] | None,
    batch_size: int,
    *,
    seed: int,
    device: str,
    threads: int = 1,
) -> StreamLoader:
    """This process's share of every batch; beside a GPU threads prepare it, on the CPU they would only compete."""
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


def _optimizer(model: nn.Module, optim: OptimSettings, device: str) -> OptimWrapper:
    """Backbone at ``lr``, everything else at ``lr * head_lr_mult``; AdamW leaves biases and norms undecayed."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        lr = optim.lr * (1.0 if name.startswith("backbone.") else optim.head_lr_mult)
        undecayed = optim.optimizer == "adamw" and parameter.ndim == 1
        groups.setdefault((lr, 0.0 if undecayed else optim.weight_decay), []).append(parameter)
    params = [
        {"params": members, "lr": lr, "initial_lr": lr, "weight_decay": decay}
        for (lr, decay), members in groups.items()
    ]
    optimizer: torch.optim.Optimizer
    if optim.optimizer == "sgd":
        optimizer = torch.optim.SGD(params, lr=optim.lr, momentum=optim.momentum, fused=True)
    else:
        optimizer = torch.optim.AdamW(params, lr=optim.lr, fused=True)
    precision = _precision(optim, device)
    if precision is None:
        return OptimWrapper(optimizer)
    if not device.startswith("cuda"):
        return _CpuAmp(optimizer)
    with mm.quiet():
        scale = "dynamic" if precision == "float16" else 1.0
        return AmpOptimWrapper(optimizer=optimizer, dtype=precision, loss_scale=scale)


def _precision(optim: OptimSettings, device: str) -> str | None:
    """The type of mixed precision, ``None`` for float32."""
    cuda = device.startswith("cuda")
    if optim.amp is True and cuda:
        capability, _ = torch.cuda.get_device_capability(device)
        return "bfloat16" if capability >= BF16_CAPABILITY else "float16"
    if optim.amp == "fp16" and not cuda:
        raise ConfigError("optim.amp: fp16 needs a GPU; the CPU trains with bf16, or with false in float32")
    return {"bf16": "bfloat16", "fp16": "float16"}.get(str(optim.amp))


class _CpuAmp(OptimWrapper):
    """Mixed precision on the CPU, which mmengine's wrapper refuses."""

    @contextlib.contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Forward passes in bfloat16."""
        with super().optim_context(model), torch.autocast("cpu", torch.bfloat16):
            yield
