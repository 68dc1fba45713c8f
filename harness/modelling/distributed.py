"""Several processes that torchrun started, training one network together."""

from __future__ import annotations

import atexit
import os

import torch
from torch import nn

from harness.modelling import mm


def join_group(device: str) -> str:
    """The device of this process: under torchrun its own GPU, after joining the process group; else ``device``."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return device
    cuda = device.startswith("cuda")
    if cuda:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    if not mm.distributed():
        torch.distributed.init_process_group("nccl" if cuda else "gloo")

        @atexit.register
        def leave_group() -> None:
            if mm.distributed():
                torch.distributed.destroy_process_group()

    return device


def synchronise_norms(model: nn.Module) -> None:
    """Let BatchNorm see the whole batch of several GPUs, as one GPU would; torch has no such layer for the CPU."""
    if mm.distributed() and torch.distributed.get_backend() == "nccl":
        # This replaces the layers inside the model, and their parameters stay the same objects.
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]


def wrapped(model: nn.Module) -> nn.Module:
    """``model`` as a training calls it: where there are several processes, it averages gradients over them."""
    if not mm.distributed():
        return model
    index = next(model.parameters()).device.index
    return nn.parallel.DistributedDataParallel(
        model,
        device_ids=None if index is None else [index],
        broadcast_buffers=False,  # BatchNorm statistics of the first process count; SyncBatchNorm keeps them equal
        find_unused_parameters=True,  # a head may leave a part of its backbone unused in some steps
    )
